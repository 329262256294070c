"""What a method asks a layer: the shapes in which one number a channel meets its input or output, and its padding."""

from torch import nn


def per_input(layer: nn.Module) -> tuple[int, ...]:
    """(in, 1, 1) of a convolution, (in,) of a linear layer: broadcasts over its input, with or without a batch axis."""
    return (layer.in_channels, 1, 1) if isinstance(layer, nn.Conv2d) else (layer.get_parameter("weight").shape[1],)


def per_output(layer: nn.Module) -> tuple[int, ...]:
    """(out, 1, 1) of a convolution, (out,) of a linear layer: broadcasts over its output."""
    return (layer.get_parameter("weight").shape[0], *([1, 1] if isinstance(layer, nn.Conv2d) else []))


def two_sided_padding(conv: nn.Conv2d) -> tuple[int, ...]:
    """(vertical, horizontal) padding on each side, also where it is given as "valid" or "same"."""
    if isinstance(conv.padding, tuple):
        return conv.padding
    if conv.padding == "valid":
        return (0, 0)
    return tuple(d * (k - 1) // 2 for d, k in zip(conv.dilation, conv.kernel_size, strict=True))
