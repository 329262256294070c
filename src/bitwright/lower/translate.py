"""Translate: from a frozen program with its folds to the ops of a graph."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from torch.fx import Node

from bitwright.errors import LoweringError
from bitwright.ir import ops
from bitwright.ir.ops import Kind, Window
from bitwright.ir.windows import output_size
from bitwright.lower.capture import (
    Program,
    argument,
    arguments,
    describe,
    module_path,
    operation,
    refusal,
    sample_shape,
)
from bitwright.lower.emit import Emitter
from bitwright.lower.fold import SIGNS
from bitwright.lower.freeze import BinaryLayer
from bitwright.lower.tail import VIEWS, Fold, is_flatten
from bitwright.lower.views import Views

WORDS = (
    "conv2d, linear, batch_norm, add, sub, mul, div, neg, abs, square, relu, relu6, hardtanh, clamp, prelu, "
    "leaky_relu, sigmoid, tanh, silu, hardsigmoid, hardswish, max_pool2d, avg_pool2d, adaptive_avg_pool2d, "
    "mean, sum and maximum over all pixels or over channels, flatten, cat, pad with zeros, what reorders channels, "
    "x[:, :, ::2, ::2]; "
    "between a binary layer and the next sign, any operation on single elements that is monotone"
)


@dataclass
class Translation:
    """A graph in the making, and where the values of the program are found in it."""

    program: Program
    layers: dict[Node, BinaryLayer]
    folds: dict[Node, Fold]
    emit: Emitter
    names: dict[Node, str]
    accumulators: dict[Node, str] = field(default_factory=dict)
    signs: dict[str, Node] = field(default_factory=dict)  # the tensor of a sign's bits, or of levels
    sums: dict[str, tuple[BinaryLayer, str | None]] = field(default_factory=dict)  # an accumulator, its window sum
    views: Views = field(init=False)

    def __post_init__(self) -> None:
        self.views = Views(self.emit, self.names, self.program.batch)

    def tensor(self, node: Node) -> str:
        """The tensor that holds a value of the program; bits stay bits."""
        return self.views.tensor(node, self.name(node))

    def real(self, node: Node) -> str:
        """The tensor that holds a value of the program as real numbers."""
        return self.emit.real(self.tensor(node))

    def constant(self, value: object) -> bool:
        """Whether an argument of a call does not depend on the network's input."""
        return not isinstance(value, Node) or value in self.program.constants

    def name(self, call: Node) -> str:
        """What the op of a call is called: its module's path, and the operation where the module makes several."""
        path = module_path(call)
        if path in self.program.leaves:
            return path
        short = "flatten" if operation(call) in VIEWS else operation(call).rpartition(".")[2].lstrip("_")
        return f"{path}.{short}" if path else short


def translate(
    program: Program,
    layers: dict[Node, BinaryLayer],
    folds: dict[Node, Fold],
    operators: dict[str, Callable[[Translation, Node], str]],
    source: Emitter,
    start: str,
) -> Translation:
    """Emit the ops of all calls that the output needs; a folded tail needs its source only.

    Args:
        program: Frozen.
        layers: Its binary layers.
        folds: Its signs.
        operators: How to emit a real-valued call, by the name of its operation.
        source: Receives the ops.
        start: The tensor that holds the program's input.

    Raises:
        LoweringError: If a call has no place in a graph.
    """
    build = Translation(program, layers, folds, source, {program.input: start})
    needed = {program.output}
    for call in reversed(program.calls):
        if call in needed:
            needed.update([folds[call].source] if call in folds else call.all_input_nodes)
    for call in program.calls:
        if call not in needed:
            continue
        if call in folds:
            build.names[call] = _sign(build, call)
        elif call in layers:
            build.names[call] = _binary_layer(build, layers[call])
        elif operation(call) in operators:
            build.names[call] = operators[operation(call)](build, call)
        else:
            raise refusal(call, "a graph has no such op", WORDS)
    return build


def _binary_layer(build: Translation, layer: BinaryLayer) -> str:
    """The accumulator, and the real output after it; what turns out to be folded is dropped later."""
    emit, call = build.emit, layer.call
    codes = call.args[0]
    assert isinstance(codes, Node)
    x = build.tensor(codes)
    if (emit.kind(x) == Kind.DIGIT) != layer.digits and emit.kind(x) != Kind.REAL:
        raise LoweringError(
            f"{describe(call)}: its input has the kind {emit.kind(x).name}, expected "
            f"{'DIGIT' if layer.digits else 'SIGN or BIT'}. Two planes go with an input_binarizer whose attribute "
            "`digits` is true, such as Planes."
        )
    if emit.kind(x) == Kind.REAL:
        raise LoweringError(
            f"{describe(call)}: its input is real-valued, expected the output of bitwright's sign or step, perhaps "
            f"pooled or flattened; found {operation(codes)}. Give the layer an input_binarizer, or keep it real: "
            "binarize(..., where=...)."
        )
    name, shape = build.name(call), sample_shape(call)
    bits = layer.levels.bits.numpy()
    if layer.window is None:
        acc = emit.add(ops.BinaryLinear(name=name, inputs=(x,), weight=bits, signed=layer.signed), Kind.SUM, shape)
    else:
        conv = ops.BinaryConv(
            name=name,
            inputs=(x,),
            weight=bits,
            signed=layer.signed,
            window=layer.window,
            groups=layer.groups,
            gate=layer.gate(),
        )
        acc = emit.add(conv, Kind.SUM, shape)
    build.accumulators[call] = acc
    shift = None if layer.bias is None else layer.bias.numpy()
    if layer.integer:
        build.sums[acc] = layer, None
        scale = ops.Affine(name=f"{name}.scale", inputs=(acc,), scale=layer.scale.numpy(), shift=shift)
        return emit.add(scale, Kind.REAL, shape)
    total = ops.WindowSum(
        name=f"{name}.window_sum", inputs=(x,), window=layer.window or Window((1, 1)), groups=layer.groups
    )
    window_sum = emit.add(total, Kind.SUM, (layer.groups, *shape[1:]))
    build.sums[acc] = layer, window_sum
    step, low = layer.coded.step.numpy(), layer.coded.low.numpy()
    levels = ops.LevelSum(name=f"{name}.levels", inputs=(acc, window_sum), step=step, low=low, shift=shift)
    return emit.add(levels, Kind.REAL, shape)


def _sign(build: Translation, call: Node) -> str:
    """The bits of a sign: the stages of its tail and a comparison, which comes first where it can.

    Compared first, pools and flattening work on bits: the maximum reaches a threshold where any tap does.
    """
    fold, emit = build.folds[call], build.emit
    x = build.accumulators[fold.source] if fold.on_sums else build.real(fold.source)
    threshold, flip, take_min = fold.threshold, fold.flip, fold.take_min
    is_digit = SIGNS[operation(call)] == Kind.DIGIT  # which nothing pools
    from_counts = fold.on_sums or isinstance(emit.ops.get(x), ops.LevelSum)  # turning a sign costs nothing there
    compare_first = bool(fold.stages) and (from_counts or not flip.any()) and not is_digit
    if compare_first and len(threshold) != emit.shape(x)[0]:  # behind a flattening: one a feature
        per_channel = threshold.reshape(emit.shape(x)[0], -1), flip.reshape(emit.shape(x)[0], -1)
        compare_first = all(bool((rows == rows[:, :1]).all()) for rows in per_channel)
        threshold, flip = (rows[:, 0] for rows in per_channel) if compare_first else (threshold, flip)
    if compare_first:
        x = _compare(build, call, x, threshold, flip)
        take_min = tuple(falls ^ flip for falls in take_min)
    for stage, falls in zip(fold.stages, take_min, strict=True):
        x = _flatten(build, stage, x) if is_flatten(stage) else max_pool(build, stage, x, falls)
    if not compare_first:
        x = _quantize(build, call, x) if is_digit else _compare(build, call, x, threshold, flip)
    build.signs[x] = call
    return x


def _quantize(build: Translation, call: Node, x: str) -> str:
    """Digits of a tensor behind all stages of a tail; an accumulator, or what falls, is made real and turned first."""
    emit, name, fold = build.emit, build.name(call), build.folds[call]
    shape, thresholds = emit.shape(x), fold.threshold.astype(np.float32)
    if fold.on_sums or fold.flip.any():
        turn = np.where(fold.flip, np.float32(-1), np.float32(1))
        x = emit.add(ops.Affine(name=f"{name}.turn", inputs=(x,), scale=turn), Kind.REAL, shape)
    op = ops.Quantize(name=name, inputs=(x,), thresholds=thresholds, note=fold.note)
    return emit.add(op, Kind.DIGIT, shape)


def _compare(build: Translation, call: Node, x: str, threshold: np.ndarray, flip: np.ndarray) -> str:
    emit, kind, name = build.emit, SIGNS[operation(call)], build.name(call)
    shape = emit.shape(x)
    before = emit.ops.get(x)
    keeps_signs = not flip.any() and bool((threshold > -1).all() and (threshold <= 1).all())
    if keeps_signs and isinstance(before, ops.Decode) and kind == emit.kind(before.inputs[0]) == Kind.SIGN:
        return before.inputs[0]
    if emit.kind(x) == Kind.SUM:
        return emit.add(ops.Threshold(name=name, inputs=(x,), threshold=threshold, flip=flip, kind=kind), kind, shape)
    if flip.any():  # x <= t is -x >= -t
        turn = np.where(flip, np.float32(-1), np.float32(1))
        x = emit.add(ops.Affine(name=f"{name}.turn", inputs=(x,), scale=turn), Kind.REAL, shape)
        threshold = threshold * turn
    note = build.folds[call].note
    return emit.add(ops.Binarize(name=name, inputs=(x,), threshold=threshold, kind=kind, note=note), kind, shape)


def _flatten(build: Translation, call: Node, x: str) -> str:
    shape = sample_shape(call)
    return build.emit.add(ops.Flatten(name=build.name(call), inputs=(x,)), build.emit.kind(x), shape)


def max_pool(build: Translation, call: Node, x: str, take_min: np.ndarray | None = None) -> str:
    """Emit the op of a max-pool, of a tensor of any kind."""
    given = arguments(call)
    refuse_digits(build, call, x)
    kernel = pair(given["kernel_size"])
    window = Window(kernel, pair(given["stride"] or kernel), pair(given["padding"]), pair(given["dilation"]))
    check_ceil_mode(call, window)
    falls = take_min if take_min is not None and take_min.any() else None
    op = ops.MaxPool(name=build.name(call), inputs=(x,), window=window, take_min=falls)
    return build.emit.add(op, build.emit.kind(x), sample_shape(call))


def check_ceil_mode(call: Node, window: Window) -> None:
    """Refuse a pool whose last windows hang over the edge.

    Raises:
        LoweringError: If `ceil_mode` makes the result larger than the graph's op would.
    """
    _, height, width = sample_shape(argument(call))
    if output_size(window, height, width) != sample_shape(call)[1:]:
        raise refusal(call, "ceil_mode=True adds windows that hang over the edge", "ceil_mode=False, with padding")


def refuse_digits(build: Translation, call: Node, x: str) -> None:
    """Raise the error for a call that would pool digits."""
    if build.emit.kind(x) == Kind.DIGIT:
        raise refusal(call, "it pools digits of two planes", "pools before the input_binarizer")


def pair(value: object) -> tuple[int, int]:
    """Vertical and horizontal, of a size that torch may give once for both."""
    if isinstance(value, int):
        return value, value
    sizes = tuple(value)  # pyright: ignore[reportArgumentType]
    return (sizes[0], sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])
