"""Outputs: a network that returns several tensors becomes a program that returns one row of all their elements.

A graph has one output. The metadata say which stretch of the row is which tensor, see `format.outputs`.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Graph, Node
from torch.utils._pytree import tree_leaves, tree_unflatten

from bitwright.errors import LoweringError

Shapes = dict[str, tuple[int, ...]]


def row(outputs: Any) -> Tensor:
    """What the program of a network returns, from what the network returns.

    Shape:
        outputs: a tensor, returned as it is, or a dict, tuple or list of them, (N, ...) each. Result: (N, elements).

    Args:
        outputs: Of a batch.
    """
    if isinstance(outputs, Tensor):
        return outputs
    return torch.cat([value.flatten(1) for value in tree_leaves(outputs)], dim=1)


def join_outputs(net: nn.Module, exported: ExportedProgram) -> tuple[Node, Shapes]:
    """The node that computes the output of a captured program, and the shapes of the tensors in its row.

    These are empty where the network returns one tensor; the others of a tuple or list have their positions as names.

    Args:
        net: The network, for messages.
        exported: What was captured of it; its graph grows by what joins the outputs.

    Raises:
        LoweringError: If the network returns something else than a tensor or a dict, tuple or list of tensors.
    """
    wrong = LoweringError(
        f"{type(net).__name__}: returns {_describe(exported)}, expected one tensor, or a dict, tuple or list of "
        "tensors that are computed from the input. Wrap it in a module that returns only those."
    )
    graph, spec = exported.graph, exported.call_spec.out_spec
    (end,) = (node for node in graph.nodes if node.op == "output")
    by_name = {node.name: node for node in graph.nodes}
    found = [by_name[name] for name in exported.graph_signature.user_outputs if isinstance(name, str)]
    if not found or len(found) < len(exported.graph_signature.user_outputs) or spec is None:
        raise wrong
    structure = tree_unflatten(range(len(found)), spec)
    if isinstance(structure, int):
        return found[0], {}
    named = _named(structure)
    if named is None or any(node.op != "call_function" for node in found):
        raise wrong
    shapes = {name: tuple(int(n) for n in found[index].meta["val"].shape[1:]) for name, index in named.items()}
    with graph.inserting_before(end):
        flat = [_call(graph, torch.ops.aten.flatten.using_ints, node, 1) for node in found]
        return _call(graph, torch.ops.aten.cat.default, flat, 1), shapes


def _named(structure: Any) -> dict[str, int] | None:
    """Position by name, of the leaves of a flat dict, tuple or list; None if it is none, or a name is no short text."""
    if isinstance(structure, Mapping):
        items = list(structure.items())
    elif isinstance(structure, tuple | list):
        items = [(str(position), value) for position, value in enumerate(structure)]
    else:
        return None
    good = all(isinstance(name, str) and name and "\n" not in name and isinstance(at, int) for name, at in items)
    return dict(sorted(items, key=lambda item: item[1])) if good else None


def _call(graph: Graph, target: Any, *args: Any) -> Node:
    """A new call at the end of a program."""
    node = graph.call_function(target, args)
    values = [[n.meta["val"] for n in arg] if isinstance(arg, list) else arg for arg in args]
    node.meta["val"] = target(*(value.meta["val"] if isinstance(value, Node) else value for value in values))
    return node


def _describe(exported: ExportedProgram) -> str:
    """What a network returns, for messages."""
    values = len(exported.graph_signature.user_outputs)
    return f"{values} values" if values != 1 else "one value"
