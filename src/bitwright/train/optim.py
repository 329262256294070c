"""The optimizer and its learning rate, as the recipe spells them."""

from bisect import bisect_right
from collections.abc import Iterable
from math import cos, pi

import torch
from torch import nn

from bitwright.nn.layers import BinaryConv2d, BinaryLinear
from bitwright.train.config import Optimizer, Schedule


def lr_factor(schedule: Schedule, epoch: float, epochs: int) -> float:
    """Share of the highest learning rate that holds at a moment.

    With W epochs of warm-up and s = (epoch - W) / (epochs - W): cosine (1 + cos(pi * s)) / 2, linear 1 - s,
    multistep factor ** (milestones passed). During warm-up (epoch + 1) / (W + 1).

    Args:
        schedule: The schedule.
        epoch: Epochs done, with a fraction when the rate changes at each step.
        epochs: Epochs of the whole run.
    """
    if epoch < schedule.warmup:
        return (epoch + 1) / (schedule.warmup + 1)
    share = min(1.0, (epoch - schedule.warmup) / (epochs - schedule.warmup))
    if schedule.name == "cosine":
        return (1 + cos(pi * share)) / 2
    if schedule.name == "linear":
        return 1 - share
    if schedule.name == "multistep":
        return schedule.factor ** bisect_right(sorted(schedule.milestones), epoch)
    return 1.0


def _split_parameters(net: nn.Module, decay_on: str) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    latent = {id(layer.weight) for layer in net.modules() if isinstance(layer, BinaryConv2d | BinaryLinear)}

    def decays(parameter: nn.Parameter) -> bool:
        if decay_on == "all":
            return True
        return parameter.ndim >= 2 and not (decay_on == "real" and id(parameter) in latent)

    learned = [parameter for parameter in net.parameters() if parameter.requires_grad]
    return [p for p in learned if decays(p)], [p for p in learned if not decays(p)]


def make_optimizer(net: nn.Module, settings: Optimizer) -> torch.optim.Optimizer:
    """Make the optimizer of a network; weight decay acts where the recipe says, and nowhere else.

    Args:
        net: The network, binarized.
        settings: The recipe's table.
    """
    decaying, free = _split_parameters(net, settings.decay_on)
    groups: Iterable[dict[str, object]] = [
        {"params": decaying, "weight_decay": settings.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if settings.name == "sgd":
        return torch.optim.SGD(groups, settings.lr, momentum=settings.momentum)
    kind = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
    return kind(groups, settings.lr)
