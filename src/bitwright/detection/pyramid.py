"""Feature pyramids: the maps that a network makes on its way, at several resolutions, in place of its logits."""

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor, nn

from bitwright.distill.taps import tap
from bitwright.nn.layers import BinaryConv2d, BinaryLinear
from bitwright.nn.modes import evaluating


class FeaturePyramid(nn.Module):
    """A network that returns what named modules of it return; made by `feature_pyramid`.

    `real_layers` and `input_binarizers` are those of the network, so that `bitwright.binarize` makes the same layers
    binary. A network without `real_layers` keeps its first and its last layer real, as it would by itself.

    Shape:
        x as the network takes it; result a dict from name to map, in the order of the names.

    Args:
        net: The network; what comes behind the last map is run in vain, and left out of a packed file.
        names: Of its modules.
    """

    real_layers: tuple[str, ...]

    def __init__(self, net: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.net = net
        self.names = tuple(names)
        with tap(net, self.names):
            pass  # names that are not there are refused here
        layers = [n for n, m in net.named_modules() if type(m) in (nn.Conv2d, nn.Linear, BinaryConv2d, BinaryLinear)]
        self.real_layers = tuple(f"net.{name}" for name in getattr(net, "real_layers", [*layers[:1], *layers[-1:]]))
        own: dict[str, Callable[[], nn.Module]] = getattr(net, "input_binarizers", {})
        self.input_binarizers = {f"net.{name}": make for name, make in own.items()}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """The maps of a batch."""
        with tap(self.net, self.names) as maps:
            self.net(x)
        return {name: maps[name] for name in self.names}


def feature_pyramid(
    net: nn.Module, names: Sequence[str] | None = None, *, levels: int = 3, example: Tensor | None = None
) -> FeaturePyramid:
    """Have a network return the maps of named modules.

    Without names the last map of each of the `levels` smallest resolutions is taken, larger ones first, as the
    network has them for the example. Maps of one pixel, as behind global pooling, are none.

    Shape:
        example: (N, C, H, W), on the device of the network.

    Args:
        net: A network of the zoo, one that a search found, or any other; binary already, or not yet.
        names: Of modules, as `net.named_modules()` has them.
        levels: How many, where there are no names.
        example: What the network is run on once, in eval mode, where there are no names.

    Raises:
        ValueError: There is no such module, neither names nor an example are given, or there are fewer resolutions.

    Example:
        >>> from bitwright.zoo import resnet20
        >>> pyramid = feature_pyramid(resnet20(), levels=2, example=torch.zeros(1, 3, 32, 32))
        >>> {name: tuple(value.shape) for name, value in pyramid(torch.zeros(1, 3, 32, 32)).items()}
        {'blocks.11': (1, 32, 16, 16), 'blocks.17': (1, 64, 8, 8)}
    """
    if names is None:
        if example is None:
            raise ValueError("expected the names of modules, or an example by which they are found")
        names = _find_levels(net, levels, example)
    return FeaturePyramid(net, names)


@torch.no_grad()
def _find_levels(net: nn.Module, levels: int, example: Tensor) -> list[str]:
    makers: dict[tuple[int, ...], tuple[Tensor, list[str]]] = {}  # by resolution: the last map, and who returns it

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: object, output: object) -> None:
            if not isinstance(output, Tensor) or output.dim() != 4 or prod(output.shape[2:]) == 1:
                return
            side = tuple(output.shape[2:])
            same = side in makers and makers[side][0] is output
            makers[side] = output, [*(makers[side][1] if same else []), name]

        return hook

    layers = tuple(f"{name}." for name, module in net.named_modules() if isinstance(module, nn.Conv2d | nn.Linear))
    modules = [
        (n, m) for n, m in net.named_modules() if n and not n.startswith(layers)
    ]  # weights' modules return weights
    handles = [module.register_forward_hook(note(name)) for name, module in modules]
    try:
        with evaluating(net):
            net(example)
    finally:
        for handle in handles:
            handle.remove()
    sides = sorted(makers, key=prod, reverse=True)
    if not 1 <= levels <= len(sides):
        found = ", ".join("x".join(map(str, side)) for side in sides) or "none"
        raise ValueError(f"levels: {type(net).__name__} has maps of {found}, expected from 1 to {len(sides)} of them")
    chosen: list[str] = []
    for side in sides[-levels:]:
        chosen.append(_outermost(makers[side][1], chosen))
    return chosen


def _outermost(names: list[str], others: list[str]) -> str:
    """Of modules that return one tensor: the outermost around the first, without another level's module inside."""
    around = [n for n in names if names[0].startswith(f"{n}.") and not any(o.startswith(f"{n}.") for o in others)]
    return min([names[0], *around], key=len)
