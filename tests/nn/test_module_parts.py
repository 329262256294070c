"""A trained network by every rule: equal to its count, to its packed file, and to counts by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

import bitwright as bw
from bitwright.core.method import Method
from bitwright.ir.parts import parts_of_graph
from bitwright.ir.rules import apply_rules
from bitwright.lower.pipeline import lower
from bitwright.methods.sbnn_v1 import density_of_memory

X = torch.zeros(1, 3, 8, 8)


def small(method: Method, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 16, 3, padding=1, groups=2), nn.BatchNorm2d(16),
        nn.Conv2d(16, 8, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.Flatten(),
        nn.Linear(128, 12), nn.Linear(12, 5),
    )  # fmt: skip
    return bw.binarize(net, method)


@pytest.mark.parametrize(
    "make",
    [
        bw.methods.bi_real_net,
        lambda: bw.methods.sbnn(sparsity=0.9),
        bw.methods.sbnn_v1,
        lambda: bw.methods.subbit(2),
        lambda: bw.methods.subbit(2, sparsity=0.9),
    ],
    ids=["bi_real_net", "sbnn", "sbnn_v1", "subbit", "subbit-sbnn"],
)
def test_the_module_and_its_packed_graph_count_the_same(make: Callable[[], Method]) -> None:
    net = small(make())
    found, dense = bw.count_by_rules(net, X), bw.count(net, X)
    packed = apply_rules(parts_of_graph(lower(net.eval(), X)))
    assert (found.bops, found.flops, found.parameters, found.bits) == (
        packed.bops,
        packed.flops,
        packed.parameters,
        packed.bits,
    )
    assert (found.bops["dense"], found.flops["multiply_adds"]) == (dense.bops, dense.flops)
    assert found.parameters["all"] == dense.binary_weights
    assert (found.ops(), found.memory()) == (dense.ops, dense.memory_bits)


def test_exact_zeros_cost_nothing_and_take_two_bits() -> None:
    net = small(bw.methods.bi_real_net())
    bw.sparse.prune(net, bw.sparse.Magnitude("layer"), 0.25, fill="zero")
    found, dense = bw.count_by_rules(net, X), bw.count(net, X)
    assert found.parameters["kept"] == pytest.approx(0.25 * dense.binary_weights, abs=8)
    assert found.bops["fine_grained"] == pytest.approx(0.25 * dense.bops, rel=0.02)
    assert found.bits["dense"] == 2 * dense.binary_weights
    assert found.bits["seeded_signs"] < found.bits["entropy"] < found.bits["dense"]


def test_patterns_are_counted_by_the_kernels_that_occur() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(4, 16, 3, groups=2), nn.Conv2d(16, 32, 1), nn.Conv2d(32, 8, 3))
    bw.binarize(net, bw.methods.subbit(2), where=["0", "1", "2"])
    found = bw.count_by_rules(net, torch.zeros(1, 4, 6, 6))
    assert found.bits["pattern_indices"] == 2 * 16 * 2 + 16 * 32 + 2 * 32 * 8
    dense, grouped, last = 16 * 16 * 32, 16 * 4 * (9 * 4 + 8 / 2), 4 * 32 * (9 * 4 + 8 / 2)
    assert found.bops["shared_patterns"] == dense + grouped + last


def test_binary_weights_of_real_inputs_take_bits_and_real_operations() -> None:
    net = small(bw.methods.binary_connect())
    found, dense = bw.count_by_rules(net.eval(), X), bw.count(net, X)
    assert found.bits["dense"] == dense.binary_weights and set(found.bops.values()) == {0}
    assert found.flops["multiply_adds"] == dense.flops


def test_a_budget_of_memory_is_the_bound_of_storage() -> None:
    """SBNN v1: the density that a memory affords is the one whose entropy fills it."""
    density = density_of_memory(3000, 10_000)
    layer = nn.Linear(100, 100, bias=False)
    bw.binarize(net := nn.Sequential(layer), bw.methods.sbnn_v1(), where=["0"])
    with torch.no_grad():
        layer.weight.fill_(-1.0).view(-1)[: round(density * 10_000)] = 1.0
    assert bw.count_by_rules(net, torch.zeros(1, 100)).bits["entropy"] == pytest.approx(3000, rel=1e-3)


def test_the_network_is_left_as_it_was_and_printed() -> None:
    net = small(bw.methods.sbnn()).train()
    text = str(bw.count_by_rules(net, X))
    assert all(module.training for module in net.modules())
    assert "fine_grained" in text and "kernel_huffman" in text and text.endswith("both dense")
