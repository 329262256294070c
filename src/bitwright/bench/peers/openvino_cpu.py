"""OpenVINO: float32, int8 statically quantized, and its binary convolutions.

One layer is timed by OpenVINO's own clock for it, in whole microseconds and rounded down, because a call would contain
the conversions at both ends.
"""

import statistics
from typing import Any

import numpy as np

from bitwright.bench.item import Item, Setting, noise
from bitwright.bench.onnx_models import float_model, int8_model
from bitwright.bench.openvino_binary import binary_model
from bitwright.bench.peer import Peer, Way
from bitwright.bench.turns import Entrant, Round, calls
from bitwright.ir.interpret import interpret

LAYERS = ("Convolution", "FullyConnected", "MatMul", "BinaryConvolution")
KEEP_FLOAT = ("Pad", "AveragePool")  # it cannot compile a zero point behind padded channels, and loses no time by it
ALIKE = 0.99  # cosine: signs near a threshold may differ where real-valued layers add in another order


def _float32(item: Item, setting: Setting) -> Entrant:
    return _entrant(_read(float_model(item.real, setting.batch)), item, setting)


def _int8(item: Item, setting: Setting) -> Entrant:
    return _entrant(_read(int8_model(item, setting, KEEP_FLOAT)), item, setting)


def _binary(item: Item, setting: Setting) -> Entrant:
    model = binary_model(item.binary, setting.batch)
    check_binary(item, setting, compiled(model, setting))
    return _entrant(model, item, setting)


def check_binary(item: Item, setting: Setting, ready: Any) -> None:
    """See that a compiled binary model computes what the NumPy interpreter computes.

    Args:
        item: The work; a layer must agree exactly, a network nearly.
        setting: The batch.
        ready: The compiled model.

    Raises:
        RuntimeError: If it does not.
    """
    x = noise(item.binary.input_type, setting.batch)
    y = np.asarray(ready(x)[0]).reshape(setting.batch, -1)
    want = interpret(item.binary, x).reshape(setting.batch, -1)
    cosine = float((y * want).sum() / max(np.linalg.norm(y) * np.linalg.norm(want), 1e-30))
    if not (np.array_equal(y, want) if item.layer is not None else cosine >= ALIKE):
        raise RuntimeError(f"its binary graph computes something else than NumPy: cosine {cosine:.4f}")


def compiled(model: Any, setting: Setting) -> Any:
    """A model ready to run on the CPU, in float32 where it is real-valued.

    Args:
        model: The model.
        setting: How many threads it gets.
    """
    import openvino  # pyright: ignore[reportMissingImports]

    settings = {
        "INFERENCE_NUM_THREADS": setting.threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # by default processors with bfloat16 use that
        "PERF_COUNT": True,
    }
    return openvino.Core().compile_model(model, "CPU", settings)


def _read(model: Any) -> Any:
    import openvino  # pyright: ignore[reportMissingImports]

    return openvino.Core().read_model(model.SerializeToString())


def _entrant(model: Any, item: Item, setting: Setting) -> Entrant:
    import openvino  # pyright: ignore[reportMissingImports]

    request = compiled(model, setting).create_infer_request()
    x = request.get_input_tensor().data
    x[...] = noise(item.real.input_type, setting.batch) if x.dtype == np.float32 else 1
    request.infer()
    names = {p.node_name: p.exec_type for p in request.get_profiling_info() if p.node_type in LAYERS and _ran(p)}
    isa = " ".join(sorted(set(names.values())))
    version = openvino.__version__.split("-")[0]
    if item.layer is None:
        return Entrant(calls(request.infer), isa, version)
    return Entrant(_layer_rounds(request, next(iter(names))), isa, version)


def _ran(counter: Any) -> bool:
    return counter.status == counter.Status.EXECUTED


def _layer_rounds(request: Any, name: str) -> Round:
    """Rounds that read the time of one layer from OpenVINO's counters.

    Args:
        request: The request to run.
        name: Of the layer.
    """

    def measure(runs: int) -> tuple[float, float]:
        times = []
        request.infer()
        for _ in range(runs):
            request.infer()
            counter = next(p for p in request.get_profiling_info() if p.node_name == name)
            times.append(1e3 * counter.real_time.total_seconds())
        return statistics.median(times), min(times)

    return measure


PEER = Peer(
    "openvino",
    ("openvino", "onnxruntime", "onnx", "onnxscript", "torch"),
    (Way("float32", _float32), Way("int8", _int8), Way("binary", _binary)),
)
