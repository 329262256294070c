"""Capture: from a module to a flat program of torch operations, in which each binary layer is one operation.

The program is functional (in-place operations are gone) and every operation remembers the module that called it.
"""

import copy
import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node
from torch.fx.node import map_arg

from bitwright.errors import LoweringError
from bitwright.lower.outputs import Shapes, join_outputs

BATCH = 2, 8  # samples per run of the program: two at least, so that no operation can take the batch for a 1


@dataclass(frozen=True)
class Program:
    """What a module computes in eval mode, on batches of one size.

    `calls` are in an order in which each reads only the input, `constants` and earlier calls. Where the network returns
    several tensors, `shapes` names them, see `outputs.py`.
    """

    calls: tuple[Node, ...]
    input: Node
    output: Node
    constants: dict[Node, Tensor]
    leaves: frozenset[str]  # paths of the modules that make one operation each
    batch: int
    shapes: Shapes

    def run(self, x: Tensor) -> dict[Node, Any]:
        """The value of every call on one batch, computed by torch's own operations."""
        return run(self.calls, {**self.constants, self.input: x})


def run(calls: Iterable[Node], values: dict[Node, Any]) -> dict[Node, Any]:
    """Evaluate calls in order, on top of the values already known; returns all of them."""
    values = dict(values)
    with torch.no_grad():
        for call in calls:
            values[call] = evaluate(call, values)
    return values


def evaluate(call: Node, values: dict[Node, Any]) -> Any:
    """The value of one call from those of its arguments."""
    args, kwargs = map_arg((call.args, call.kwargs), values.__getitem__)  # pyright: ignore[reportArgumentType]
    return call.target(*args, **kwargs)  # pyright: ignore[reportCallIssue]


def sample_shape(node: Node) -> tuple[int, ...]:
    """The shape of one sample of a call's value."""
    return tuple(int(n) for n in node.meta["val"].shape[1:])


def module_path(node: Node) -> str:
    """The dotted name of the innermost module that made the call; empty for the outermost one."""
    stack = node.meta.get("nn_module_stack") or {"": ("", "")}
    return list(stack.values())[-1][0]


def describe(node: Node) -> str:
    """Where a call comes from, for messages: the path and the class of its module."""
    stack = node.meta.get("nn_module_stack") or {"": ("", "the network")}
    path, kind = list(stack.values())[-1]
    kind = str(kind if isinstance(kind, str) else kind.__name__).rpartition(".")[2]
    return f"{path} ({kind})" if path else f"the outermost module ({kind})"


def operation(node: Node) -> str:
    """The name of the torch operation that a call makes, as `aten.conv2d`."""
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        return str(target).rpartition(".")[0]
    return getattr(target, "__name__", str(target))


def argument(call: Node) -> Node:
    """The first argument of a call that takes a tensor first."""
    (source, *_) = call.args
    assert isinstance(source, Node)
    return source


def refusal(call: Node, why: str, supported: str) -> LoweringError:
    """The error for a call that has no place in a graph."""
    return LoweringError(f"{describe(call)}: {operation(call)} cannot be lowered: {why}. Supported: {supported}.")


def arguments(call: Node) -> dict[str, Any]:
    """What a call is given, by the names of the operation's schema, defaults included."""
    target = call.target
    assert isinstance(target, torch._ops.OpOverload)
    given = dict(zip((a.name for a in target._schema.arguments), call.args, strict=False)) | call.kwargs
    return {a.name: given.get(a.name, a.default_value) for a in target._schema.arguments}


@contextmanager
def _silence() -> Iterator[None]:
    """No warnings and no log inside the block: torch warns of its own deprecations, and prints graphs on errors."""
    level = logging.root.manager.disable
    logging.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def on_cpu(net: nn.Module) -> nn.Module:
    """The module itself if it lies on the CPU, else a copy that does."""
    tensors = [*net.parameters(), *net.buffers()]
    return net if all(t.device.type == "cpu" for t in tensors) else copy.deepcopy(net).cpu()


def check_tensors(net: nn.Module) -> None:
    """Refuse parameters and buffers that no file could hold.

    Raises:
        LoweringError: If one is not float32 or holds a NaN or an infinity.
    """
    for name, tensor in [*net.named_parameters(), *net.named_buffers()]:
        if not tensor.is_floating_point():
            continue
        path, _, leaf = name.rpartition(".")
        where = f"{path or 'the outermost module'} ({type(net.get_submodule(path)).__name__})"
        if tensor.dtype != torch.float32:
            raise LoweringError(
                f"{where}: {leaf} is {tensor.dtype}, expected torch.float32. Convert the network with net.float()."
            )
        if not bool(tensor.isfinite().all()):
            bad = int((~tensor.isfinite()).sum())
            raise LoweringError(
                f"{where}: {leaf} holds {bad} values that are NaN or infinite, of {tensor.numel()}. "
                "Export a checkpoint from before the training diverged."
            )


def capture(net: nn.Module, x: Tensor) -> Program:
    """Trace a module that lies on the CPU.

    Shape:
        x: (N, C, H, W) or (N, F), float32; only its shape matters.

    Args:
        net: The module, in eval mode.
        x: What it is called with; N is at least 2.

    Raises:
        LoweringError: If `torch.export` cannot follow the module, or it returns something else than tensors.
    """
    try:
        with _silence(), torch.no_grad():
            exported = torch.export.export(net, (x,), strict=False).run_decompositions({})
    except Exception as error:
        raise LoweringError(
            f"{type(net).__name__}: torch.export cannot capture this module: {_first_line(error)} "
            "Its forward must take one tensor and may not branch on the values of tensors; "
            "try torch.export.export(net.eval(), (x,)) on its own for the full message."
        ) from error

    output, shapes = join_outputs(net, exported)
    signature = exported.graph_signature
    held = {**exported.state_dict, **exported.constants}
    names = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    constants: dict[Node, Tensor] = {}
    calls: list[Node] = []
    source = None
    for node in exported.graph.nodes:
        if node.op == "placeholder" and node.name in names:
            constants[node] = held[names[node.name]].detach()
        elif node.op == "placeholder":
            source = node
        elif node.op == "call_function":
            calls.append(node)
        elif node.op != "output":
            raise LoweringError(f"{describe(node)}: {node.op} {node.target} has no place in a graph.")
    assert source is not None
    leaves = (path for path, module in net.named_modules() if path and _is_leaf(module))
    return Program(tuple(calls), source, output, constants, frozenset(leaves), len(x), shapes)


def _is_leaf(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d | nn.Linear) or not list(module.children())


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".") + "."
