"""A teacher for a run: a trained network whose outputs, and perhaps features, the student matches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bitwright.distill.losses import attention_loss, distillation_loss, distributional_loss
from bitwright.distill.taps import tap
from bitwright.errors import RecipeError
from bitwright.train.catalogue import find_function
from bitwright.train.config import Data
from bitwright.train.model_file import load_model
from bitwright.train.optional_tables import Teaching


class Teacher:
    """Adds what a student can learn from a trained network to its loss. It stays in eval mode and gets no gradient.

    loss = labels * (loss of the labels) + logits * L(student, teacher) + attention * (attention loss of the features)

    L is the distributional loss, or with a temperature T: T^2 * KL.

    Args:
        settings: The recipe's table.
        net: The teacher.
        factor: (C,) What a pixel the student sees is multiplied by for the teacher, where their normalisations differ.
        offset: (C,) What is added then.
    """

    def __init__(self, settings: Teaching, net: nn.Module, factor: Tensor, offset: Tensor) -> None:
        self.settings = settings
        self.net = net.eval().requires_grad_(False)
        self.factor = factor.view(-1, 1, 1)
        self.offset = offset.view(-1, 1, 1)
        self.own = [name.partition("=")[0].strip() for name in settings.features]
        self.others = [name.rpartition("=")[2].strip() for name in settings.features]

    def step(
        self, student: nn.Module, run: Callable[[Tensor], Tensor], x: Tensor, label_loss: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The student's logits of a batch, and its loss.

        Args:
            student: The network, whose features are tapped.
            run: Calls it, perhaps compiled.
            x: Its input, normalised.
            label_loss: The loss of logits by the labels.
        """
        settings = self.settings
        with tap(student, self.own) as own:
            logits = run(x).float()
        self.net.to(x.device)
        with torch.no_grad(), tap(self.net, self.others) as wanted:
            target = self.net(x * self.factor.to(x.device) + self.offset.to(x.device)).float()
        if target.shape != logits.shape:
            found, expected = tuple(target.shape[1:]), tuple(logits.shape[1:])
            raise RecipeError(f"teacher.source: it returns logits of shape {found} a sample, the network {expected}")
        loss = logits.new_zeros(())
        if settings.labels:
            loss = loss + settings.labels * label_loss(logits)
        if settings.logits:
            loss = loss + settings.logits * self._match(logits, target)
        if settings.features:
            pairs = [own[name] for name in self.own], [wanted[name] for name in self.others]
            loss = loss + settings.attention * attention_loss(*pairs)
        return logits, loss

    def _match(self, logits: Tensor, target: Tensor) -> Tensor:
        if self.settings.temperature == 0:
            return distributional_loss(logits, target)
        return distillation_loss(logits, target, self.settings.temperature)


def make_teacher(settings: Teaching, data: Data) -> Teacher | None:
    """The teacher that a recipe names, or None where it names none.

    Args:
        settings: The recipe's table.
        data: How the student's pixels are normalised.

    Raises:
        RecipeError: If a function is named that is not there, or returns no module.
        RunError: If a run folder or file is named that is not there.
    """
    if not settings.source:
        return None
    mean, std = torch.tensor(data.mean), torch.tensor(data.std)
    if not Path(settings.source).exists() and ":" in settings.source:
        net: Any = find_function(settings.source, "bitwright.zoo")()
        if not isinstance(net, nn.Module):
            raise RecipeError(f"teacher.source: {settings.source} must return an nn.Module, found {type(net).__name__}")
        return Teacher(settings, net, torch.ones_like(std), torch.zeros_like(mean))
    model = load_model(settings.source)
    own = model.recipe.data
    return Teacher(
        settings, model.net, std / torch.tensor(own.std), (mean - torch.tensor(own.mean)) / torch.tensor(own.std)
    )
