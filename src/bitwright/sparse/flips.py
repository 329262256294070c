"""Weight flipping: weights that still change sign late in training are insensitive, and layers shrink by their share.

In a binary network neither level means "unimportant", so magnitudes of levels say nothing; a weight that keeps flipping
while the accuracy stands still does. The result is a narrower dense network, trained anew: no masks, nothing to store.
"""

from collections.abc import Mapping, Sequence
from math import floor

import torch
from torch import Tensor, nn

from bitwright.nn.layers import BinaryConv2d, BinaryLinear
from bitwright.sparse.ranking import rank


class FlipCounter:
    """Counts sign changes of latent weights between epoch ends: f_i = sum over e of 1[sign(w_i^e) != sign(w_i^(e-1))].

    With sign(0) = +1. Make it, or `reset` it, where the pruning interval begins: the late epochs of training that bring
    only the last bit of accuracy.

    Args:
        net: the network; its binary layers are watched.

    Raises:
        ValueError: the network has no binary layer.

    Reference: Li and Ren, "BNN Pruning: Pruning Binary Neural Network Guided by Weight Flipping Frequency", ISQED 2020,
    and its published code.
    """

    def __init__(self, net: nn.Module) -> None:
        self.layers = {
            name: layer
            for name, layer in net.named_modules()
            if isinstance(layer, BinaryConv2d | BinaryLinear) and not isinstance(layer.weight_binarizer, nn.Identity)
        }
        if not self.layers:
            raise ValueError("the network has no layer with binary weights to watch")
        self.reset()

    @torch.no_grad()
    def reset(self) -> None:
        """Begin a new interval with the present signs."""
        self.signs = {name: layer.weight >= 0 for name, layer in self.layers.items()}
        self.flips = {name: torch.zeros_like(signs, dtype=torch.int32) for name, signs in self.signs.items()}

    @torch.no_grad()
    def end_epoch(self) -> None:
        """Compare with the signs at the last epoch's end."""
        for name, layer in self.layers.items():
            signs = layer.weight >= 0
            self.flips[name] += signs != self.signs[name]
            self.signs[name] = signs

    def insensitive(self, threshold: int = 0) -> dict[str, float]:
        """r_l, the share of each layer's weights that flipped more than `threshold` times."""
        return {name: (flips > threshold).float().mean().item() for name, flips in self.flips.items()}

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """What a checkpoint keeps."""
        return {"signs": self.signs, "flips": self.flips}

    def load_state_dict(self, state: Mapping[str, dict[str, Tensor]]) -> None:
        """Go on from a checkpoint."""
        self.signs, self.flips = dict(state["signs"]), dict(state["flips"])


class FewFlips:
    """A criterion for `prune`: keep the weights that flipped least, round(density * M) over all layers.

    Args:
        counter: of the flips.
        names: of the layers, in the order of `pruned_layers`; all that the counter watches by default.
    """

    def __init__(self, counter: FlipCounter, names: Sequence[str] | None = None) -> None:
        self.counter = counter
        self.names = [*counter.layers] if names is None else list(names)

    def __call__(self, weights: Sequence[Tensor], kept: Sequence[Tensor], density: float) -> list[Tensor]:
        """The masks of all layers."""
        return rank([-self.counter.flips[name].float() for name in self.names], kept, density, "global")


def shrunk_widths(
    widths: Mapping[str, int], shares: Mapping[str, float], tied: Sequence[Sequence[str]] = ()
) -> dict[str, int]:
    """The channels of the next, narrower network: max(1, round(C * (1 - r))), halves up.

    Args:
        widths: C, the output channels by the layers' names.
        shares: r, from `FlipCounter.insensitive`; a layer without one stays as it is.
        tied: groups of layers that a shortcut adds up; each takes the smallest share of its group (a choice of this
            library, the publication has no residual networks).

    Raises:
        ValueError: a share lies outside 0 to 1.
    """
    least = dict(shares)
    for group in tied:
        for name in group:
            least[name] = min(shares.get(other, 0.0) for other in group)
    for name, share in least.items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name}: expected a share from 0 to 1, found {share}")
    return {name: max(1, floor(width * (1 - least.get(name, 0.0)) + 0.5)) for name, width in widths.items()}


@torch.no_grad()
def scramble_insensitive(counter: FlipCounter, *, threshold: int = 0, seed: int = 0) -> None:
    """Give every insensitive latent weight a random sign, in place: the check that accuracy hardly falls by it.

    The published check masks them at random by an operator that is not published; a binary weight has signs only.

    Args:
        counter: of the flips, and of the network that it watches.
        threshold: more flips than this make a weight insensitive.
        seed: of the signs.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, layer in counter.layers.items():
        turn = torch.rand(layer.weight.shape, generator=generator).to(layer.weight.device) < 0.5
        turn &= counter.flips[name] > threshold
        layer.weight.copy_(torch.where(turn, -layer.weight, layer.weight))
