"""Compare: the graph read back from a file against torch, tensor by tensor.

Where a sign differs, torch's bits take the place of the graph's before the next op reads them. Every tensor is thus
compared on equal terms, and one differing bit is counted once, not again in everything that follows from it.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from bitwright.errors import LoweringError
from bitwright.ir import ops
from bitwright.ir.interpret import evaluate, interpret
from bitwright.ir.ops import Graph, Kind
from bitwright.ir.verify import infer
from bitwright.lower.outputs import row
from bitwright.lower.translate import Translation

NEAR = 1e-4  # of a tensor's largest magnitude: what rounding may add up to on the way to a threshold
LOGITS = 1e-4  # of the largest logit

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class SignReport:
    """How the bits of one sign compare with torch's.

    Args:
        name: The tensor in the graph.
        exact: Whether only integers and their levels stand between these bits and the ones before them.
        bits: How many were compared.
        differing: How many differ.
        distance: The largest distance of a differing value from its threshold, relative to the largest value around.
    """

    name: str
    exact: bool
    bits: int
    differing: int
    distance: float


@dataclass(frozen=True)
class Comparison:
    """What a comparison on an example found.

    Args:
        signs: The bits, sign by sign.
        accumulators: How many outputs of binary layers were compared; all are equal.
        logits_absolute: The largest difference of an output, once every sign holds torch's bits.
        logits_relative: The same, relative to the largest output of the images that ran together.
        labels_differing: Samples whose largest output is another one when the graph runs on its own bits.
    """

    signs: tuple[SignReport, ...]
    accumulators: int
    logits_absolute: float
    logits_relative: float
    labels_differing: int


def compare(graph: Graph, build: Translation, net: nn.Module, example: Tensor, x: Tensor) -> Comparison:
    """Run a graph and torch on an example and compare every accumulator, every sign and the logits.

    Shape:
        example: (N, ...) what the file takes, pixels perhaps. x: (N, ...) float32, what the network takes.

    Args:
        graph: As read back from the file.
        build: The translation it came from.
        net: The module on the CPU, in eval mode.
        example: Input of the graph.
        x: Input of the network.

    Raises:
        LoweringError: If a difference is larger than the order of float32 operations explains.
    """
    program = build.program
    exact = _exact_signs(graph, build)
    totals = {name: np.zeros(3) for name in exact}  # bits, differing, distance
    counts = np.zeros(2, np.int64)  # accumulators, differing labels
    absolute = relative = 0.0
    for start in range(0, len(x), program.batch):
        part = x[start : start + program.batch]
        padded = torch.cat([part, part[-1:].expand(program.batch - len(part), *part.shape[1:])])
        values = program.run(padded)
        with torch.no_grad():
            logits = row(net(padded))[: len(part)].numpy()  # a batch of the same size: torch may order sums by it
        pixels = example[start : start + program.batch].numpy()
        tensors = _run_beside(graph, build, pixels, values, totals)
        counts[0] += _check_accumulators(build, tensors, values)
        out = tensors[graph.output]
        difference = float(np.abs(out - logits).max())
        absolute = max(absolute, difference)
        relative = max(relative, difference / max(float(np.abs(logits).max()), 1e-30))
        alone = out if not any(total[1] for total in totals.values()) else interpret(graph, pixels)
        flat = (a.reshape(len(a), -1).argmax(1) for a in (alone, logits))
        counts[1] += int(np.not_equal(*flat).sum())
    signs = tuple(SignReport(name, exact[name], int(t[0]), int(t[1]), float(t[2])) for name, t in totals.items())
    _judge(signs, relative)
    return Comparison(signs, int(counts[0]), absolute, relative, int(counts[1]))


def changes(before: np.ndarray, after: np.ndarray) -> tuple[float, int]:
    """The largest change of an output, relative to the largest output, and how many samples get another label.

    Shape:
        before, after: (N, ...).

    Args:
        before: Outputs of a graph.
        after: Those of another on the same samples.
    """
    relative = float(np.abs(after - before).max() / max(np.abs(before).max(), np.finfo(np.float32).tiny))
    labels, others = (logits.reshape(len(logits), -1).argmax(1) for logits in (before, after))
    return relative, int((labels != others).sum())


def _run_beside(graph: Graph, build: Translation, x: np.ndarray, values: dict, totals: dict[str, np.ndarray]) -> Arrays:
    """Interpret a graph, putting torch's bits in the place of every sign once they are compared."""
    types = infer(graph)
    tensors: Arrays = {graph.input: x}
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for op in graph.ops:
            y = evaluate(op, [types[name].kind for name in op.inputs], *(tensors[name] for name in op.inputs))
            if op.name in totals:
                expected = _codes(values[build.signs[op.name]].numpy()[: len(x)], types[op.name].kind)
                wrong = y != expected
                distance = _distance(graph, op, tensors, wrong) if wrong.any() else 0.0
                total = totals[op.name]
                total += y.size, wrong.sum(), 0
                total[2] = max(total[2], distance)
                y = expected
            tensors[op.name] = y
    return tensors


def _codes(values: np.ndarray, kind: Kind) -> np.ndarray:
    """The bits, or the codes of digits, that a sign's values in torch stand for; levels stand for themselves."""
    if kind == Kind.REAL:
        return values
    return np.rint(values * 1.5 + 1.5).astype(np.uint8) if kind == Kind.DIGIT else values > 0


def _distance(graph: Graph, op: ops.Op, tensors: Arrays, wrong: np.ndarray) -> float:
    """How far the values of differing bits lie from their thresholds, relative to the largest value of the tensor.

    Of a pool of bits, the value in the window that lies nearest counts. Integers have no business near a threshold:
    infinity.
    """
    made_by = {op.name: op for op in graph.ops}
    stages: list[ops.Op] = []
    while isinstance(op, ops.MaxPool | ops.Flatten):
        stages.insert(0, replace(op, take_min=None) if isinstance(op, ops.MaxPool) else op)
        op = made_by[op.inputs[0]]
    before = made_by.get(op.inputs[0])
    if isinstance(before, ops.FixedPoint):  # levels: of whole numbers, whose thresholds lie halfway
        x = tensors[before.inputs[0]]
        return float((0.5 - np.abs(x - np.rint(x)))[wrong].max() / max(float(np.abs(x).max()), 1e-30))
    if not isinstance(op, ops.Binarize | ops.Quantize):
        return float("inf")
    x = tensors[op.inputs[0]]
    thresholds = op.thresholds if isinstance(op, ops.Quantize) else op.threshold[None]
    nearness = -np.min([np.abs(x - row.reshape(-1, *[1] * (x.ndim - 2))) for row in thresholds], axis=0)
    for stage in stages:
        nearness = evaluate(stage, [Kind.REAL], nearness)
    return float(-nearness[wrong].min() / max(float(np.abs(x).max()), 1e-30))


def _check_accumulators(build: Translation, tensors: Arrays, values: dict) -> int:
    """Hold each accumulator against the output of its layer in torch; returns how many were compared."""
    count = 0
    for name, (layer, window_sum) in build.sums.items():
        if name not in tensors:
            continue
        acc = torch.from_numpy(tensors[name]).float()
        total = None
        if window_sum is not None:
            per_group = torch.from_numpy(tensors[window_sum]).float()
            total = per_group.repeat_interleave(acc.shape[1] // per_group.shape[1], dim=1)
        wrong = int((layer.output(acc, total) != values[layer.call][: len(acc)]).sum())
        if wrong:
            raise LoweringError(
                f"{name}: {wrong} of {acc.numel()} outputs of this binary layer differ from torch's, expected none. "
                "This is a mistake of bitwright; please report it with the network."
            )
        count += acc.numel()
    return count


def _exact_signs(graph: Graph, build: Translation) -> dict[str, bool]:
    """The graph's signs, and whether each depends on earlier bits through nothing but integers and their levels."""
    types = infer(graph)
    exact: dict[str, bool] = {graph.input: False}
    for op in graph.ops:
        if isinstance(op, ops.Affine):
            keeps = types[op.inputs[0]].kind == Kind.SUM or (op.shift is None and bool((np.abs(op.scale) == 1).all()))
        else:
            moves = isinstance(op, ops.MaxPool | ops.Flatten | ops.Channels | ops.Decode)
            keeps = moves or isinstance(op, ops.LevelSum | ops.Shift | ops.Binarize | ops.Quantize)
        starts = isinstance(op, ops.BinaryConv | ops.BinaryLinear | ops.WindowSum | ops.Threshold | ops.Thermometer)
        exact[op.name] = starts or (keeps and all(exact[name] for name in op.inputs))
    return {op.name: exact[op.name] for op in graph.ops if op.name in build.signs}


def _judge(signs: tuple[SignReport, ...], relative: float) -> None:
    for sign in signs:
        if sign.differing and (sign.exact or sign.distance > NEAR):
            expected = "none" if sign.exact else f"none farther than {NEAR:g} of the largest value from its threshold"
            raise LoweringError(
                f"{sign.name}: {sign.differing} of {sign.bits} bits differ from torch's, expected {expected}, "
                f"found one at {sign.distance:.3g}. This is a mistake of bitwright; please report it with the network."
            )
    if relative > LOGITS:
        raise LoweringError(
            f"The output differs from torch's by {relative:.3g} of its largest value, expected at most {LOGITS:g}. "
            "This is a mistake of bitwright; please report it with the network."
        )
