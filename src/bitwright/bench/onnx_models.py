"""The float32 network of a graph's shapes as an ONNX model, and the same in int8, statically quantized on noise."""

import contextlib
import io
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from bitwright.bench.item import Item, Setting, noise
from bitwright.ir import ops

CALIBRATION = 8  # batches of noise


def float_model(graph: ops.Graph, batch: int) -> Any:
    """An ONNX model with one input, of float32.

    Args:
        graph: A graph of real-valued or binary layers.
        batch: Samples in a call.
    """
    import torch

    from bitwright.interop.float_twin import float_twin

    x = torch.from_numpy(noise(graph.input_type, batch))
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # of the exporter, about itself
            program = torch.onnx.export(float_twin(graph), (x,), dynamo=True, verbose=False)
    finally:
        logger.setLevel(level)
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return program.model_proto


def int8_model(item: Item, setting: Setting, keep_float: tuple[str, ...] = ()) -> Any:
    """An ONNX model whose layers are int8 between QuantizeLinear and DequantizeLinear: weights by channel.

    One layer alone reads and returns uint8, so that a call of it contains no conversion; a network float32.

    Args:
        item: The work.
        setting: The batch.
        keep_float: Operators that stay float32.
    """
    import onnx  # pyright: ignore[reportMissingImports]
    from onnxruntime import quantization  # pyright: ignore[reportMissingImports]

    model = float_model(item.real, setting.batch)

    class Noise(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.seed = 0

        def get_next(self) -> dict[str, np.ndarray] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
            self.seed += 1
            if self.seed > CALIBRATION:
                return None
            return {model.graph.input[0].name: noise(item.real.input_type, setting.batch, self.seed)}

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the quantizer, about itself
        path = Path(folder) / "int8.onnx"
        logger = logging.getLogger()
        level = logger.level
        logger.setLevel(logging.ERROR)  # it advises a preparation that changes nothing for static shapes
        try:
            quantization.quantize_static(
                model,
                path,
                Noise(),
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
                nodes_to_exclude=[node.name for node in model.graph.node if node.op_type in keep_float],
            )
        finally:
            logger.setLevel(level)
        quantized = onnx.load(path)
    return quantized if item.layer is None else _open_ends(quantized)


def _open_ends(model: Any) -> Any:
    """Take the conversions from float32 and back to it off the two ends."""
    from onnx import TensorProto, helper  # pyright: ignore[reportMissingImports]

    graph = model.graph
    first = next(node for node in graph.node if graph.input[0].name in node.input)
    last = next(node for node in graph.node if graph.output[0].name in node.output)
    for node, expected in ((first, "QuantizeLinear"), (last, "DequantizeLinear")):
        if node.op_type != expected:
            raise RuntimeError(f"expected the quantized layer to end in {expected}, found {node.op_type}")
    ends = []
    for name, tensor in ((first.output[0], graph.input[0]), (last.input[0], graph.output[0])):
        shape = [dimension.dim_value for dimension in tensor.type.tensor_type.shape.dim]
        ends.append(helper.make_tensor_value_info(name, TensorProto.UINT8, shape))
    for node in (first, last):
        graph.node.remove(node)
    del graph.input[:], graph.output[:]
    graph.input.append(ends[0])
    graph.output.append(ends[1])
    return model
