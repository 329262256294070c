"""Random views of images as whole batches: each image has its own crop, colours and blur. Random numbers come in."""

from math import log

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_RATIO = 4 / 3  # how much wider than high a crop may be, or higher than wide
_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def random_view(
    images: Tensor,
    random: np.random.Generator,
    *,
    area: float = 0.08,
    jitter: float = 0.8,
    strength: float = 0.5,
    grey: float = 0.2,
    blur: float = 0.0,
) -> Tensor:
    """A view of each image: a crop at the old size, other colours, grey, blur.

    The defaults are SimCLR's for CIFAR-10, which mirrors images too, see `augment_pixels`.

    Shape:
        images (N, H, W, C) uint8; the result likewise.

    Args:
        images: the batch.
        random: source of every random number.
        area: smallest share of the image that a crop shows; 1 crops nothing.
        jitter: share of the images that get other colours, see `jitter_colours`.
        strength: of these.
        grey: share of the images that lose their colours.
        blur: share of the images that are blurred, see `gaussian_blur`.

    Reference: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020,
    appendix A.
    """
    if area < 1:
        images = random_crop(images, area, random)
    if jitter or grey:
        images = jitter_colours(images, random, jitter=jitter, strength=strength, grey=grey)
    return gaussian_blur(images, blur, random) if blur else images


def random_crop(images: Tensor, area: float, random: np.random.Generator) -> Tensor:
    """Cut a window out of each image, and stretch it to the old size, bilinearly.

    Its area is drawn from [area, 1] of the image's, the logarithm of its ratio from [log 3/4, log 4/3] of the image's;
    a side that comes out longer than the image's is cut to that.

    Shape:
        images (N, H, W, C) uint8; the result likewise.

    Args:
        images: the batch.
        area: smallest share, above 0.
        random: source of the windows.
    """
    count = len(images)
    areas, ratios = random.uniform(area, 1, count), np.exp(random.uniform(-log(_RATIO), log(_RATIO), count))
    sides = np.minimum(np.sqrt([areas * ratios, areas / ratios]), 1.0)  # (2, N) width and height, shares of the whole
    centres = (1 - sides) * random.uniform(-1, 1, (2, count))
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = sides[0], sides[1], centres.T
    planes = images.permute(0, 3, 1, 2).float()
    grid = F.affine_grid(torch.from_numpy(theta).to(images.device), list(planes.shape), align_corners=False)
    return _pixels(F.grid_sample(planes, grid, padding_mode="border", align_corners=False))


def jitter_colours(
    images: Tensor, random: np.random.Generator, *, jitter: float = 0.8, strength: float = 0.5, grey: float = 0.2
) -> Tensor:
    """Change brightness, contrast, saturation and hue of each image, in this order; or leave it grey.

    With s = 0.8 * strength the first three are multiplied by factors from [1 - s, 1 + s], contrast around the image's
    mean luma, and the hue turns by up to 0.2 * strength of a circle about the grey axis of YIQ, which keeps the luma.
    (Other libraries turn it in HSV, and draw the order.) Images of one channel have brightness and contrast only.

    Shape:
        images (N, H, W, C) uint8; the result likewise.

    Args:
        images: the batch.
        random: source of the factors.
        jitter: share of the images that are changed.
        strength: how much, 0 to 1.
        grey: share of the images that become grey, whether they are changed or not.
    """
    count, spread = len(images), 0.8 * strength
    changed = random.random(count) < jitter
    factors = np.where(changed, random.uniform(max(0.0, 1 - spread), 1 + spread, (3, count)), 1.0)
    brightness, contrast, saturation = factors
    turn = np.where(changed, random.uniform(-0.2, 0.2, count) * strength * 2 * np.pi, 0.0)
    saturation = np.where(random.random(count) < grey, 0.0, saturation)
    planes = images.permute(0, 3, 1, 2).float() * _of_images(brightness, images)
    planes.clamp_(0, 255)
    coloured = planes.shape[1] == 3
    mix = torch.tensor(_YIQ[0]).to(images.device).view(1, 3, 1, 1)
    luma = (planes * mix).sum(1, keepdim=True) if coloured else planes
    middle = luma.mean((1, 2, 3), keepdim=True)
    planes = middle + (planes - middle) * _of_images(contrast, images)
    if not coloured:
        return _pixels(planes)
    turned = torch.from_numpy(_chroma(saturation, turn)).to(images.device)
    return _pixels(torch.einsum("nij,njhw->nihw", turned, planes.clamp_(0, 255)))


def gaussian_blur(images: Tensor, share: float, random: np.random.Generator) -> Tensor:
    """Blur some images, each by a sigma from [0.1, 2] pixels, in a window of about a tenth of the side.

    Shape:
        images (N, H, W, C) uint8; the result likewise.

    Args:
        images: the batch.
        share: of the images.
        random: source of the choice and of the sigmas.
    """
    chosen = torch.from_numpy(np.flatnonzero(random.random(len(images)) < share)).to(images.device)
    sigma = torch.from_numpy(random.uniform(0.1, 2, len(chosen))).to(images.device, torch.float32)
    if not len(chosen):
        return images
    radius = max(1, min(images.shape[1:3]) // 20)
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    taps = (-0.5 * (offsets / sigma[:, None]) ** 2).softmax(1)  # (n, 2 radius + 1)
    planes = images[chosen].permute(3, 0, 1, 2).float()  # (C, n, H, W): a group for each image
    planes = F.pad(planes, (radius,) * 4, mode="replicate")
    planes = F.conv2d(
        F.conv2d(planes, taps[:, None, None], groups=len(chosen)), taps[:, None, :, None], groups=len(chosen)
    )
    blurred = images.clone()
    blurred[chosen] = _pixels(planes.transpose(0, 1))
    return blurred


def _chroma(saturation: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Matrices (N, 3, 3) on RGB that scale the chroma and turn it, and keep the luma."""
    to_yiq = np.array(_YIQ)
    inside = np.zeros((len(turn), 3, 3))
    inside[:, 0, 0] = 1
    inside[:, 1, 1] = inside[:, 2, 2] = saturation * np.cos(turn)
    inside[:, 2, 1] = saturation * np.sin(turn)
    inside[:, 1, 2] = -inside[:, 2, 1]
    return (np.linalg.inv(to_yiq) @ inside @ to_yiq).astype(np.float32)


def _of_images(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(values).to(like.device, torch.float32).view(-1, 1, 1, 1)


def _pixels(planes: Tensor) -> Tensor:
    """(N, C, H, W) float to (N, H, W, C) uint8."""
    return planes.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
