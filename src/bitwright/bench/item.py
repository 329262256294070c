"""What is timed: one layer or one network, as graphs of ours and as graphs for the peers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bitwright.ir import ops

Suite = Literal["layers", "networks", "sparsity"]
DENSE = 0.5  # the density that stands for weights of -1 and +1


@dataclass(frozen=True)
class Item:
    """One piece of work.

    No peer gains from zeros among the weights, so they all run the dense form, and sparse forms of ours meet that.

    Attributes:
        name: What it is called in tables.
        graphs: What our engine runs, by density of the weights; in the suite of sparsity `DENSE` is half ones.
        real: What peers run as float32 or int8: the same shapes, real-valued.
        binary: What peers with binary layers run, real numbers in and out; of the same shapes as the dense graph.
        layer: The op that alone is timed, bits to bits; None for the whole run.
    """

    name: str
    graphs: Mapping[float, ops.Graph]
    real: ops.Graph
    binary: ops.Graph
    layer: str | None = None


@dataclass(frozen=True)
class Setting:
    """What holds for everybody in a run: how many threads, and how many samples in a call."""

    threads: int = 1
    batch: int = 1


def noise(kind_and_shape: ops.TensorType, batch: int, seed: int = 0) -> np.ndarray:
    """A batch of noise that a network takes.

    Args:
        kind_and_shape: The type of its input.
        batch: How many samples.
        seed: Of the noise.
    """
    random = np.random.default_rng(seed)
    shape = (batch, *kind_and_shape.shape)
    if kind_and_shape.kind == ops.Kind.PIXEL:
        return random.integers(0, 256, shape, dtype=np.uint8)
    return random.standard_normal(shape, dtype=np.float32)
