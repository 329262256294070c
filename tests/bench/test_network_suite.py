"""The suite of networks, and the order of pools and signs that the peers get."""

import numpy as np
import pytest

from bitwright.bench.item import DENSE, Item, noise
from bitwright.bench.networks import NETWORKS, Network, network_item
from bitwright.bench.peer_graph import pool_before_sign
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Kind, TensorType, Window

zoo = pytest.importorskip("bitwright.zoo")
nn = pytest.importorskip("torch.nn")


@pytest.fixture(scope="module")
def tiny() -> Item:
    """The large ResNet-18's wiring on small images."""

    def make() -> "nn.Module":
        return zoo.resnet18(num_classes=3, width=8, shortcut_every=1, nonlinearity=nn.Identity, stem="large")

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "tiny", Network(make, 32))
        return network_item("tiny", (0.05,))


def test_the_items_are_those_that_the_targets_name() -> None:
    large = ["resnet18-224", "resnet18-224-int16", "resnet18-224-int16-stream"]
    assert list(NETWORKS) == ["resnet20", "vgg_small", "resnet18-32", *large]
    net = NETWORKS["resnet18-224"].make()
    assert (net.conv.kernel_size, net.conv.stride, net.stem_pool.kernel_size) == ((7, 7), (2, 2), 3)
    assert NETWORKS["resnet18-224"].size == 224
    with pytest.raises(ValueError, match="resnet20, vgg_small"):
        network_item("resnet19")


def test_we_get_pixels_and_the_peers_the_dense_network_of_real_numbers(tiny: Item) -> None:
    assert list(tiny.graphs) == [DENSE, 0.05]
    assert all(graph.input_type.kind == Kind.PIXEL for graph in tiny.graphs.values())
    assert tiny.real.input_type.kind == Kind.REAL
    binary = [op for op in tiny.graphs[0.05].ops if isinstance(op, ops.BinaryConv)]
    assert all(op.weight.mean() == pytest.approx(0.05, abs=1 / op.weight.size) for op in binary)
    assert len(binary) == 16 and not any(op.signed for op in binary)
    assert all(op.signed for op in tiny.binary.ops if isinstance(op, ops.BinaryConv))


def test_an_int16_first_layer_is_ours_alone() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "tiny", Network(lambda: zoo.resnet20(width=4), 8, first_layer="int16"))
        item = network_item("tiny", (DENSE,))
    assert isinstance(item.graphs[DENSE].ops[0], ops.PixelConv)
    assert not any(isinstance(op, ops.PixelConv) for op in item.real.ops)


def test_an_int16_stream_is_ours_alone() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bitwright.lower.stream.LEAST_BYTES", 0)
        patch.setitem(NETWORKS, "tiny", Network(lambda: zoo.resnet20(width=4), 8, stream="int16"))
        item = network_item("tiny", (DENSE,))
    assert any(isinstance(op, ops.FixedPoint) for op in item.graphs[DENSE].ops)
    assert not any(isinstance(op, ops.FixedPoint) for op in item.real.ops)


def test_the_peers_pool_real_numbers_once(tiny: Item) -> None:
    pools = [op for op in tiny.real.ops if isinstance(op, ops.MaxPool)]
    assert [pool.inputs for pool in pools] == [("bn",)]
    first = next(op for op in tiny.real.ops if isinstance(op, ops.Binarize))
    assert first.inputs == (pools[0].name,) and not first.threshold.any()


def pooled(first: ops.Op, pool: ops.MaxPool) -> ops.Graph:
    weight = np.random.default_rng(0).random((4, 4, 3, 3)) < 0.5
    return ops.Graph(
        "x",
        TensorType(Kind.REAL, (4, 6, 6)),
        (
            ops.Binarize(name="sign", inputs=("x",), threshold=np.full(4, 0.25, np.float32)),
            ops.BinaryConv(name="conv", inputs=("sign",), weight=weight, signed=True, window=Window((3, 3))),
            first,
            pool,
            ops.Decode(name="y", inputs=("pool",)),
        ),
        "y",
    )


def threshold(flip: bool) -> ops.Threshold:
    return ops.Threshold(name="bits", inputs=("conv",), threshold=np.arange(4, dtype=np.int32), flip=np.full(4, flip))


def test_a_pool_before_its_sign_gives_the_same_bits() -> None:
    graph = pooled(threshold(False), ops.MaxPool(name="pool", inputs=("bits",), window=Window((2, 2), (2, 2))))
    turned = pool_before_sign(graph)
    assert [type(op).__name__ for op in turned.ops] == ["Binarize", "BinaryConv", "MaxPool", "Threshold", "Decode"]
    x = noise(graph.input_type, 3)
    np.testing.assert_array_equal(interpret(turned, x), interpret(graph, x))


def test_a_pool_of_falling_signs_is_refused() -> None:
    pool = ops.MaxPool(name="pool", inputs=("bits",), window=Window((2, 2), (2, 2)))
    with pytest.raises(ValueError, match="rising signs"):
        pool_before_sign(pooled(threshold(True), pool))
