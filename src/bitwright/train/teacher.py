"""A teacher for a run: a trained network whose outputs, and perhaps features, the student matches."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from bitwright.distill.blocks import run_alone
from bitwright.distill.losses import attention_loss, distillation_loss, distributional_loss, feature_loss, guided_loss
from bitwright.distill.taps import tap
from bitwright.errors import RecipeError
from bitwright.train.catalogue import build_network, find_function, make_network
from bitwright.train.config import Data, parse_recipe
from bitwright.train.model_file import fill
from bitwright.train.optional_tables import Teaching
from bitwright.train.weights import read_weights


class Teacher:
    """Adds what a student can learn from a trained network to its loss. It stays in eval mode and gets no gradient.

    loss = labels * (loss of the labels) + logits * L(student, teacher)
        + attention * (attention loss of the features) + maps * (feature loss of the features)

    L is T^2 * KL at temperature T, or the cross-entropy in its place; at temperature 0 the distributional loss. Of
    projections it is the guided loss.

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

        Raises:
            RecipeError: If logits or features of the two networks do not fit.
        """
        settings = self.settings
        alone = settings.inputs != "whole"
        with tap(student, self.own) as found, tap(student, self.own if alone else (), inputs=True) as given:
            logits = run(x).float()
        self.net.to(x.device)
        seen = x * self.factor.to(x.device) + self.offset.to(x.device)
        watching = tap(self.net, self.others), tap(self.net, self.others if alone else (), inputs=True)
        with torch.no_grad(), watching[0] as wanted, watching[1] as shown:
            target = self.net(seen).float()
        if target.shape != logits.shape:
            got, expected = tuple(target.shape[1:]), tuple(logits.shape[1:])
            raise RecipeError(f"teacher.source: it returns logits of shape {got} a sample, the network {expected}")
        loss = logits.new_zeros(())
        if settings.labels:
            loss = loss + settings.labels * label_loss(logits)
        if settings.logits:
            loss = loss + settings.logits * self._match(logits, target)
        if settings.features:
            if settings.inputs == "student":
                found = run_alone(student, given)
            elif settings.inputs == "teacher":
                _, inputs = self._paired(given, shown, "is given", _are_alike, "one shape")
                found = run_alone(student, dict(zip(self.own, inputs, strict=True)))
            loss = loss + self._match_features(found, wanted)
        return logits, loss

    def _match(self, logits: Tensor, target: Tensor) -> Tensor:
        settings = self.settings
        if settings.divergence == "guided":
            return guided_loss(logits, target, settings.temperature)
        if settings.temperature == 0:
            return distributional_loss(logits, target)
        loss = distillation_loss if settings.divergence == "kl" else distributional_loss
        return loss(logits, target, settings.temperature)

    def _match_features(self, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Tensor:
        settings = self.settings
        loss = next(iter(found.values())).new_zeros(())
        if settings.attention:
            pairs = self._paired(found, wanted, "returns", _are_maps_of_one_size, "maps of one height and width")
            loss = loss + settings.attention * attention_loss(*pairs)
        if settings.maps:
            pairs = self._paired(found, wanted, "returns", _are_alike, "one shape")
            loss = loss + settings.maps * feature_loss(*pairs, settings.distance)
        return loss

    def _paired(
        self,
        ours: Mapping[str, Tensor],
        theirs: Mapping[str, Tensor],
        verb: str,
        fit: Callable[[Tensor, Tensor], bool],
        expected: str,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Our tensors and theirs in the order of the recipe's features, each two of which fit."""
        for own, other in zip(self.own, self.others, strict=True):
            a, b = ours[own], theirs[other]
            if not fit(a, b):
                raise RecipeError(
                    f"teacher.features: {own} {verb} {tuple(a.shape[1:])} a sample, the teacher's {other} "
                    f"{tuple(b.shape[1:])}; expected {expected}"
                )
        return [ours[name] for name in self.own], [theirs[name] for name in self.others]


def _are_alike(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape


def _are_maps_of_one_size(a: Tensor, b: Tensor) -> bool:
    return a.dim() == b.dim() == 4 and a.shape[2:] == b.shape[2:]


def make_teacher(settings: Teaching, data: Data) -> Teacher | None:
    """The teacher that a recipe names, or None where it names none.

    Args:
        settings: The recipe's table.
        data: How the student's pixels are normalised.

    Raises:
        RecipeError: If a function is named that is not there, or returns no module, or it is not known which network
            the weights of a file belong to.
        RunError: If a run folder or file is named that is not there, or whose weights do not fit.
    """
    if not settings.source:
        return None
    if not Path(settings.source).exists() and ":" in settings.source:
        net, own = _called(settings.source), data
    else:
        net, own = _read(settings, data)
    mean, std = torch.tensor(data.mean), torch.tensor(data.std)
    own_mean, own_std = torch.tensor(settings.mean or own.mean), torch.tensor(settings.std or own.std)
    return Teacher(settings, net, std / own_std, (mean - own_mean) / own_std)


def _called(source: str) -> nn.Module:
    net = find_function(source, "bitwright.zoo")()
    if not isinstance(net, nn.Module):
        raise RecipeError(f"teacher.source: {source} must return an nn.Module, found {type(net).__name__}")
    return net


def _read(settings: Teaching, data: Data) -> tuple[nn.Module, Data]:
    """The network of a file, and how its pixels are normalised."""
    weights = read_weights(settings.source)
    if settings.network is not None:
        net = make_network(settings.network, "teacher.network")
        whose = f"teacher.network {settings.network.name}"
    elif "recipe" in weights.about:
        recipe = parse_recipe(weights.about["recipe"], where=f"the recipe in {weights.path}")
        net, data, whose = build_network(recipe), recipe.data, "the network of its recipe"
    else:
        raise RecipeError(f"teacher.network: expected the network whose weights {weights.path} holds, found none")
    fill(net, weights, whose)
    return net, data
