"""Lottery tickets: rounds of training, pruning and going back to early weights, with labels or without.

A `LotteryTicket` knows nothing of losses, so the masks may come from any task: a pretext task without labels, too.
"""

from copy import deepcopy
from math import ceil
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bitwright.sparse.magnitude import Magnitude
from bitwright.sparse.masks import masks_of, pruned_layers
from bitwright.sparse.prune import set_masks
from bitwright.sparse.pruner import Criterion

Start = Literal["rewind", "random", "keep"]


@torch.no_grad()
def choose_masks(net: nn.Module, criterion: Criterion, density: float) -> dict[str, Tensor]:
    """The masks that a criterion wants for a network as it is; the network keeps its own.

    Args:
        net: a network with masks, trained; no weight that they prune is chosen again.
        criterion: such as `Magnitude()`.
        density: the share of weights to keep.

    Returns:
        The masks by the layers' names, for `set_masks`.
    """
    layers = pruned_layers(net)
    kept = [masked.mask for masked, _ in layers.values()]
    found = criterion([weight for _, weight in layers.values()], kept, density)
    return dict(zip(layers, found, strict=True))


class LotteryTicket:
    """Iterative pruning with rewinding: train, prune a fraction of the survivors, start over from early weights.

    Of S weights that are kept, ceil(fraction * S) are pruned, so that after n rounds about (1 - fraction)^n of them
    remain. Ranked are the latent weights at the end of a round, over all layers together unless the criterion says
    otherwise.

        net = bw.sparse.prune(net, bw.sparse.Magnitude(), 1.0)
        ticket = bw.sparse.LotteryTicket(net)
        train(net, epochs=1); ticket.remember()      # the values to rewind to
        for _ in range(rounds):
            train(net)                               # with a new optimizer
            ticket.next_round()

    Args:
        net: the network, pruned at density 1 to say which layers take part; what it holds now is remembered.
        fraction: of the survivors, what a round prunes.
        criterion: what is pruned; magnitude over all layers by default.

    Raises:
        ValueError: the fraction lies outside 0 to 1, or the network has no masks.

    Reference: Frankle and Carbin, "The Lottery Ticket Hypothesis", ICLR 2019; Caron et al., "Pruning Convolutional
    Neural Networks with Self-Supervision", 2020.
    """

    def __init__(self, net: nn.Module, fraction: float = 0.2, criterion: Criterion | None = None) -> None:
        if not 0 < fraction < 1:
            raise ValueError(f"fraction: expected a share between 0 and 1, found {fraction}")
        if not pruned_layers(net):
            raise ValueError("the network has no masks; choose its layers by prune(net, Magnitude(), 1.0)")
        self.net = net
        self.fraction = fraction
        self.criterion = Magnitude() if criterion is None else criterion
        self.rounds = 0
        self.remember()

    def remember(self) -> None:
        """Take the present weights and statistics for those that later rounds start from."""
        self.early = {key: value.detach().clone() for key, value in self.net.state_dict().items()}

    @torch.no_grad()
    def next_round(self, start: Start = "rewind") -> dict[str, Tensor]:
        """Prune, and set the network to where the next round starts.

        Make a new optimizer afterwards: the momentum of the round before does not belong to these weights.

        Args:
            start: "rewind": weights and batch-norm statistics as remembered; "random": fresh weights from the layers'
                own `reset_parameters`, a control; "keep": as they are now.

        Returns:
            The masks, by the layers' names.

        Raises:
            ValueError: the start is unknown.
        """
        if start not in ("rewind", "random", "keep"):
            raise ValueError(f"start: expected 'rewind', 'random' or 'keep', found {start!r}")
        kept = [masked.mask for masked, _ in pruned_layers(self.net).values()]
        survivors, total = sum(int(m.sum()) for m in kept), sum(m.numel() for m in kept)
        left = survivors - ceil(self.fraction * survivors)
        masks = choose_masks(self.net, self.criterion, left / total)
        self._start(start)
        set_masks(self.net, masks)
        self.rounds += 1
        return masks_of(self.net)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps besides the network's own state."""
        return {"early": self.early, "rounds": self.rounds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.early, self.rounds = deepcopy(state["early"]), state["rounds"]

    def _start(self, start: Start) -> None:
        if start == "rewind":
            self.net.load_state_dict(self.early)
        elif start == "random":
            for module in self.net.modules():
                if callable(reset := getattr(module, "reset_parameters", None)):
                    reset()
                if parametrize.is_parametrized(module, "weight"):  # whose reset draws a copy
                    original = module.get_submodule("parametrizations.weight").get_parameter("original")
                    nn.init.kaiming_uniform_(original, a=5**0.5)
