"""A small detector in one stage, without anchors: each cell of each level says what is there, and how far it reaches.

Reference: Tian et al., "FCOS: Fully Convolutional One-Stage Object Detection", ICCV 2019. Without its centre-ness, as
`losses.assign_cells` takes cells near the centre alone, and without top-down connections between the levels.
"""

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor, nn

from bitwright.detection.cells import BOXES, CLASSES
from bitwright.detection.pyramid import FeaturePyramid, feature_pyramid
from bitwright.nn.activations import RPReLU
from bitwright.nn.modes import evaluating

PRIOR = 0.01  # what fresh weights say of each class: that it is not there


class DetectionHead(nn.Module):
    """The part for one level: batch norm, `depth` times a convolution, batch norm and RPReLU, then two predictors.

    These read the result together with what the first convolution read, so that what a sign leaves out is not lost.

    Shape:
        x (N, channels, H, W); results (N, classes, H, W) and (N, 4, H, W).

    Args:
        channels: Of the level.
        classes: How many.
        width: Channels of the 3x3 convolutions.
        depth: How many of them.
    """

    def __init__(self, channels: int, classes: int, width: int, depth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)  # so that a sign says something of any network's maps
        steps: list[nn.Module] = []
        for inputs in (channels, *[width] * (depth - 1)):
            steps += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), RPReLU(width)]
        self.body = nn.Sequential(*steps)
        self.classes = nn.Conv2d(channels + width, classes, 1)
        self.boxes = nn.Conv2d(channels + width, 4, 1)
        nn.init.normal_(self.classes.weight, std=0.01)
        assert self.classes.bias is not None
        nn.init.constant_(self.classes.bias, -log((1 - PRIOR) / PRIOR))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the classes, and the distances."""
        x = self.norm(x)
        x = torch.cat([x, self.body(x)], 1)
        return self.classes(x), self.boxes(x)


class Detector(nn.Module):
    """A feature pyramid with a head on each level; made by `detector`.

    Made binary, its 3x3 convolutions are as those of the network; the 1x1 predictors stay real.

    Shape:
        x as the network takes it; result a dict of "classes0" (N, classes, H, W), logits, and "boxes0" (N, 4, H, W),
        logarithms of the distances to left, top, right and bottom in strides, then "classes1", "boxes1" and so on.
        `decode_boxes` reads them.

    Args:
        pyramid: The network.
        channels: Of each of its maps.
        classes: How many.
        width: As for `detector`.
        depth: As for `detector`.
    """

    def __init__(self, pyramid: FeaturePyramid, channels: Sequence[int], classes: int, width: int, depth: int) -> None:
        super().__init__()
        self.pyramid = pyramid
        self.heads = nn.ModuleList([DetectionHead(inputs, classes, width, depth) for inputs in channels])
        predictors = [f"heads.{level}.{part}" for level in range(len(channels)) for part in ("classes", "boxes")]
        self.real_layers = (*(f"pyramid.{name}" for name in pyramid.real_layers), *predictors)
        self.input_binarizers = {f"pyramid.{name}": make for name, make in pyramid.input_binarizers.items()}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Logits and distances of a batch, level by level."""
        outputs = {}
        for level, (head, features) in enumerate(zip(self.heads, self.pyramid(x).values(), strict=True)):
            outputs[f"{CLASSES}{level}"], outputs[f"{BOXES}{level}"] = head(features)
        return outputs


def detector(
    net: nn.Module,
    classes: int,
    *,
    example: Tensor,
    names: Sequence[str] | None = None,
    levels: int = 2,
    width: int = 64,
    depth: int = 1,
) -> Detector:
    """A detector on the maps of a network, float until `bitwright.binarize` makes it binary.

    Shape:
        example: (N, C, H, W).

    Args:
        net: Its body: a network of the zoo, one that a search found, or any other.
        classes: How many.
        example: An input of the size of the images, on which the network is run once, in eval mode.
        names: Of the modules whose maps are taken; as for `feature_pyramid`.
        levels: How many are taken without names.
        width: Channels of the head's 3x3 convolutions.
        depth: How many of them, 1 or more.

    Raises:
        ValueError: As `feature_pyramid` does, or a number is not positive.

    Example:
        >>> from bitwright.methods import react_net
        >>> from bitwright.nn.convert import binarize
        >>> from bitwright.zoo import resnet20
        >>> net = binarize(detector(resnet20(), 10, example=torch.zeros(1, 3, 64, 64)), react_net())
        >>> {name: tuple(value.shape[1:]) for name, value in net(torch.zeros(2, 3, 64, 64)).items()}
        {'classes0': (10, 32, 32), 'boxes0': (4, 32, 32), 'classes1': (10, 16, 16), 'boxes1': (4, 16, 16)}
    """
    for name, number in (("classes", classes), ("width", width), ("depth", depth)):
        if number < 1:
            raise ValueError(f"{name}: expected 1 or more, found {number}")
    pyramid = feature_pyramid(net, names, levels=levels, example=example)
    with evaluating(net), torch.no_grad():
        maps = pyramid(example)
    for name, features in maps.items():
        if features.dim() != 4:
            raise ValueError(f"{name} returns a tensor of shape {tuple(features.shape)}, expected maps (N, C, H, W)")
    return Detector(pyramid, [features.shape[1] for features in maps.values()], classes, width, depth)
