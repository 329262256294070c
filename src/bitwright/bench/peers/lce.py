"""Larq Compute Engine: one binary layer, by its indirect kernel, which is the faster one; a call is timed.

Its package imports TensorFlow for a converter that is not needed here: the interpreter and the file's schema are loaded
by themselves, and the model, of one operator, is written with them. Bits mean the opposite of ours: 1 is -1. Outside
the image it counts +1, not zero, since with bits as its output it has no other padding.
"""

from functools import cache
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from bitwright.bench.item import Item, Setting
from bitwright.bench.peer import Peer, Way
from bitwright.bench.turns import Entrant, calls
from bitwright.ir import ops

_FILES = {
    "interpreter_wrapper_lite": "tflite/python/interpreter_wrapper_lite.so",
    "tflite_schema": "mlir/python/tflite_schema.py",
}


def _binary(item: Item, setting: Setting) -> Entrant:
    layer = next(op for op in item.binary.ops if op.name == item.layer)
    assert isinstance(layer, ops.BinaryConv | ops.BinaryLinear)
    weight = layer.weight.transpose(0, 2, 3, 1) if isinstance(layer, ops.BinaryConv) else layer.weight[:, None, None, :]
    height, width = item.binary.input_type.shape[1:] if isinstance(layer, ops.BinaryConv) else (1, 1)
    threshold = np.full(len(weight), weight[0].size // 2, np.int32)
    bits = np.random.default_rng(0).random((setting.batch, height, width, weight.shape[3])) < 0.5
    model = layer_model(bits.shape, weight, threshold)
    # the last three: no reference kernel, the indirect one, no other delegate
    interpreter = _load("interpreter_wrapper_lite").LiteInterpreter(model, setting.threads, False, True, False)
    x = pack(bits)
    if not np.array_equal(interpreter.predict([x])[0], pack(_reference(bits, weight, threshold))):
        raise RuntimeError("its layer computes something else than NumPy")
    return Entrant(calls(lambda: interpreter.predict([x])), "portable", version("larq-compute-engine"))


def pack(bits: np.ndarray) -> np.ndarray:
    """The last axis as 32-bit words, the lowest bit first, filled up with 0.

    Shape:
        bits: (..., C) bool; output: (..., ceil(C / 32)) int32.

    Args:
        bits: What to pack.
    """
    padding = [(0, 0)] * (bits.ndim - 1) + [(0, -bits.shape[-1] % 32)]
    return np.packbits(np.pad(bits, padding), axis=-1, bitorder="little").view("<i4")


def layer_model(shape: tuple[int, ...], weight: np.ndarray, threshold: np.ndarray) -> bytes:
    """A TFLite file of one binary convolution, bits to bits: bit = popcount(x xor w) > threshold.

    Args:
        shape: (N, H, W, C) of its input.
        weight: (out, kh, kw, in) bool.
        threshold: (out,) int32.
    """
    import flatbuffers  # pyright: ignore[reportMissingImports]

    s = _load("tflite_schema")
    buffers = [s.BufferT()]  # the first is empty by convention

    def tensor(name: str, shape: tuple[int, ...], values: np.ndarray | None = None) -> Any:
        made = s.TensorT()
        made.name, made.shape, made.type, made.buffer = name, list(shape), s.TensorType.INT32, 0
        if values is not None:
            made.buffer = len(buffers)
            buffers.append(s.BufferT())
            buffers[-1].data = np.frombuffer(values.astype("<i4").tobytes(), np.uint8)
        return made

    code = s.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = s.BuiltinOperator.CUSTOM
    code.customCode, code.version = "LceBconv2d", 1
    operator = s.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1, -1, -1, 2], [3]
    operator.customOptions = np.frombuffer(_options(shape[3]), np.uint8)
    words = pack(weight)
    output = (*shape[:3], -(-len(weight) // 32))
    graph = s.SubGraphT()
    graph.tensors = [
        tensor("x", (*shape[:3], words.shape[3])),
        tensor("weight", words.shape, words),
        tensor("threshold", threshold.shape, threshold),
        tensor("y", output),
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [3], [operator]
    model = s.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], buffers
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _options(channels: int) -> bytes:
    from flatbuffers import flexbuffers  # pyright: ignore[reportMissingImports]

    builder = flexbuffers.Builder()
    settings = {"channels_in": channels, "stride_height": 1, "stride_width": 1, "pad_values": 1}
    settings |= {"dilation_height_factor": 1, "dilation_width_factor": 1, "padding": 0, "fused_activation_function": 0}
    with builder.Map():
        for name, value in settings.items():
            builder.Key(name)
            builder.Int(value)
    return bytes(builder.Finish())


def _reference(bits: np.ndarray, weight: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """The same in NumPy, by a product of -1 and +1 for each tap."""
    taps, (n, h, w, c) = weight.shape[1], bits.shape
    margin = taps // 2
    padded = 1 - 2 * np.pad(bits, ((0, 0), (margin, margin), (margin, margin), (0, 0))).astype(np.float32)
    signs = 1 - 2 * weight.astype(np.float32)
    total = np.zeros((n, h, w, len(weight)), np.float32)
    for i in range(taps):
        for j in range(taps):
            total += padded[:, i : i + h, j : j + w] @ signs[:, i, j].T
    return (taps * taps * c - total) / 2 > threshold


@cache
def _load(name: str) -> ModuleType:
    package = find_spec("larq_compute_engine")
    assert package is not None and package.origin is not None
    spec = spec_from_file_location(name, Path(package.origin).parent / _FILES[name])
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _unfit() -> str:
    found = int(np.__version__.split(".")[0])
    return "" if found < 2 else f"larq-compute-engine is built for NumPy 1, found {np.__version__}"


PEER = Peer("lce", ("larq_compute_engine", "flatbuffers"), (Way("binary", _binary, ("layers",)),), _unfit)
