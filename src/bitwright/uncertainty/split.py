"""Split: one graph becomes two, the Bayesian layer with what comes before it, and what comes behind.

The head computes the layer for many sets of weights at once: its filters stand one set after another. The trunk then
takes the maps of each set as samples of a batch, and is the packed network as it was.
"""

from dataclasses import replace

import numpy as np

from bitwright.errors import BitwrightError
from bitwright.format.posterior import Posterior
from bitwright.ir import ops
from bitwright.ir.ops import Array, Graph, Kind, Op, TensorType
from bitwright.ir.verify import infer, verify


def draw_weights(posterior: Posterior, samples: int, seed: int) -> Array:
    """Weights from N(weight, deviation^2), each by itself; of a larger number the first ones are the same.

    Shape:
        output: (samples, *weight), float32.

    Args:
        posterior: Means and deviations.
        samples: How many sets of weights.
        seed: Of `numpy.random.default_rng`.
    """
    noise = np.random.default_rng(seed).standard_normal((samples, *posterior.op.weight.shape), np.float32)
    return posterior.op.weight + posterior.deviation * noise


def make_head(graph: Graph, layer: ops.Conv | ops.Linear, weights: Array) -> Graph:
    """The graph up to a layer, with S sets of weights for it.

    With one group, the output holds the channels of the first set, then those of the second, and so on; with more,
    these blocks in every group.

    Shape:
        weights: (S, *layer.weight).

    Args:
        graph: The whole.
        layer: The Conv or Linear.
        weights: For the layer.
    """
    needed: set[str] = set()
    for op in reversed(graph.ops):
        if op is layer or op.name in needed:
            needed.update((op.name, *op.inputs))
    sets, groups = len(weights), _groups(layer)
    in_order = weights.reshape(sets, groups, -1, *layer.weight.shape[1:]).swapaxes(0, 1)  # (groups, S, out/groups, ...)
    wide = replace(
        layer,
        weight=np.ascontiguousarray(in_order.reshape(-1, *layer.weight.shape[1:])),
        bias=None if layer.bias is None else np.tile(layer.bias.reshape(groups, -1), (1, sets)).reshape(-1),
    )
    kept = tuple(wide if op is layer else op for op in graph.ops if op.name in needed)
    head = Graph(graph.input, graph.input_type, kept, layer.name)
    verify(head)
    return head


def make_trunk(graph: Graph, layer: Op) -> Graph:
    """The graph behind a layer, whose output it takes.

    Args:
        graph: The whole.
        layer: Where it is cut.

    Raises:
        BitwrightError: If something behind the layer reads what comes before it, or nothing is behind it.
    """
    before, kept = {layer.name}, []
    for op in graph.ops[graph.ops.index(layer) + 1 :]:
        if before & set(op.inputs):
            before.add(op.name)
            kept.append(op)
    inner = {op.name for op in kept} | {layer.name}
    around = next((op for op in kept if not inner.issuperset(op.inputs)), None)
    if around is not None or not kept:
        found = f"{around.name}, which reads {', '.join(around.inputs)}" if around else "nothing behind it"
        raise BitwrightError(
            f"{layer.name}: expected a Bayesian layer that everything behind it reads, and nothing passes by; "
            f"found {found}."
        )
    trunk = Graph(layer.name, TensorType(Kind.REAL, infer(graph)[layer.name].shape), tuple(kept), graph.output)
    verify(trunk)
    return trunk


def by_sample(maps: Array, sets: int, layer: ops.Conv | ops.Linear) -> Array:
    """What a head returned, as a batch for the trunk: the S sets of the first image, of the second one, and so on.

    Shape:
        maps: (N, S * out, ...); output: (N * S, out, ...).

    Args:
        maps: Output of the head.
        sets: S.
        layer: As in the graph.
    """
    n, groups = len(maps), _groups(layer)
    blocks = maps.reshape(n, groups, sets, -1, *maps.shape[2:]).swapaxes(1, 2)  # (N, S, groups, out/groups, ...)
    return np.ascontiguousarray(blocks).reshape(n * sets, -1, *maps.shape[2:])


def _groups(layer: ops.Conv | ops.Linear) -> int:
    return layer.groups if isinstance(layer, ops.Conv) else 1
