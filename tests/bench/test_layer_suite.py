"""The suite of layers: what its items are, and that they mean the same to the engine and to NumPy."""

import numpy as np
import pytest

from bitwright.bench.engine import our_engine
from bitwright.bench.item import DENSE, Setting, noise
from bitwright.bench.layers import LAYER, NAMES, layer_item
from bitwright.bench.run import make_item
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Kind
from bitwright.ir.verify import infer


def test_the_items_are_those_that_the_targets_name() -> None:
    shapes = {name: layer_item(name, (DENSE,)).real.input_type.shape for name in NAMES if name != "linear4096"}
    assert shapes["56x56x64"] == (64, 56, 56) and shapes["7x7x512"] == (512, 7, 7) and shapes["8x8x64"] == (64, 8, 8)
    assert layer_item("linear32").real.input_type.shape == (32,)


@pytest.mark.parametrize("name", ["6x5x16", "linear48"])
def test_a_layer_reads_and_makes_bits(name: str) -> None:
    item = layer_item(name, (0.1,))
    assert list(item.graphs) == [DENSE, 0.1]
    for density, graph in item.graphs.items():
        types = infer(graph)
        assert (types["sign"].kind, types[LAYER].kind, types["bits"].kind) == (Kind.SIGN, Kind.SUM, Kind.SIGN)
        weight = next(op for op in graph.ops if op.name == LAYER).weight
        assert weight.mean() == pytest.approx(density, abs=0.04)


@pytest.mark.parametrize("patterns", [1, 16, 64])
def test_weights_of_few_patterns(patterns: int) -> None:
    graph = layer_item(f"6x6x32/{patterns}", (DENSE,)).binary
    weight = next(op for op in graph.ops if op.name == LAYER).weight
    assert len(np.unique(weight.reshape(-1, 9), axis=0)) == patterns


@pytest.mark.parametrize("name", ["6x5x16", "linear48"])
def test_the_real_layer_of_the_peers_has_the_same_weights(name: str, rng: np.random.Generator) -> None:
    item = layer_item(name, (DENSE,))
    x = noise(item.real.input_type, 2)
    sums = interpret(item.binary, x, keep=[LAYER])[LAYER]
    signs = np.where(x >= 0, np.float32(1), np.float32(-1))
    np.testing.assert_array_equal(interpret(item.real, signs), sums)


def test_our_side_times_the_layer_with_its_threshold() -> None:
    ours = our_engine(layer_item("6x6x16", (DENSE,)).graphs[DENSE], LAYER, Setting(), isa="portable")
    assert ours.isa == "portable" and ours.kernel and ours.bytes > 0
    median, least = ours.round(3)
    assert median >= least > 0


@pytest.mark.parametrize("setting", [Setting(threads=2), Setting(batch=2)])
def test_a_layer_takes_one_sample_on_one_thread(setting: Setting) -> None:
    with pytest.raises(ValueError, match=r"one sample at a time on one thread"):
        our_engine(layer_item("6x6x16", (DENSE,)).graphs[DENSE], LAYER, setting)


@pytest.mark.parametrize("name", ["6x6", "0x6x8", "linear", "6x6xa", "net", "6x6x8/0", "6x6x8/513", "linear8/4"])
def test_names_of_no_layer_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="HEIGHTxWIDTHxCHANNELS"):
        make_item("layers", name)


def test_densities_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"up to 0.5, found 0.7"):
        make_item("layers", "6x6x8", [0.7])
    with pytest.raises(ValueError, match=r"up to 0.5, found 0"):
        make_item("networks", "resnet20", [0.0])
