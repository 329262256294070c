"""Augmentation of whole batches as tensors. The random numbers come in from outside, so each batch can be repeated."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bitwright.train.config import Augmentation, Loss

CROSS_ENTROPY = Loss()


@dataclass(frozen=True)
class Targets:
    """What the network should say: `labels`, and for mixed images a second label each, which counts `1 - weight`.

    Shape:
        labels, others: (N,) int64.
    """

    labels: Tensor
    others: Tensor | None = None
    weight: float = 1.0

    def loss(self, logits: Tensor, settings: Loss = CROSS_ENTROPY) -> Tensor:
        """The loss, mean over the batch: weight * L(labels) + (1 - weight) * L(others).

        L is the cross-entropy, or the mean over the classes of max(0, 1 - t * logit)^2 with t = 1 for the label's class
        and -1 for others.

        Shape:
            logits: (N, classes).

        Args:
            logits: The network's output.
            settings: The recipe's table.
        """
        loss = _label_loss(logits, self.labels, settings)
        if self.others is None:
            return loss
        return self.weight * loss + (1 - self.weight) * _label_loss(logits, self.others, settings)


def _label_loss(logits: Tensor, labels: Tensor, settings: Loss) -> Tensor:
    if settings.name == "squared_hinge":
        sides = 2 * F.one_hot(labels, logits.shape[1]).to(logits.dtype) - 1
        return (1 - sides * logits).clamp(min=0).square().mean()
    return F.cross_entropy(logits, labels, label_smoothing=settings.label_smoothing)


def crop_and_flip(images: Tensor, border: int, flip: bool, random: np.random.Generator) -> Tensor:
    """Cut a window of the old size out of each image with a black border, and mirror every second one, at random.

    Shape:
        images: (N, H, W, C) uint8; output: the same.

    Args:
        images: The batch.
        border: Width of the border in pixels; 0 moves nothing.
        flip: Whether to mirror.
        random: Source of the offsets and of the choice.
    """
    count, height, width, _ = images.shape
    rows = torch.arange(height).repeat(count, 1)  # (N, H)
    columns = torch.arange(width).repeat(count, 1)  # (N, W)
    if flip:
        mirrored = torch.from_numpy(random.random(count) < 0.5)[:, None]
        columns = torch.where(mirrored, width - 1 - columns, columns)
    if border:
        rows = rows + torch.from_numpy(random.integers(0, 2 * border + 1, (count, 1)))
        columns = columns + torch.from_numpy(random.integers(0, 2 * border + 1, (count, 1)))
        images = F.pad(images, (0, 0, border, border, border, border))
    rows, columns = rows.to(images.device), columns.to(images.device)
    which = torch.arange(count, device=images.device)
    return images[which[:, None, None], rows[:, :, None], columns[:, None, :]]


def rotate(images: Tensor, degrees: float, random: np.random.Generator) -> Tensor:
    """Turn each image about its centre by an angle from [-degrees, degrees], nearest pixel, black outside.

    Shape:
        images: (N, H, W, C) uint8; output: the same.

    Args:
        images: The batch.
        degrees: Largest angle.
        random: Source of the angles.
    """
    count, height, width, _ = images.shape
    angle = torch.from_numpy(np.radians(random.uniform(-degrees, degrees, count))).to(images.device, torch.float32)
    cos, sin, nothing = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # affine_grid counts from -1 to 1 along each side, so a turn of an oblong image needs the ratio of its sides.
    ratio = height / width
    across = torch.stack([cos, -sin * ratio, nothing], dim=1)
    down = torch.stack([sin / ratio, cos, nothing], dim=1)
    grid = F.affine_grid(torch.stack([across, down], dim=1), [count, 1, height, width], align_corners=False)
    planes = images.permute(0, 3, 1, 2).float()
    turned = F.grid_sample(planes, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return turned.to(torch.uint8).permute(0, 2, 3, 1)


def augment_pixels(images: Tensor, settings: Augmentation, random: np.random.Generator) -> Tensor:
    """Everything that acts on pixels: crop and flip, then rotation.

    Shape:
        images: (N, H, W, C) uint8; output: the same.

    Args:
        images: The batch.
        settings: What to do.
        random: Source of every random number.
    """
    if settings.crop or settings.flip:
        images = crop_and_flip(images, settings.crop, settings.flip, random)
    return rotate(images, settings.rotation, random) if settings.rotation else images


def mix(x: Tensor, labels: Tensor, alpha: float, random: np.random.Generator) -> tuple[Tensor, Targets]:
    """Mixup: x = weight * x + (1 - weight) * x[shuffled], one weight ~ Beta(alpha, alpha) for the batch.

    Shape:
        x: (N, C, H, W) float32; labels: (N,) int64.

    Args:
        x: The batch.
        labels: Its classes.
        alpha: Of the Beta distribution.
        random: Source of the weight and of the shuffle.

    Reference:
        Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """
    weight = float(random.beta(alpha, alpha))
    order = torch.from_numpy(random.permutation(len(x))).to(x.device)
    return weight * x + (1 - weight) * x[order], Targets(labels, labels[order], weight)
