"""What a well-formed graph is. Types are derived here, op by op, and stored nowhere.

`infer` looks at structure (names, kinds, shapes, dtypes), `verify` also at values, limits and what is left unused.
"""

from math import isfinite, isnan, prod

import numpy as np

from bitwright.errors import GraphError
from bitwright.ir import limits, ops
from bitwright.ir.checks import place_of, refusal
from bitwright.ir.ops import Graph, Kind, Op, TensorType
from bitwright.ir.output_types import output_type


def infer(graph: Graph) -> dict[str, TensorType]:
    """Derive the type of every tensor, by its name, the graph's input first and then in the order of the ops.

    Raises:
        GraphError: If an op reads what does not exist before it, has a name already taken, or does not fit its inputs.
    """
    _check_type(graph.input_type, f"the graph's input {graph.input!r}")
    types = {graph.input: graph.input_type}
    for op in graph.ops:
        if op.name in types:
            raise refusal(op, "a name of its own", f"{op.name!r} a second time")
        for name in op.inputs:
            if name not in types:
                raise refusal(op, "inputs from among the ops before it", f"{name!r}")
        found = output_type(op, *(types[name] for name in op.inputs))
        _check_type(found, f"{place_of(op)}: the output")
        types[op.name] = found
    return types


def verify(graph: Graph) -> dict[str, TensorType]:
    """Check a graph completely and return what `infer` says of it.

    Beyond `infer`: every parameter is finite (a clamp's upper limit may be infinite), the input is real or pixels, the
    output is real, every other tensor is read by some op (so that the output is the last op's), all names and texts are
    there and within the limits.

    Raises:
        GraphError: Naming the op, what was expected and what was found.
    """
    if not 1 <= len(graph.ops) <= limits.MAX_OPS:
        raise GraphError(f"The graph: expected 1 to {limits.MAX_OPS} ops, found {len(graph.ops)}.")
    _check_texts(graph)
    types = infer(graph)
    if graph.input_type.kind not in (Kind.REAL, Kind.PIXEL):
        raise GraphError(f"The graph's input: expected REAL or PIXEL, found {graph.input_type.kind.name}.")
    for op in graph.ops:
        _check_values(op)
    if graph.output not in types:
        raise GraphError(f"The graph's output: expected the name of an op, found {graph.output!r}.")
    used = {name for op in graph.ops for name in op.inputs} | {graph.output}
    for name in types:
        if name not in used:
            raise GraphError(f"{name}: expected every tensor to be read, found nothing that reads it. Remove it.")
    if types[graph.output].kind != Kind.REAL:
        raise GraphError(f"{graph.output}: expected a real output, found {types[graph.output].kind.name}. Decode it.")
    return types


def _check_type(found: TensorType, where: str) -> None:
    if len(found.shape) not in (1, 3) or not all(1 <= n <= limits.MAX_DIM for n in found.shape):
        raise GraphError(
            f"{where}: expected a shape (C, H, W) or (F,) of 1 to {limits.MAX_DIM} each, found {found.shape}."
        )
    if prod(found.shape) > limits.MAX_ELEMENTS:
        raise GraphError(f"{where}: expected at most {limits.MAX_ELEMENTS} elements, found the shape {found.shape}.")


def _check_values(op: Op) -> None:
    if isinstance(op, ops.Clamp) and not (isfinite(op.low) and not isnan(op.high) and op.low <= op.high):
        raise refusal(op, "a finite low that is not above high", f"low {op.low}, high {op.high}")
    if isinstance(op, ops.PixelConv):
        sums = np.abs(op.weight.reshape(len(op.weight), -1).astype(np.int64)).sum(1)
        if sums.max() > limits.MAX_PIXEL_WEIGHTS:
            expected = f"filters whose magnitudes add up to at most {limits.MAX_PIXEL_WEIGHTS}, for sums of 32 bits"
            raise refusal(op, expected, f"{sums.max()} in filter {sums.argmax()}")
    if isinstance(op, ops.Quantize) and (op.thresholds[1:] < op.thresholds[:-1]).any():
        raise refusal(op, "thresholds that ascend in every channel", "a lower one behind a higher one")
    if isinstance(op, ops.Thermometer) and (np.diff(op.thresholds, prepend=0, append=limits.NO_PIXEL) < 0).any():
        raise refusal(op, f"ascending thresholds from 0 to {limits.NO_PIXEL}", f"{op.thresholds.tolist()}")
    for field, value in vars(op).items():
        if isinstance(value, np.ndarray) and value.dtype == np.float32 and not np.isfinite(value).all():
            where = np.unravel_index(int(np.argmin(np.isfinite(value))), value.shape)
            at = ", ".join(str(i) for i in where)
            raise refusal(op, f"finite values in {field}", f"{value[where]} at [{at}]", "Did the training diverge?")


def _check_texts(graph: Graph) -> None:
    """Names are not empty, and all texts together fit the file."""
    if len(graph.meta) > limits.MAX_META:
        raise GraphError(f"The graph: expected at most {limits.MAX_META} metadata pairs, found {len(graph.meta)}.")
    names = [graph.input, *(op.name for op in graph.ops), *graph.meta]
    if not all(names):
        raise GraphError("The graph: expected every tensor and every key of the metadata to have a name, found ''.")
    size = 0
    for text in (*names, *(op.note for op in graph.ops), *graph.meta.values()):
        try:
            size += len(text.encode())
        except UnicodeEncodeError:
            raise GraphError(f"The graph: expected texts that UTF-8 can hold, found {text!r}.") from None
    if size > limits.MAX_TEXT:
        raise GraphError(f"The graph: expected at most {limits.MAX_TEXT} bytes of names and texts, found {size}.")
