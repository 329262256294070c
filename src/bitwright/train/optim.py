"""The optimizer and its learning rate, as the recipe spells them."""

from bisect import bisect_right
from fnmatch import fnmatchcase
from math import cos, pi

import torch
from torch import nn

from bitwright.errors import RecipeError
from bitwright.nn.layers import BinaryConv2d, BinaryLinear
from bitwright.train.config import Optimizer, ParameterGroup, Schedule


def lr_factor(schedule: Schedule, epoch: float, epochs: int) -> float:
    """Share of the highest learning rate that holds at a moment.

    With W epochs of warm-up and s = (epoch - W) / (epochs - W): cosine (1 + cos(pi * s)) / 2, linear 1 - s,
    exponential factor ** s, multistep factor ** (milestones passed). During warm-up (epoch + 1) / (W + 1).

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
    if schedule.name == "exponential":
        return schedule.factor**share
    if schedule.name == "multistep":
        return schedule.factor ** bisect_right(sorted(schedule.milestones), epoch)
    return 1.0


def _decaying(net: nn.Module, decay_on: str) -> set[int]:
    """Which parameters decay where no group says otherwise, by id."""
    latent = {id(layer.weight) for layer in net.modules() if isinstance(layer, BinaryConv2d | BinaryLinear)}

    def decays(parameter: nn.Parameter) -> bool:
        if decay_on == "all":
            return True
        return parameter.ndim >= 2 and not (decay_on == "real" and id(parameter) in latent)

    return {id(parameter) for parameter in net.parameters() if decays(parameter)}


def _find_group(name: str, groups: tuple[ParameterGroup, ...]) -> ParameterGroup | None:
    return next((group for group in groups if any(fnmatchcase(name, pattern) for pattern in group.names)), None)


def make_optimizer(net: nn.Module, settings: Optimizer) -> torch.optim.Optimizer:
    """Make the optimizer of a network; weight decay acts where the recipe says, and nowhere else.

    Each of its parameter groups holds, as `factor`, what the learning rate is to be multiplied by.

    Args:
        net: The network, binarized.
        settings: The recipe's table.

    Raises:
        RecipeError: If a pattern of `settings.groups` names no parameter.
    """
    learned = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
    for pattern in [pattern for group in settings.groups for pattern in group.names]:
        if not any(fnmatchcase(name, pattern) for name, _ in learned):
            raise RecipeError(f"optimizer.groups: {pattern!r} names no parameter; there are {learned[0][0]}, ...")
    decaying = _decaying(net, settings.decay_on)
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in learned:
        group = _find_group(name, settings.groups)
        decay = settings.weight_decay if id(parameter) in decaying else 0.0
        if group is not None and group.weight_decay is not None:
            decay = group.weight_decay
        found.setdefault((1.0 if group is None else group.lr, decay), []).append(parameter)
    groups = [
        {"params": parameters, "weight_decay": decay, "factor": factor, "lr": settings.lr * factor}
        for (factor, decay), parameters in found.items()
    ]
    if settings.name == "sgd":
        return torch.optim.SGD(groups, settings.lr, momentum=settings.momentum)
    kind = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
    return kind(groups, settings.lr)
