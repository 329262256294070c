"""The peers: each computes the right thing where its library is installed, and is named where it is not."""

import numpy as np
import pytest

from bitwright.bench.item import DENSE, Item, Setting, noise
from bitwright.bench.layers import layer_item
from bitwright.bench.peer import Peer, Way
from bitwright.bench.peers import PEERS
from bitwright.bench.peers.lce import pack
from bitwright.bench.run import run_item
from bitwright.bench.turns import Entrant
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Kind, TensorType, Window


def need(name: str) -> Peer:
    peer = PEERS[name]
    if reason := peer.missing():
        pytest.skip(f"{name}: {reason}")
    return peer


def net() -> ops.Graph:
    """Everything that the networks of the suite hold, small: a stem with a pool, shortcuts, and real layers between."""
    rng = np.random.default_rng(3)
    same, half = Window((3, 3), padding=(1, 1)), Window((2, 2), (2, 2))

    def reals(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    def bits(*shape: int) -> np.ndarray:
        return rng.random(shape) < 0.5

    return ops.Graph(
        "x",
        TensorType(Kind.REAL, (3, 16, 16)),
        (
            ops.Conv(name="stem", inputs=("x",), weight=reals(16, 3, 3, 3), bias=reals(16), window=same),
            ops.MaxPool(name="pool", inputs=("stem",), window=half),
            ops.Binarize(name="s1", inputs=("pool",), threshold=reals(16)),
            ops.BinaryConv(name="c1", inputs=("s1",), weight=bits(16, 16, 3, 3), signed=True, window=same),
            ops.Affine(name="a1", inputs=("c1",), scale=reals(16), shift=reals(16)),
            ops.Add(name="sum", inputs=("a1", "pool")),
            ops.PReLU(name="act", inputs=("sum",), slope=reals(16)),
            ops.AvgPool(name="avg", inputs=("act",), window=half),
            ops.PadChannels(name="wide", inputs=("avg",), before=8, after=8),
            ops.Clamp(name="clamp", inputs=("wide",), low=-1, high=1),
            ops.Binarize(name="s2", inputs=("clamp",), threshold=np.zeros(32, np.float32)),
            ops.BinaryConv(name="c2", inputs=("s2",), weight=bits(32, 32, 3, 3), signed=True, window=same),
            ops.Threshold(name="s3", inputs=("c2",), threshold=np.arange(32, dtype=np.int32) - 9, flip=bits(32)),
            ops.BinaryConv(name="c3", inputs=("s3",), weight=bits(32, 32, 1, 1), signed=True, window=Window((1, 1))),
            ops.Affine(name="a3", inputs=("c3",), scale=np.full(32, 0.125, np.float32)),
            ops.Mean(name="mean", inputs=("a3",)),
            ops.Flatten(name="flat", inputs=("mean",)),
            ops.Linear(name="head", inputs=("flat",), weight=reals(5, 32), bias=reals(5)),
        ),
        "head",
    )


def test_openvino_binary_networks_compute_what_numpy_computes() -> None:
    need("openvino")
    from bitwright.bench.openvino_binary import binary_model
    from bitwright.bench.peers.openvino_cpu import compiled

    graph = net()
    x = noise(graph.input_type, 2)
    y = compiled(binary_model(graph, 2), Setting(batch=2))(x)[0]
    np.testing.assert_allclose(y, interpret(graph, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["9x7x16", "5x5x64", "linear256"])
def test_openvino_binary_layers_are_exact(name: str) -> None:
    need("openvino")
    from bitwright.bench.openvino_binary import binary_model
    from bitwright.bench.peers.openvino_cpu import check_binary, compiled

    item = layer_item(name, (DENSE,))
    check_binary(item, Setting(), compiled(binary_model(item.binary, 1), Setting()))
    other = Item(name, item.graphs, item.real, layer_item(name, (0.1,)).graphs[DENSE], item.layer)
    wrong = ops.Graph("x", item.binary.input_type, _with_other_weights(item.binary), "y")
    with pytest.raises(RuntimeError, match="something else than NumPy"):
        check_binary(other, Setting(), compiled(binary_model(wrong, 1), Setting()))


def _with_other_weights(graph: ops.Graph) -> tuple[ops.Op, ...]:
    from dataclasses import replace

    return tuple(
        replace(op, weight=~op.weight)
        if isinstance(op, ops.BinaryConv | ops.BinaryLinear) and op.name == "after"
        else op
        for op in graph.ops
    )


def test_openvino_binary_refuses_what_it_cannot_say() -> None:
    need("openvino")
    from bitwright.bench.openvino_binary import binary_model

    with pytest.raises(ValueError, match=r"weights are -1 and \+1"):
        binary_model(layer_item("5x5x16", (0.1,)).graphs[0.1], 1)


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_onnx_models_compute_the_layer(kind: str) -> None:
    need("onnxruntime")
    import onnxruntime

    from bitwright.bench.onnx_models import float_model, int8_model

    item = layer_item("6x6x16", (DENSE,))
    model = float_model(item.real, 1) if kind == "float32" else int8_model(item, Setting())
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    if kind == "float32":
        x = noise(item.real.input_type, 1)
        np.testing.assert_allclose(session.run(None, {entry.name: x})[0], interpret(item.real, x), atol=1e-3)
        return
    assert (entry.type, session.get_outputs()[0].type) == ("tensor(uint8)", "tensor(uint8)")
    low, high = (session.run(None, {entry.name: np.full((1, 16, 6, 6), v, np.uint8)})[0] for v in (0, 255))
    assert (low != high).any()


@pytest.mark.parametrize("name", ["torch", "onnxruntime", "openvino", "lce"])
def test_each_peer_runs_a_layer(name: str) -> None:
    peer = need(name)
    item = layer_item("6x6x32", (DENSE,))
    result = run_item(item, "layers", [peer], Setting(), isa="portable", rounds=1)
    assert not result.absent
    assert [way for _, way in result.peers] == [way.name for way in peer.ways if "layers" in way.suites]
    assert all(time.median_ms >= time.min_ms >= 0 and entrant.version for entrant, time in result.peers.values())


def test_peers_that_are_missing_or_fail_are_named_and_the_others_run() -> None:
    def fails(item: Item, setting: Setting) -> Entrant:
        raise RuntimeError("no such\nkernel")

    def runs(item: Item, setting: Setting) -> Entrant:
        return Entrant(lambda runs: (2.0, 1.0), "any", "1.0")

    peers = [
        Peer("gone", ("no_such_module", "numpy"), (Way("float32", runs),)),
        Peer("unfit", ("numpy",), (Way("float32", runs),), lambda: "made for another NumPy"),
        Peer("elsewhere", ("numpy",), (Way("float32", runs, ("networks",)),)),
        Peer("half", ("numpy",), (Way("float32", runs), Way("int8", fails))),
    ]
    result = run_item(layer_item("6x6x16", (DENSE,)), "layers", peers, Setting(), isa="portable", rounds=1)
    assert result.absent == {
        "gone": "not installed: no_such_module",
        "unfit": "made for another NumPy",
        "elsewhere": "has no part in layers",
        "half int8": "RuntimeError: no such kernel",
    }
    assert list(result.peers) == [("half", "float32")]


def test_lce_words_hold_the_lowest_bit_first() -> None:
    bits = np.zeros((1, 40), bool)
    bits[0, [0, 33]] = True
    np.testing.assert_array_equal(pack(bits), [[1, 2]])
