"""The recipe's table [pretext]: which head its network has, what a batch holds, and how outputs become logits."""

import numpy as np
import torch
from torch import Tensor, nn

from bitwright.errors import RecipeError
from bitwright.pretext import (
    MomentumNetwork,
    four_rotations,
    partners,
    projection_head,
    random_view,
    replace_head,
    similarity_logits,
)
from bitwright.pretext.rotations import TURNS
from bitwright.train.augment import augment_pixels
from bitwright.train.config import Augmentation
from bitwright.train.optional_tables import Pretext, Teaching

_OF_TWO_VIEWS = ("simclr", "moco")


def answers(settings: Pretext, label_names: tuple[str, ...], shape: tuple[int, int, int]) -> tuple[str, ...]:
    """What the network's outputs stand for: the classes without a pretext, nothing in particular for a projection.

    Args:
        settings: The recipe's table.
        label_names: The classes of the data set.
        shape: Of its images: height, width, channels.

    Raises:
        RecipeError: If the pretext cannot be learned from such images.
    """
    if settings.name == "rotation":
        if shape[0] != shape[1]:
            raise RecipeError(f"pretext.name: rotation needs square images, found {shape[0]}x{shape[1]} pixels")
        return TURNS
    return () if settings.name else label_names


def take_head(settings: Pretext, net: nn.Module) -> nn.Module:
    """Give a network, not binarized yet, the head of its pretext; in place.

    Args:
        settings: The recipe's table.
        net: The network.

    Raises:
        RecipeError: If it has no head that could be replaced.
    """
    if settings.name not in _OF_TWO_VIEWS:
        return net
    try:
        return replace_head(net, lambda features: projection_head(features, settings.hidden, settings.outputs))
    except ValueError as error:
        raise RecipeError(f"[pretext] {settings.name}: {error}") from None


def pose(
    settings: Pretext, images: Tensor, labels: Tensor, augmentation: Augmentation, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """The images that a batch holds, and what is asked of them.

    Shape:
        images: (N, H, W, C) uint8; labels: (N,) int64. Output: (M, H, W, C) uint8 and (M,) int64, where M is N without
        a pretext, 4 N for rotation, 2 N for simclr and moco.

    Args:
        settings: The recipe's table.
        images: Pixels.
        labels: Their classes, which no pretext looks at.
        augmentation: What happens to each view first.
        random: Source of every random number.
    """
    if settings.name in _OF_TWO_VIEWS:
        chances = {key: getattr(settings, key) for key in ("area", "jitter", "strength", "grey", "blur")}
        views = [random_view(augment_pixels(images, augmentation, random), random, **chances) for _ in range(2)]
        return torch.cat(views), partners(len(images), images.device)
    images = augment_pixels(images, augmentation, random)
    return four_rotations(images) if settings.name == "rotation" else (images, labels)


def read_logits(settings: Pretext, outputs: Tensor) -> Tensor:
    """Logits of the answers from what the network returns. For moco this is how it is judged, not how it learns.

    Shape:
        outputs: (M, D); result: (M, classes), for simclr and moco (M, M - 1).

    Args:
        settings: The recipe's table.
        outputs: Of a whole batch.
    """
    return similarity_logits(outputs, settings.temperature) if settings.name in _OF_TWO_VIEWS else outputs


def make_momentum(settings: Pretext, teacher: Teaching, net: nn.Module, seed: int) -> MomentumNetwork | None:
    """The slow copy that moco's views are told apart by, or None where the recipe asks for no such contrast.

    Args:
        settings: The recipe's table.
        teacher: Its other one, which may leave the pretext no weight.
        net: The network, with its head.
        seed: Of the run.
    """
    if settings.name != "moco" or (teacher.source and not teacher.labels):
        return None
    return MomentumNetwork(net, settings.outputs, settings.queue, settings.momentum, seed)
