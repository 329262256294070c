"""The suite of layers: 3x3 convolutions of common networks and one large matrix product, bits in and bits out."""

import numpy as np

from bitwright.bench.item import DENSE, Item
from bitwright.ir import ops
from bitwright.ir.ops import Kind, TensorType, Window

NAMES = ("56x56x64", "28x28x128", "14x14x256", "7x7x512", "32x32x16", "16x16x32", "8x8x64", "linear4096")
DENSITIES = (DENSE, 0.1, 0.05, 0.01)
LAYER = "layer"
KERNELS = 2**9  # of 3x3 bits


def layer_item(name: str, densities: tuple[float, ...] = DENSITIES) -> Item:
    """One layer of as many outputs as inputs, at each density.

    Args:
        name: HEIGHTxWIDTHxCHANNELS of a 3x3 convolution, behind that maybe /PATTERNS, how many kernels its weights are
            drawn from, as in Sub-bit networks; or linearFEATURES.
        densities: Shares of weight bits that are 1; `DENSE` stands for weights of -1 and +1, less for 0 and 1.

    Raises:
        ValueError: If the name is neither, or a density not from 0 to 0.5.
    """
    shape, patterns = _parse(name)
    for density in densities:
        if not 0 < density <= DENSE:
            raise ValueError(f"densities: expected shares above 0 and up to {DENSE}, found {density}")
    graphs = {density: layer_graph(shape, density, patterns=patterns) for density in densities}
    dense = graphs[DENSE] if DENSE in graphs else layer_graph(shape, DENSE, patterns=patterns)
    return Item(name, {DENSE: dense, **graphs}, _real(dense), dense, LAYER)


def layer_graph(shape: tuple[int, ...], density: float, seed: int = 0, patterns: int = 0) -> ops.Graph:
    """The smallest graph around a layer that reads bits and, after a threshold, hands bits on to another layer.

    Activations are -1 or +1.

    Args:
        shape: (C, H, W) for a 3x3 convolution, (F,) for a matrix product.
        density: Share of weight bits that are 1; from `DENSE` on they mean -1 and +1, below 0 and 1.
        seed: Of the weights.
        patterns: How many different 3x3 kernels the weights consist of; 0 for any.
    """
    random = np.random.default_rng(seed)
    channels = shape[0]
    signed = density >= DENSE
    if len(shape) == 3:
        weight, after = random.random((channels, channels, 3, 3)) < density, random.random((8, channels, 1, 1)) < 0.5
        if patterns:
            weight = _distinct(random, density, patterns)[random.integers(0, patterns, (channels, channels))]
        layer = ops.BinaryConv(
            name=LAYER, inputs=("sign",), weight=weight, signed=signed, window=Window((3, 3), padding=(1, 1))
        )
        reader = ops.BinaryConv(name="after", inputs=("bits",), weight=after, signed=True, window=Window((1, 1)))
    else:
        weight, after = random.random((channels, channels)) < density, random.random((8, channels)) < 0.5
        layer = ops.BinaryLinear(name=LAYER, inputs=("sign",), weight=weight, signed=signed)
        reader = ops.BinaryLinear(name="after", inputs=("bits",), weight=after, signed=True)
    threshold, flip = np.zeros(channels, np.int32), random.random(channels) < 0.5
    return ops.Graph(
        "x",
        TensorType(Kind.REAL, shape),
        (
            ops.Binarize(name="sign", inputs=("x",), threshold=np.zeros(channels, np.float32)),
            layer,
            ops.Threshold(name="bits", inputs=(LAYER,), threshold=threshold, flip=flip),
            reader,
            ops.Affine(name="y", inputs=("after",), scale=np.ones(8, np.float32)),
        ),
        "y",
    )


def _distinct(random: np.random.Generator, density: float, patterns: int) -> np.ndarray:
    """(P, 3, 3) different kernels, likelier the closer to the density."""
    kernels = (np.arange(KERNELS)[:, None] >> np.arange(9) & 1).astype(bool)
    likely = np.where(kernels, density, 1 - density).prod(axis=1)
    return kernels[random.choice(KERNELS, patterns, replace=False, p=likely / likely.sum())].reshape(-1, 3, 3)


def _parse(name: str) -> tuple[tuple[int, ...], int]:
    """The shape, and the number of patterns or 0."""
    layer, _, patterns = name.partition("/")
    parts = ("linear", layer[6:]) if layer.startswith("linear") else tuple(layer.split("x"))
    sizes = [int(part) for part in parts if part.isdigit() and int(part) > 0]
    if parts[0] == "linear" and len(sizes) == 1 and layer == name:
        return (sizes[0],), 0
    known = layer == name or (patterns.isdigit() and 0 < int(patterns) <= KERNELS)
    if len(parts) == len(sizes) == 3 and known:
        return (sizes[2], sizes[0], sizes[1]), int(patterns or 0)
    raise ValueError(
        f"items: expected HEIGHTxWIDTHxCHANNELS, maybe with /PATTERNS from 1 to {KERNELS}, or linearFEATURES, "
        f"found {name!r}"
    )


def _real(graph: ops.Graph) -> ops.Graph:
    """The layer alone, its weights of -1 and +1 as real numbers."""
    layer = next(op for op in graph.ops if op.name == LAYER)
    assert isinstance(layer, ops.BinaryConv | ops.BinaryLinear)
    weight = 2 * layer.weight.astype(np.float32) - 1
    if isinstance(layer, ops.BinaryConv):
        op = ops.Conv(name=LAYER, inputs=("x",), weight=weight, bias=None, window=layer.window)
    else:
        op = ops.Linear(name=LAYER, inputs=("x",), weight=weight, bias=None)
    return ops.Graph("x", graph.input_type, (op,), LAYER)
