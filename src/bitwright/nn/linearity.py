"""A diagnostic: how much of what a layer computes is linear in its real input."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitwright.nn.shapes import two_sided_padding


def r_squared(x: Tensor, y: Tensor) -> float:
    """The share of y's variance that the best affine map of x explains: 1 - sum((y - xA - b)^2) / sum((y - mean y)^2).

    Shape:
        x (samples, inputs), y (samples, outputs); more samples than inputs + 1, or every map fits.

    Raises:
        ValueError: there are too few samples.
    """
    samples, inputs = x.shape
    if samples <= inputs + 1:
        raise ValueError(f"expected more samples than inputs + 1, found {samples} samples of {inputs} inputs")
    x, y = (values - values.mean(0) for values in (x.detach().cpu().double(), y.detach().cpu().double()))
    residual = y - x @ torch.linalg.lstsq(x, y, driver="gelsd").solution
    return 1 - (residual.square().sum() / y.square().sum()).item()


def linearity(module: nn.Module, x: Tensor, conv: nn.Conv2d | None = None) -> float:
    """R^2 of the best linear map from the real input to a module's output; 1 if the module is linear.

    A binary layer that imitates its real twin well comes near 1; non-linear modules behind it lower the figure.

    Args:
        module: a layer, or a layer and what follows it on the same pixels; it is run in the mode it is in.
        x: its input, with more pixels or samples than a window has taps.
        conv: the convolution whose windows are compared; by default the module itself. None and no convolution: the
            input is taken as vectors.

    Shape:
        x (N, C, H, W) or, without a convolution, (N, F).

    Raises:
        ValueError: x has too few samples.
    """
    conv = module if conv is None and isinstance(module, nn.Conv2d) else conv
    with torch.no_grad():
        y = module(x)
    if conv is None:
        return r_squared(x, y)
    patches = F.unfold(x, conv.kernel_size, conv.dilation, two_sided_padding(conv), conv.stride)  # (N, taps, pixels)
    return r_squared(patches.transpose(1, 2).flatten(0, 1), y.flatten(2).transpose(1, 2).flatten(0, 1))
