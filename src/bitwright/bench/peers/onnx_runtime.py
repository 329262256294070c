"""ONNX Runtime: float32, and int8 statically quantized. Inputs and outputs stay bound, so a call copies nothing."""

from typing import Any

import numpy as np

from bitwright.bench.item import Item, Setting, noise
from bitwright.bench.onnx_models import float_model, int8_model
from bitwright.bench.peer import Peer, Way, best_isa
from bitwright.bench.turns import Entrant, calls


def _float32(item: Item, setting: Setting) -> Entrant:
    return _entrant(float_model(item.real, setting.batch), item, setting)


def _int8(item: Item, setting: Setting) -> Entrant:
    return _entrant(int8_model(item, setting), item, setting)


def _entrant(model: Any, item: Item, setting: Setting) -> Entrant:
    import onnxruntime  # pyright: ignore[reportMissingImports]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = setting.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = noise(item.real.input_type, setting.batch)
    if session.get_inputs()[0].type == "tensor(uint8)":
        x = np.random.default_rng(0).integers(0, 256, x.shape, dtype=np.uint8)
    value = onnxruntime.OrtValue.ortvalue_from_numpy(x)
    output = session.get_outputs()[0].name
    binding = session.io_binding()
    binding.bind_ortvalue_input(session.get_inputs()[0].name, value)
    binding.bind_output(output)
    session.run_with_iobinding(binding)
    binding.bind_ortvalue_output(output, binding.get_outputs()[0])
    return Entrant(calls(lambda: session.run_with_iobinding(binding)), best_isa(), onnxruntime.__version__)


PEER = Peer(
    "onnxruntime",
    ("onnxruntime", "onnx", "onnxscript", "torch"),
    (Way("float32", _float32), Way("int8", _int8)),
)
