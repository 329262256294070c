"""Taps: what named modules of a network return, while a block of code runs."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from torch import Tensor, nn


@contextmanager
def tap(net: nn.Module, names: Iterable[str], inputs: bool = False) -> Iterator[dict[str, Tensor]]:
    """Collect what modules return: a dict from name to the latest output, in the order in which the modules ran first.

    So `list(features.values())` of a student and of a teacher that is built alike fit together.

    Args:
        net: the network; it is the same before and after.
        names: of modules, as `net.named_modules()` has them.
        inputs: whether to collect what modules are given, their first argument, instead.

    Raises:
        ValueError: there is no such module.
        TypeError: such a module returns, or is given, something other than a tensor; raised as it does.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> with tap(net, ["0", "1"]) as features:
        ...     logits = net(torch.randn(5, 4))
        >>> {name: tuple(value.shape) for name, value in features.items()}
        {'0': (5, 3), '1': (5, 3)}
    """
    modules, features = dict(net.named_modules()), {}
    chosen = list(names)
    for name in chosen:
        if name not in modules:
            near = get_close_matches(name, modules, n=3) or [n for n in modules if n][:8]
            raise ValueError(f"{type(net).__name__} has no module {name!r}; it has {', '.join(near)}, ...")
    handles = [modules[name].register_forward_hook(_keep(features, name, inputs)) for name in chosen]
    try:
        yield features
    finally:
        for handle in handles:
            handle.remove()


def _keep(features: dict[str, Tensor], name: str, inputs: bool):
    def hook(module: nn.Module, args: tuple[object, ...], output: object) -> None:
        value = next(iter(args), None) if inputs else output
        if not isinstance(value, Tensor):
            verb = "was given" if inputs else "returned"
            raise TypeError(f"{name} ({type(module).__name__}) {verb} {type(value).__name__}, expected a tensor")
        features[name] = value

    return hook
