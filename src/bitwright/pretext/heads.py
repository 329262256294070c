"""Body and head of a network: the head reads features and is exchanged from task to task, the body keeps its names."""

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor, nn

HEAD = "classifier"

M = TypeVar("M", bound=nn.Module)


def head_name(net: nn.Module) -> str:
    """Name of the module that turns features into outputs.

    It is `classifier`, as in all networks of the zoo; in a network without one, the last nn.Linear that it defines.

    Args:
        net: any network.

    Raises:
        ValueError: there is neither.
    """
    if isinstance(getattr(net, HEAD, None), nn.Module):
        return HEAD
    names = [name for name, module in net.named_modules() if name and isinstance(module, nn.Linear)]
    if not names:
        raise ValueError(f"{type(net).__name__} has no head: expected a module named {HEAD!r}, or an nn.Linear")
    return names[-1]


def in_head(net: nn.Module, name: str) -> bool:
    """Whether a module, parameter or buffer of this name belongs to the head."""
    head = head_name(net)
    return name == head or name.startswith(f"{head}.")


def replace_head(net: M, make: Callable[[int], nn.Module]) -> M:
    """Put another head onto the body, in place, before the network is made binary: `real_layers` names its layers then.

    Args:
        net: the network.
        make: the new head, from the number of features that the old one reads.

    Returns:
        The same network.

    Raises:
        ValueError: there is no head, or it has no linear layer.

    Example:
        >>> from bitwright.zoo import resnet20
        >>> net = replace_head(resnet20(), lambda features: nn.Linear(features, 4))
        >>> net.classifier
        Linear(in_features=64, out_features=4, bias=True)
    """
    name = head_name(net)
    first = next((m for m in net.get_submodule(name).modules() if isinstance(m, nn.Linear)), None)
    if first is None:
        raise ValueError(f"{name}: expected a head with an nn.Linear, found {type(net.get_submodule(name)).__name__}")
    body = [n for n, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and not in_head(net, n)]
    real = [n for n in getattr(net, "real_layers", body[:1]) if not in_head(net, n)]
    head = make(first.in_features).to(first.weight.device)
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, head)
    inside = [n for n, m in head.named_modules() if isinstance(m, nn.Linear)]
    setattr(net, "real_layers", (*real, *(f"{name}.{n}" if n else name for n in inside)))  # noqa: B010, not declared
    return net


def body_features(net: nn.Module, x: Tensor) -> Tensor:
    """What the head reads, when the network sees a batch.

    Shape:
        x (N, C, H, W), result (N, features).

    Args:
        net: the network, in whichever mode it is.
        x: the batch.
    """
    seen: list[Tensor] = []
    hook = net.get_submodule(head_name(net)).register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    try:
        net(x)
    finally:
        hook.remove()
    return seen[-1].flatten(1)
