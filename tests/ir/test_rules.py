"""Counting rules against what the papers print, and against small layers counted by hand."""

from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.ir.parts import BinaryWeights, Parts, RealLayer
from bitwright.ir.rules import RULES, RuleCounts, apply_rules, entropy, huffman_lengths, index_bits


def counted(*binary: BinaryWeights, real: tuple[RealLayer, ...] = (), parameters: int = 0) -> RuleCounts:
    return apply_rules(Parts(binary, real, parameters, 32 * parameters))


def layers(shapes: list[tuple[int, int, int]], make) -> list[BinaryWeights]:
    """3x3 layers of (filters, channels, pixels) with the weights that `make(filters, channels)` gives."""
    return [
        BinaryWeights(str(number), make(filters, channels), pixels, offset=True)
        for number, (filters, channels, pixels) in enumerate(shapes)
    ]


def resnet18(side: int) -> list[tuple[int, int, int]]:
    """The 16 convolutions of four stages, of which the first has `side` x `side` pixels."""
    shapes = []
    for stage, filters in enumerate((64, 128, 256, 512)):
        pixels = (side >> stage) ** 2
        shapes += [(filters, filters // 2 if stage else filters, pixels)] + 3 * [(filters, filters, pixels)]
    return shapes


def zeros(filters: int, channels: int) -> np.ndarray:
    return np.zeros((filters, channels, 3, 3), np.uint8)


def patterns(bits: int):
    """Weights whose kernels are all of 2^bits patterns, in turn."""
    cells = ((np.arange(2**bits)[:, None] >> np.arange(9)) & 1).astype(np.uint8).reshape(-1, 3, 3)
    return lambda filters, channels: cells[np.arange(filters * channels) % 2**bits].reshape(filters, channels, 3, 3)


def test_the_filter_of_ones_adds_what_it_says() -> None:
    """SBNN on the ResNet-18 of CIFAR-10: 0.547e9 BOPs; the filter of ones takes 4.17e6, 0.76 % of them."""
    found = counted(*layers(resnet18(32), zeros))
    assert (found.parameters["all"], found.bops["dense"]) == (10_985_472, 547_356_672)
    assert found.bops["kernel_skipping"] == found.bops["fine_grained"] == 4_165_632
    assert round(100 * found.bops["fine_grained"] / found.bops["dense"], 2) == 0.76
    assert found.parameters["kept"] == found.bits["entropy"] == found.bits["seeded_signs"] == 0


@pytest.mark.parametrize(
    ("density", "bits"),
    [(0.5, 1.0), (0.25, 0.8113), (0.1, 0.4690), (0.05, 0.2864), (0.04, 0.2423), (0.03, 0.1944), (0.02, 0.1414),
     (0.01, 0.0808)],
)  # fmt: skip
def test_the_bound_of_storage_is_that_of_the_published_densities(density: float, bits: float) -> None:
    symbols = np.zeros((10, 1000, 1, 1), np.uint8)
    symbols.ravel()[: round(density * symbols.size)] = 1
    assert round(entropy(density), 4) == bits
    assert counted(BinaryWeights("a", symbols, 1, offset=True)).bits["entropy"] == pytest.approx(10_000 * bits, abs=0.5)


@pytest.mark.parametrize(
    ("bits", "parameters", "operations"),
    [(9, 10.99e6, 1.6763e9), (6, 7.324e6, 0.8839e9), (5, 6.103e6, 0.5014e9), (4, 4.882e6, 0.2972e9)],
)
def test_the_figures_of_subbit(bits: int, parameters: float, operations: float) -> None:
    """The README's table for the ResNet-18 of ImageNet: parameters in bits, and Bit-OPs."""
    found = counted(*layers(resnet18(56), patterns(bits)))
    assert found.bits["pattern_indices"] == pytest.approx(parameters, rel=1e-3)
    assert found.bops["shared_patterns"] == pytest.approx(operations, abs=0.00005e9)
    assert found.bits["pattern_indices_and_table"] - found.bits["pattern_indices"] == 16 * 9 * 2**bits
    assert found.bops["dense"] == 1_676_279_808


@pytest.mark.parametrize(
    ("width", "last", "bops", "flops", "ops"),
    [(24, 768, 1_215_212_544, 1.785064e6, 20.77276e6), (48, 1536, 21_007_687_680, 3.569128e6, 331.814248e6)],
)
def test_the_operations_of_nas_bnn(width: int, last: int, bops: int, flops: float, ops: float) -> None:
    """Its smallest and its largest network: a stem of eight bits for 224x224 pixels, and a classifier with biases."""
    weights = BinaryWeights("all", np.zeros((1, 1, 1, 1), np.uint8), bops)
    stem = RealLayer("stem", 112 * 112 * width * 27, convolution=True)
    found = counted(weights, real=(stem, RealLayer("head", last * 1000, convolution=False, biases=1000)))
    assert found.flops["eight_bit_stem"] == flops
    assert found.ops(flops="eight_bit_stem") == pytest.approx(ops, abs=5)
    assert found.flops["multiply_adds"] == stem.products + last * 1000


def test_the_operations_and_the_memory_of_bi_real_net() -> None:
    """1.63e8 OPs as printed for 1.64e8, and 33.6 Mbit: the stem, pooled shortcuts and the classifier are real."""
    real = (RealLayer("stem", 118_013_952, True), RealLayer("down", 19_267_584, True), RealLayer("fc", 512_000, False))
    weights = 64 * 147 + 64 * 128 + 128 * 256 + 256 * 512 + 513_000 + 9_600  # the last: batch norms
    found = counted(*layers(resnet18(56), zeros), real=real, parameters=weights)
    assert found.ops() == 1_676_279_808 / 64 + 137_793_536 == 163_985_408
    assert found.memory() == 10_985_472 + 32 * weights == pytest.approx(33.6e6, rel=0.005)


def test_the_parameters_of_a_multi_prize_ticket() -> None:
    """VGG-Small with 5 % of all its weights kept: 0.23 million; only the mask is stored, H(0.05) bits a weight."""
    shapes = [(128, 3), (128, 128), (256, 128), (256, 256), (512, 256), (512, 512)]
    random = np.random.default_rng(0)
    weights = [(random.random((f, c, 3, 3)) < 0.05) * random.integers(1, 3, (f, c, 3, 3)) for f, c in shapes]
    weights.append((random.random((10, 8192, 1, 1)) < 0.05) * random.integers(1, 3, (10, 8192, 1, 1)))
    found = counted(*(BinaryWeights("x", w.astype(np.uint8), 1) for w in weights))
    assert round(found.parameters["kept"] / 1e6, 2) == 0.23
    assert found.bits["seeded_signs"] == pytest.approx(found.parameters["all"] * entropy(0.05), rel=0.01)
    assert found.bits["entropy"] == pytest.approx(found.bits["seeded_signs"] + found.parameters["kept"], rel=1e-3)
    assert found.bits["dense"] == 2 * found.parameters["all"]
    assert found.bops["fine_grained"] == found.parameters["kept"]


def test_filters_that_are_gone_shrink_two_layers() -> None:
    """STQ-Nets, 40 % of the filters gone: up to 89 times smaller than float32, where the inputs are gone, too."""
    whole, narrow = zeros(100, 100), zeros(60, 60)
    assert round(32 * whole.size / counted(BinaryWeights("a", narrow, 1)).bits["dense"]) == 89


def test_a_layer_by_hand() -> None:
    """Four filters of two kernels each: one all of ones, one with a single one, the rest empty."""
    symbols = zeros(4, 2)
    symbols[0, 0], symbols[1, 1, 0, 0] = 1, 1
    for offset in (False, True):
        found = counted(BinaryWeights("a", symbols, 10, groups=2, offset=offset, planes=2))
        extra = 9 * 4 if offset else 0
        assert found.bops["dense"] == 2 * 10 * 72
        assert found.bops["kernel_skipping"] == 2 * 10 * (2 * 9 + extra)
        assert found.bops["fine_grained"] == 2 * 10 * (10 + extra)
        assert (
            found.bops["shared_patterns"] == 2 * 10 * 72
        )  # three kernels take two bits, and two filters read an input
    assert found.bits["entropy"] == pytest.approx(-10 * log2(10 / 72) - 62 * log2(62 / 72))
    assert found.bits["kernel_huffman"] == (6 * 1 + 2 + 2) + (1 + 2 + 2) + 3 * 9
    assert found.bits["pattern_indices"] == 2 * 8
    assert found.bits["pattern_indices_and_table"] == 2 * 8 + 9 * 4


def test_kernels_of_another_size_have_no_patterns() -> None:
    symbols = np.zeros((32, 4, 1, 1), np.uint8)
    found = counted(BinaryWeights("a", symbols, 5))
    assert found.bits["pattern_indices"] == found.bits["pattern_indices_and_table"] == 128
    assert found.bops["shared_patterns"] == 5 * 128


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=40))
def test_huffman_codes_are_complete_and_within_a_bit_of_the_entropy(counts: list[int]) -> None:
    lengths = huffman_lengths(counts)
    assert sum(2.0**-length for length in lengths) == 1
    total = sum(counts)
    bound = -sum(n * log2(n / total) for n in counts)
    coded = sum(n * length for n, length in zip(counts, lengths, strict=True))
    assert bound - 1e-6 <= coded < bound + total


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.booleans())
def test_the_rules_keep_their_order(seed: int, density: float, offset: bool) -> None:
    """A layer's own share never needs more bits than the shared one, ones never more work than their kernels."""
    random = np.random.default_rng(seed)
    parts = [
        BinaryWeights("a", (random.random((6, 5, 3, 3)) < density).astype(np.uint8), 7, offset=offset),
        BinaryWeights("b", (random.random((4, 6, 3, 3)) < density / 2).astype(np.uint8), 3, offset=offset),
    ]
    found = counted(*parts)
    assert found.bits["entropy_by_layer"] <= found.bits["entropy"] + 1e-9 <= found.bits["dense"] + 1e-6
    assert found.bops["fine_grained"] <= found.bops["kernel_skipping"]
    assert found.bops["kernel_skipping"] <= found.bops["dense"] + (9 * (5 * 7 + 6 * 3) if offset else 0)
    assert found.bits["pattern_indices"] <= found.bits["pattern_indices_and_table"]
    assert all(
        2 ** (index_bits(layer) - 1) < max(len(layer.kernel_counts), 2) <= 2 ** index_bits(layer) for layer in parts
    )


def test_every_rule_says_what_it_is() -> None:
    assert len({(rule.counts, rule.name) for rule in RULES}) == len(RULES)
    assert all(rule.formula and rule.source for rule in RULES)
    assert {rule.counts for rule in RULES} == {"BOPs", "FLOPs", "parameters", "bits"}


def test_a_network_without_binary_layers_counts_nothing_binary() -> None:
    found = counted(real=(RealLayer("a", 5, False),), parameters=3)
    assert set(found.bops.values()) == set(found.bits.values()) == {0} and found.memory() == 96 and found.ops() == 5
