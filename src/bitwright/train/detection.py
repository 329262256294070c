"""The recipe's table [detection]: its scenes, its network, and what a detector is asked."""

import numpy as np
import torch
from torch import Tensor, nn

from bitwright.data import DataSet
from bitwright.detection import detector, scenes
from bitwright.errors import RecipeError
from bitwright.pretext.heads import in_head
from bitwright.train.optional_tables import Detection

BODY = "pyramid.net."  # before the names of a body's parameters in a detector


def as_scenes(settings: Detection, data: DataSet) -> DataSet:
    """The scenes that a recipe asks for, made of a data set's images; the data set itself where it asks for none.

    What stands for the label of a scene is a row for each object: x0, y0, x1, y1 and the class, -1 where there is none.

    Shape:
        labels of the result: (N, objects, 5) float32.

    Args:
        settings: The recipe's table.
        data: Labelled images; a split without images stays so.

    Raises:
        RecipeError: If they do not fit into scenes of the size.
    """
    if not settings.size:
        return data
    train_images, train_rows = _render(settings, data.train_images, data.train_labels, settings.scenes, 0)
    test_images, test_rows = _render(settings, data.test_images, data.test_labels, settings.test_scenes, 1)
    return DataSet(train_images, train_rows, test_images, test_rows, data.label_names, data.source)


def _render(
    settings: Detection, images: np.ndarray, labels: np.ndarray, count: int, split: int
) -> tuple[np.ndarray, np.ndarray]:
    fewest, most = settings.objects
    low, high = settings.scale
    try:
        made = scenes(
            images, labels, size=settings.size, count=count if len(images) else 0, objects=(fewest, most),
            scale=(low, high), clutter=settings.clutter, seed=2 * settings.seed + split,
        )  # fmt: skip
    except ValueError as error:
        raise RecipeError(f"[detection] {error}") from None
    return made.images, np.concatenate([made.boxes, made.labels[..., None]], -1, dtype=np.float32)


def take_apart(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes and classes, of rows as `as_scenes` makes them.

    Shape:
        rows: (N, objects, 5); results: (N, objects, 4) float32 and (N, objects) int64.

    Args:
        rows: Of some scenes.
    """
    return rows[..., :4], rows[..., 4].long()


def make_detector(settings: Detection, net: nn.Module, channels: int) -> nn.Module:
    """Put a detector's heads onto a network that is not binarized yet, if the recipe asks for them.

    Args:
        settings: The recipe's table, resolved.
        net: The network.
        channels: Of the images.

    Raises:
        RecipeError: If the network has no such maps.
    """
    if not settings.size:
        return net
    example = torch.zeros(1, channels, settings.size, settings.size)
    heads = {"levels": settings.levels, "width": settings.width, "depth": settings.depth}
    try:
        return detector(net, settings.classes, example=example, names=settings.maps or None, **heads)
    except ValueError as error:
        raise RecipeError(f"[detection] {error}") from None


def body_weights(net: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a detector starts from, if its body is to go on from a network's weights; the rest keeps its fresh ones.

    Args:
        net: The detector.
        tensors: The state of a network like its body. Its head is left out: a detector does not read it.
    """
    body = net.get_submodule(BODY.removesuffix("."))
    own = net.state_dict()
    taken = {f"{BODY}{name}": value for name, value in tensors.items() if not _in_head(body, name)}
    left = [name for name in own if not name.startswith(BODY) or _in_head(body, name.removeprefix(BODY))]
    return {name: own[name] for name in left} | taken


def _in_head(body: nn.Module, name: str) -> bool:
    try:
        return in_head(body, name)
    except ValueError:  # it has none
        return False
