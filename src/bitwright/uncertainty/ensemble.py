"""Ensemble: S samples of a packed network, drawn once from its Bayesian layer's posterior, that all images go through.

The packed trunk runs in the native engine as it is; the samples are the batch.
"""

import os
import tempfile
from collections.abc import Callable
from functools import partial
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np

from bitwright.errors import BitwrightError
from bitwright.format.posterior import read_posterior
from bitwright.format.reader import read
from bitwright.format.writer import write
from bitwright.ir.interpret import check_batch, interpret
from bitwright.ir.ops import Array, Graph
from bitwright.ir.verify import infer
from bitwright.runtime.engine import Engine
from bitwright.uncertainty.prediction import Prediction, summarize
from bitwright.uncertainty.split import by_sample, draw_weights, make_head, make_trunk

ROOM = 1 << 22  # elements of the layer's output, over samples and images, that are in memory at a time

Run = Callable[[Array], Array]


class Ensemble:
    """Samples of a packed network, ready to run.

    Sample s equals, bit for bit, the packed network whose Bayesian layer has the s-th weights drawn.

    Attributes:
        samples: S.
        weights: (S, *weight) float32, those of the layer.
        labels: Names of the classes, if the file holds them.

    Args:
        path: A .bw file with a posterior: an exported network that `bw.methods.stf_bnn` made Bayesian.
        samples: S, 1 or more. The first ones of a larger number are the same.
        seed: Of the weights.
        threads: From 1 to 256.
        isa: As for `bitwright.load`.
        engine: "native", or "numpy" for the slow one that says the same.

    Raises:
        BitwrightError: If the file holds no posterior, or something bypasses its layer.
        FormatError: If it is not a sound bitwright file.
        OSError: If it cannot be opened.
        ValueError: If samples or threads is out of range, or the instruction set is not there.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        samples: int = 20,
        seed: int = 0,
        threads: int = 1,
        isa: str | None = None,
        engine: Literal["native", "numpy"] = "native",
    ) -> None:
        if samples < 1:
            raise ValueError(f"samples: expected 1 or more, found {samples}.")
        graph = read(path)
        posterior = read_posterior(graph)
        if posterior is None:
            raise BitwrightError(
                f"{os.fspath(path)}: holds no posterior to draw from. Make a layer Bayesian before the export, by "
                "bw.methods.stf_bnn or a recipe's table [bayesian]."
            )
        self.samples = samples
        self.weights = draw_weights(posterior, samples, seed)
        self.labels: tuple[str, ...] = tuple(graph.meta["labels"].split("\n")) if "labels" in graph.meta else ()
        self._layer = posterior.op
        self._input_type = graph.input_type
        self._elements = prod(infer(graph)[self._layer.name].shape)
        most = max(1, ROOM // self._elements)
        sets = [self.weights[start : start + most] for start in range(0, samples, most)]
        heads = [make_head(graph, self._layer, weights) for weights in sets]
        trunk = make_trunk(graph, self._layer)
        if engine == "numpy":
            *runs, self._trunk = (partial(interpret, part) for part in (*heads, trunk))
        else:
            *runs, self._trunk = _engines([*heads, trunk], threads, isa)
        self._heads: list[tuple[int, Run]] = [(len(part), run) for part, run in zip(sets, runs, strict=True)]

    def logits(self, x: Array) -> Array:
        """What each sample returns.

        Shape:
            x: (N, *input shape), float32, or uint8 for pixels; output: (S, N, K) float32.

        Args:
            x: The batch; finite values.

        Raises:
            ValueError: If the shape is another one, a value is not finite, or there are no images.
            TypeError: If x is not a NumPy array of that dtype.
        """
        check_batch(x, self._input_type)
        if not len(x):
            raise ValueError("x: expected 1 image or more, found none.")
        at_once = max(1, ROOM // (self._elements * self._heads[0][0]))
        parts = [self._run(x[start : start + at_once]) for start in range(0, len(x), at_once)]
        return np.concatenate(parts, axis=1)

    def __call__(self, x: Array) -> Prediction:
        """Mean and uncertainties of a batch, see `Prediction`.

        Shape:
            x: (N, *input shape), float32, or uint8 for pixels.

        Args:
            x: The batch; finite values.

        Raises:
            ValueError: If the shape is another one, a value is not finite, or there are no images.
            TypeError: If x is not a NumPy array of that dtype.
        """
        return summarize(self.logits(x))

    def _run(self, x: Array) -> Array:
        """Logits (S, N, K) of as many images as fit."""
        found = []
        for sets, head in self._heads:
            y = self._trunk(by_sample(head(x), sets, self._layer))
            found.append(y.reshape(len(x), sets, -1).swapaxes(0, 1))
        return np.concatenate(found)


def load(
    path: str | os.PathLike[str], *, samples: int = 20, seed: int = 0, threads: int = 1, isa: str | None = None
) -> Ensemble:
    """Draw samples of a packed network with a Bayesian layer; arguments and errors are those of `Ensemble`.

    Example:
        >>> import bitwright as bw
        >>> network = bw.uncertainty.load("net.bw", samples=20)  # doctest: +SKIP
        >>> network(images).mutual_information  # doctest: +SKIP
    """
    return Ensemble(path, samples=samples, seed=seed, threads=threads, isa=isa)


def predict(
    path: str | os.PathLike[str], x: Array, *, samples: int = 20, seed: int = 0, threads: int = 1
) -> Prediction:
    """`load` and one batch, for those who have no second one.

    Shape:
        x: (N, *input shape), float32, or uint8 for pixels.

    Args:
        path: As for `Ensemble`.
        x: The batch; finite values.
        samples: As for `Ensemble`.
        seed: As for `Ensemble`.
        threads: As for `Ensemble`.

    Raises:
        BitwrightError: As `Ensemble` does, which also raises FormatError, OSError and ValueError.
        TypeError: If x is not a NumPy array of the network's dtype.
    """
    return Ensemble(path, samples=samples, seed=seed, threads=threads)(x)


def _engines(graphs: list[Graph], threads: int, isa: str | None) -> list[Run]:
    """A native engine for each graph. Files that are mapped may lose their names."""
    with tempfile.TemporaryDirectory(prefix="bitwright-") as folder:
        engines: list[Run] = []
        for number, graph in enumerate(graphs):
            path = Path(folder) / f"{number}.bw"
            write(graph, path)
            engines.append(Engine(path, threads=threads, isa=isa))
    return engines
