"""What a factory of a `Method` asks a layer: shapes in which one number a channel meets the layer's input or output."""

from torch import nn


def per_input(layer: nn.Module) -> tuple[int, ...]:
    """(in, 1, 1) of a convolution, (in,) of a linear layer: broadcasts over its input, with or without a batch axis."""
    return (layer.in_channels, 1, 1) if isinstance(layer, nn.Conv2d) else (layer.get_parameter("weight").shape[1],)


def per_output(layer: nn.Module) -> tuple[int, ...]:
    """(out, 1, 1) of a convolution, (out,) of a linear layer: broadcasts over its output."""
    return (layer.get_parameter("weight").shape[0], *([1, 1] if isinstance(layer, nn.Conv2d) else []))
