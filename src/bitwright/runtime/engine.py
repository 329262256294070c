"""The native engine: loads a .bw file, chooses a kernel for each layer and runs batches on the CPU, without PyTorch."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bitwright import _native
from bitwright.format.outputs import read_outputs, take_apart
from bitwright.ir.interpret import check_batch, input_dtype
from bitwright.ir.ops import Array, Kind, TensorType
from bitwright.runtime.tuning import TuningResults

MAX_THREADS = 256


@dataclass(frozen=True)
class EngineTensor:
    """A tensor in memory, as a step reads or writes it.

    Attributes:
        shape: Of one sample, (C, H, W) or (F,).
        layout: "sliced bits" (maps of bits, channel after channel), "planar float32", "planar uint8",
            "planar int32 (sums)", "planar int16 (fixed point)", or for a vector "row of bits", "row of float32" and so
            on.
    """

    shape: tuple[int, ...]
    layout: str


@dataclass(frozen=True)
class EngineStep:
    """One step of an engine: an op of the graph, and those that run with it.

    Attributes:
        name: Name of the first op.
        op: Its class in `bitwright.ir.ops`.
        kernel: The routine that runs it: an instruction set's, or one of its binary convolutions by name.
        fused: Names of the other ops that run in this step.
        input_shape: Shape of what the step reads first, one sample.
        output_shape: Shape of what it makes last.
        reads: All tensors that it reads from memory.
        writes: All tensors that it writes to memory.
        changes: Where it brings data into another layout, "from -> to", in the order of the work.
        scratch_bytes: Memory that it uses beside them: for copies of its input, and the like.
    """

    name: str
    op: str
    kernel: str
    fused: tuple[str, ...]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    reads: tuple[EngineTensor, ...]
    writes: tuple[EngineTensor, ...]
    changes: tuple[str, ...]
    scratch_bytes: int


@dataclass(frozen=True)
class StepTime:
    """How long one step takes on one sample, on one thread.

    Attributes:
        step: The step.
        median_us: Median over the runs, microseconds.
        min_us: Shortest run, microseconds.
    """

    step: EngineStep
    median_us: float
    min_us: float


class Engine:
    """A packed network, ready to run.

    Several threads of a program may call one engine at the same time: each call has memory of its own, which the engine
    keeps for later calls. Results do not depend on threads, on the instruction set, or on how a batch is split.

    Attributes:
        path: The file, as given.
        isa: Name of the instruction set in use.
        input_shape: Shape of one sample, (C, H, W) or (F,).
        input_kind: REAL or PIXEL.
        input_dtype: float32, or uint8 for pixels.
        output_shape: Shape of one sample's output; where there are several, of the row of all their elements.
        output_shapes: Shapes of one sample of each output by name, where there are several.
        meta: Short texts from the file.
        labels: Names of the classes, if the file holds them.
        threads: Used by a call that names no number.

    Args:
        path: A .bw file.
        threads: From 1 to 256.
        isa: An instruction set from `available_isas()`; by default BITWRIGHT_ISA of the environment, else the best.
        choices: Name of a binary convolution -> name of the kernel to use for it, for experiments.
        tune: Choose the kernel of every other binary convolution by timing those that take its shape, where an estimate
            does it otherwise: at most some 50 ms a layer and about 3 seconds in all, behind which the estimate chooses.
            Results of a network stay the same. What was found is kept for the process, and beside the file as
            `<path>.tune.json` if that can be written, for later loads on this kind of processor.

    Raises:
        FormatError: If it is not a sound bitwright file.
        OSError: If it cannot be opened.
        ValueError: If the instruction set or a kernel is not there, or threads is out of range.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        threads: int = 1,
        isa: str | None = None,
        choices: Mapping[str, str] | None = None,
        tune: bool = False,
    ) -> None:
        self.path = path
        self.threads = _check_threads(threads)
        self.isa: str = _native.find_isa(isa or "")
        results = TuningResults(path, self.isa) if tune else None
        known = results.kernels if results else {}
        self._native = _native.Engine(
            os.fspath(path), isa=self.isa, choices=dict(choices or {}), tune=tune, known=known
        )
        if results:
            results.keep(self._native.tuned)
        self.input_shape: tuple[int, ...] = self._native.input_shape
        self.input_kind: Kind = Kind(self._native.input_kind)
        self.input_dtype: np.dtype = input_dtype(self.input_kind)
        self._input_type = TensorType(self.input_kind, self.input_shape)
        self.output_shape: tuple[int, ...] = self._native.output_shape
        self.meta: dict[str, str] = self._native.meta
        self.output_shapes = read_outputs(self.meta, self.output_shape)
        self.labels: tuple[str, ...] = tuple(self.meta["labels"].split("\n")) if "labels" in self.meta else ()

    def __call__(self, x: Array, *, threads: int | None = None) -> Any:
        """Run a batch.

        Shape:
            x: (N, *input_shape) of `input_dtype`. Output: (N, *output_shape), float32; where there are several,
                a dict or tuple of arrays (N, *shape).

        Args:
            x: The batch; finite values.
            threads: From 1 to 256, for this call. They share the samples of the batch, or the layers of a small one.

        Raises:
            ValueError: If the shape is another one, a value is not finite, or threads is out of range.
            TypeError: If x is not a NumPy array of that dtype.
        """
        threads = self.threads if threads is None else _check_threads(threads)
        check_batch(x, self._input_type)
        y = np.empty((x.shape[0], *self.output_shape), np.float32)
        self._native.run(np.ascontiguousarray(x), y, threads)
        return take_apart(y, self.output_shapes)

    def layers(self) -> list[EngineStep]:
        """The steps of the engine, in the order in which they run."""
        steps = []
        for step in self._native.describe():
            texts = {key: tuple(step[key]) for key in ("fused", "changes")}
            tensors = {key: tuple(EngineTensor(*tensor) for tensor in step[key]) for key in ("reads", "writes")}
            steps.append(EngineStep(**{**step, **texts, **tensors}))
        return steps

    def profile(self, x: Array | None = None, *, runs: int = 20) -> list[StepTime]:
        """Time every step on one sample and one thread.

        Shape:
            x: (N, *input_shape) of `input_dtype`.

        Args:
            x: A batch, of which the first sample is used; by default random values.
            runs: How often to run, 1 or more.

        Raises:
            ValueError: If the shape is another one or the batch empty, a value is not finite, or runs is not positive.
            TypeError: If x is not a NumPy array of that dtype.
        """
        if x is None:
            x = np.random.default_rng(0).random((1, *self.input_shape)) * (255 if self.input_kind == Kind.PIXEL else 1)
            x = x.astype(self.input_dtype)
        check_batch(x, self._input_type)
        times = self._native.profile(np.ascontiguousarray(x[:1]), runs)
        return [StepTime(step, median, least) for step, (median, least) in zip(self.layers(), times, strict=True)]


def load(path: str | os.PathLike[str], *, threads: int = 1, isa: str | None = None, tune: bool = False) -> Engine:
    """Load a .bw file into the native engine.

    The file stays mapped as long as the engine lives: replace it by another one, as `bitwright.export` does, but do not
    write into it or cut it short.

    Args:
        path: A file that `bitwright.export` wrote.
        threads: Used by calls that name no number, from 1 to 256.
        isa: An instruction set by name; by default BITWRIGHT_ISA of the environment, else the best there is.
        tune: Choose kernels by timing them, up to about 3 seconds when a file is first loaded; see `Engine`.

    Raises:
        FormatError: If it is not a sound bitwright file.
        OSError: If it cannot be opened.
        ValueError: If the instruction set is not there, or threads is out of range.
    """
    return Engine(path, threads=threads, isa=isa, tune=tune)


def available_isas() -> list[str]:
    """Names of the instruction sets that this processor can run, "reference" first and the best last."""
    return _native.available_isas()


def _check_threads(threads: int) -> int:
    if not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"threads: expected 1 to {MAX_THREADS}, found {threads}.")
    return threads
