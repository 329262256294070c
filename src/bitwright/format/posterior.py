"""The posterior of a Bayesian layer in a file's metadata: the weights of one op are means, and these their deviations.

Who does not read it runs the means. The value of the key `posterior` is the name of a Conv or Linear, a line break, and
the deviations in base 64 (RFC 4648): float32, little-endian, one for each weight in its order, 0 or more.
"""

import base64
import binascii
from dataclasses import dataclass

import numpy as np

from bitwright.errors import FormatError
from bitwright.ir import ops
from bitwright.ir.ops import Array, Graph

KEY = "posterior"
MOST_WEIGHTS = 190_000  # what a file's text has room for, names and all


@dataclass(frozen=True, eq=False)
class Posterior:
    """The distribution of a layer's weights, each N(weight, deviation^2) by itself.

    Attributes:
        op: The Conv or Linear.
        deviation: Of the weight's shape, float32.
    """

    op: ops.Conv | ops.Linear
    deviation: Array


def to_text(name: str, deviation: Array) -> str:
    """The value of the key `posterior`.

    Args:
        name: Of the op.
        deviation: Of the weight's shape.
    """
    return f"{name}\n{base64.b64encode(deviation.astype('<f4').tobytes()).decode('ascii')}"


def read_posterior(graph: Graph) -> Posterior | None:
    """The posterior that a graph holds, or None where its weights are numbers like any others.

    Args:
        graph: A verified graph.

    Raises:
        FormatError: If the metadata do not fit the graph.
    """
    if KEY not in graph.meta:
        return None
    name, _, text = graph.meta[KEY].partition("\n")
    op = next((op for op in graph.ops if op.name == name), None)
    if not isinstance(op, ops.Conv | ops.Linear):
        found = "nothing" if op is None else type(op).__name__
        raise FormatError(f"posterior: expected the name of a Conv or Linear, found {name!r}, which is {found}.")
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise FormatError(f"posterior: expected deviations of {name} in base 64, found other text: {error}.") from None
    if len(data) != 4 * op.weight.size:
        raise FormatError(f"posterior: expected {4 * op.weight.size} bytes for {name}, found {len(data)}.")
    deviation = np.frombuffer(data, "<f4").astype(np.float32).reshape(op.weight.shape)
    if not (np.isfinite(deviation).all() and (deviation >= 0).all()):
        raise FormatError(f"posterior: expected finite deviations of 0 or more for {name}, found others.")
    return Posterior(op, deviation)
