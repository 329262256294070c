"""Packed files as the commands see them: opened, fed with images, and asked for their classes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bitwright.errors import BitwrightError, DataError
from bitwright.format.outputs import KEY as OUTPUTS
from bitwright.format.reader import read
from bitwright.ir import ops

EngineName = Literal["native", "numpy"]


@dataclass(frozen=True)
class Network:
    """A packed file: what it holds, and an engine that runs it.

    Args:
        path: The file.
        graph: What it holds.
        run: Pixels or real numbers in, logits out, or several tensors by name.
    """

    path: Path
    graph: ops.Graph
    run: Callable[[np.ndarray], Any]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of the images that it takes.

        Raises:
            BitwrightError: If it takes no images of uint8 pixels.
        """
        kind, shape = self.graph.input_type.kind, self.graph.input_type.shape
        if kind != ops.Kind.PIXEL or len(shape) != 3 or shape[0] not in (1, 3):
            raise BitwrightError(
                f"{self.path} takes {kind.name} numbers of shape {shape}, expected pixels of 1 or 3 channels. "
                "Export it for pixels: bw.export(net, path, example=x, pixels=(mean, std))."
            )
        channels, height, width = shape
        return channels, height, width

    def class_names(self, count: int) -> list[str]:
        """Names of the classes, which are numbers where the file has no names.

        Args:
            count: How many classes there are.
        """
        names = self.graph.meta.get("labels", "").split("\n")
        return names if len(names) == count else [str(i) for i in range(count)]

    def predict(self, images: np.ndarray, batch: int) -> np.ndarray:
        """Logits of many images.

        Shape:
            images: (N, H, W, C) uint8; output: (N, classes) float32.

        Args:
            images: The pixels.
            batch: How many images go through in one call.

        Raises:
            BitwrightError: If it returns several tensors.
        """
        if OUTPUTS in self.graph.meta:
            found = self.graph.meta[OUTPUTS].replace("\n", ", ")
            raise BitwrightError(f"{self.path} returns {found}, expected logits. Try bw detect, or bw.load(path)(x).")
        return np.concatenate(self._run_in_parts(images, batch)).reshape(len(images), -1)

    def predict_maps(self, images: np.ndarray, batch: int) -> dict[str, np.ndarray]:
        """Each output of many images, of a network that returns several.

        Shape:
            images: (N, H, W, C) uint8; outputs: (N, ...) float32.

        Args:
            images: The pixels.
            batch: How many images go through in one call.
        """
        parts = self._run_in_parts(images, batch)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run_in_parts(self, images: np.ndarray, batch: int) -> list[Any]:
        parts = (images[start : start + batch] for start in range(0, len(images), batch))
        return [self.run(np.ascontiguousarray(part.transpose(0, 3, 1, 2))) for part in parts]


def open_network(path: Path, *, threads: int = 1, engine: EngineName = "native", isa: str | None = None) -> Network:
    """Open a packed file.

    Args:
        path: The file.
        threads: How many threads run it.
        engine: The native engine, or the slow one in NumPy that says the same.
        isa: The native engine's instruction set; by default BITWRIGHT_ISA of the environment, else the best.

    Raises:
        FormatError: If it is not a bitwright file, or is damaged.
        OSError: If it cannot be read.
    """
    if threads < 1:
        raise ValueError(f"--threads must be at least 1, found {threads}")
    graph = read(path)
    if engine == "numpy":
        from bitwright.runtime.reference import NumpyEngine

        return Network(path, graph, NumpyEngine(path))
    from bitwright.runtime.engine import load

    return Network(path, graph, load(path, threads=threads, isa=isa))


def labelled_images(source: str, split: str, network: Network) -> tuple[np.ndarray, np.ndarray]:
    """One split of a data set, checked against what a network takes.

    Shape:
        output: (N, H, W, C) uint8 and (N,) int64.

    Args:
        source: `KIND:PATH`.
        split: "train" or "test".
        network: What is to see them.

    Raises:
        DataError: If the data set is missing, or its images have another shape.
        BitwrightError: If the network takes no pixels.
    """
    from bitwright.data import load_dataset

    channels, height, width = network.image_shape
    data = load_dataset(source, split, size=height)
    if data.shape != (height, width, channels):
        found, expected = "x".join(map(str, data.shape)), f"{height}x{width}x{channels}"
        raise DataError(
            f"{source}: {network.path} takes images of {expected} (height, width, channels), found {found}."
        )
    return (data.train_images, data.train_labels) if split == "train" else (data.test_images, data.test_labels)
