"""One 3x3 binary convolution, bits in and bits out, against PyTorch's float32 convolution, on one thread.

Both are measured in turn in one process: a round of the engine, a round of PyTorch, and so on. On our side the time is
that of the whole step as the engine runs it inside a network, all preparation of its input and the threshold included;
on PyTorch's side that of `conv2d` alone, in the faster of its two memory layouts, and in processor time of the thread:
its calls of milliseconds are interrupted more often than ours of microseconds where the machine has other work to do,
and that shall not count against it. Each row of the results says what was measured, where, and with which versions.

Example: python benchmarks/conv_layer.py --shapes 28x28x128 --densities 0.5 0.1
"""

import csv
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
import tyro

from bitwright import _native
from bitwright.cli.output import print_table
from bitwright.format.writer import write
from bitwright.ir import ops
from bitwright.ir.ops import Kind, TensorType, Window
from bitwright.report.timing import Timing, describe_machine
from bitwright.runtime.engine import Engine

ROOT = Path(__file__).resolve().parent.parent
SHAPES = ("56x56x64", "28x28x128", "14x14x256", "7x7x512", "32x32x16", "16x16x32", "8x8x64")
DENSITIES = (0.5, 0.1, 0.05, 0.01)
SAME = Window((3, 3), padding=(1, 1))


@dataclass(frozen=True)
class Measured:
    """One layer: our time, PyTorch's, and the kernel that the engine chose."""

    kernel: str
    isa: str
    bitwright: Timing
    torch: Timing

    @property
    def ratio(self) -> float:
        """How many times as long PyTorch takes, by the medians."""
        return self.torch.median_ms / self.bitwright.median_ms

    @property
    def ratio_min(self) -> float:
        """How many times as long PyTorch takes, by the minima."""
        return self.torch.min_ms / self.bitwright.min_ms


def layer_graph(height: int, width: int, channels: int, density: float, seed: int = 0) -> ops.Graph:
    """Build the smallest graph around a 3x3 convolution of as many output as input channels, followed by a threshold.

    Activations are -1 or +1. Weights are -1 or +1 at a density of 0.5, and 0 or 1 below.

    Args:
        height: Of the image.
        width: Of the image.
        channels: In and out.
        density: Share of weight bits that are 1.
        seed: Of the weights.
    """
    random = np.random.default_rng(seed)
    weight = random.random((channels, channels, 3, 3)) < density
    threshold, flip = np.zeros(channels, np.int32), random.random(channels) < 0.5
    return ops.Graph(
        "x",
        TensorType(Kind.REAL, (channels, height, width)),
        (
            ops.Binarize(name="sign", inputs=("x",), threshold=np.zeros(channels, np.float32)),
            ops.BinaryConv(name="conv", inputs=("sign",), weight=weight, signed=density >= 0.5, window=SAME),
            ops.Threshold(name="bits", inputs=("conv",), threshold=threshold, flip=flip),
            ops.Decode(name="y", inputs=("bits",)),
        ),
        "y",
    )


def measure(height: int, width: int, channels: int, density: float, *, rounds: int, runs: int) -> Measured:
    """Time one layer on both sides, in turn.

    Args:
        height: Of the image.
        width: Of the image.
        channels: In and out.
        density: Share of weight bits that are 1.
        rounds: How often the two sides take turns.
        runs: Measurements of each in a round.
    """
    x = np.random.default_rng(1).standard_normal((1, channels, height, width), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.bw"
        write(layer_graph(height, width, channels, density), path)
        engine = Engine(path)
    step = next(i for i, step in enumerate(engine.layers()) if step.name == "conv")
    if "bits" not in engine.layers()[step].fused:
        raise RuntimeError("the engine no longer runs the threshold with its convolution; this script times one step")
    peer = fastest_conv(torch.from_numpy(x), channels)
    ours, theirs = [], []
    for _ in range(rounds):
        times = engine.profile(x, runs=runs)[step]
        ours.append((times.median_us / 1e3, times.min_us / 1e3))
        theirs.append(time_calls(peer, runs))
    kernel, count = engine.layers()[step].kernel, rounds * runs
    return Measured(kernel, engine.isa, summary(ours, count), summary(theirs, count))


def fastest_conv(x: torch.Tensor, channels: int) -> Callable[[], object]:
    """PyTorch's convolution in the memory layout in which it is faster here.

    Args:
        x: (1, C, H, W).
        channels: In and out.
    """
    weight = torch.randn(channels, channels, 3, 3)
    calls = []
    for layout in (torch.contiguous_format, torch.channels_last):
        a, w = x.contiguous(memory_format=layout), weight.contiguous(memory_format=layout)
        calls.append(lambda a=a, w=w: torch.nn.functional.conv2d(a, w, padding=1))
    times = [time_calls(call, 10)[0] for call in calls]
    return calls[times.index(min(times))]


def time_calls(call: Callable[[], object], runs: int) -> tuple[float, float]:
    """Median and minimum of some calls after one to warm up, in milliseconds of this thread's processor time.

    Args:
        call: What to time.
        runs: How often.
    """
    times = []
    with torch.inference_mode():
        call()
        for _ in range(runs):
            start = time.thread_time()
            call()
            times.append(1e3 * (time.thread_time() - start))
    return statistics.median(times), min(times)


def summary(rounds: list[tuple[float, float]], runs: int) -> Timing:
    """Median of the rounds' medians, minimum of their minima.

    Args:
        rounds: Median and minimum of each, milliseconds.
        runs: How many measurements they stand for.
    """
    return Timing(statistics.median(m for m, _ in rounds), min(least for _, least in rounds), runs)


def commit() -> str:
    """Say which state of the sources this is; "+" marks changes that are not committed."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    found = subprocess.run(command, capture_output=True, text=True)
    return found.stdout.strip() or "not committed"


def compiler() -> str:
    """Read from the extension module which compiler made it."""
    found = re.search(rb"GCC: \([^)]*\) [\d.]+|clang version [\d.]+", Path(_native.__file__).read_bytes())
    return found.group().decode() if found else "unknown"


def environment() -> dict[str, object]:
    """What every row begins with: the state of the sources, the machine and the versions."""
    machine = describe_machine()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit(),
        "cpu": machine.cpu,
        "system": machine.system,
        "compiler": compiler(),
        **machine.versions,
        "threads": 1,
    }


def main(
    shapes: tuple[str, ...] = SHAPES,
    densities: tuple[float, ...] = DENSITIES,
    rounds: int = 10,
    runs: int = 20,
    output: Path = ROOT / "benchmarks" / "results" / "conv_layer.csv",
) -> None:
    """Time 3x3 binary convolutions against PyTorch float32 on one thread, and add rows to a CSV file.

    Args:
        shapes: Images and channels, HEIGHTxWIDTHxCHANNELS.
        densities: Shares of weight bits that are 1; 0.5 stands for weights of -1 and +1, less for 0 and 1.
        rounds: How often the two sides take turns.
        runs: Measurements of each in a round.
        output: The file to add rows to.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    here, cpu = environment(), describe_machine().cpu
    rows, cells = [], []
    for shape in shapes:
        height, width, channels = map(int, shape.split("x"))
        for density in densities:
            found = measure(height, width, channels, density, rounds=rounds, runs=runs)
            rows.append({**here, **row(shape, density, found)})
            times = [found.bitwright.median_ms, found.torch.median_ms, found.bitwright.min_ms, found.torch.min_ms]
            numbers = [*(1e3 * ms for ms in times), found.ratio, found.ratio_min]
            cells.append([shape, f"{density:g}", found.kernel, *(f"{number:.1f}" for number in numbers)])
            print(f"{shape} at density {density:g}: {found.ratio:.1f} times", flush=True)
    add_rows(output, rows)
    columns = ["shape", "density", "kernel", "us", "torch us", "min us", "min torch us", "ratio", "ratio of minima"]
    print_table(f"3x3 binary convolution, bits in and out, 1 thread, {cpu}", columns, cells, "lrlrrrrrr")
    print(output)


def row(shape: str, density: float, found: Measured) -> dict[str, object]:
    """What one layer adds to its row of the results.

    Args:
        shape: HEIGHTxWIDTHxCHANNELS.
        density: Share of weight bits that are 1.
        found: The times.
    """
    return {
        "isa": found.isa,
        "shape": shape,
        "density": density,
        "kernel": found.kernel,
        "runs": found.bitwright.runs,
        "bitwright_median_us": round(1e3 * found.bitwright.median_ms, 2),
        "bitwright_min_us": round(1e3 * found.bitwright.min_ms, 2),
        "torch_median_us": round(1e3 * found.torch.median_ms, 2),
        "torch_min_us": round(1e3 * found.torch.min_ms, 2),
        "ratio": round(found.ratio, 2),
        "ratio_min": round(found.ratio_min, 2),
    }


def add_rows(path: Path, rows: list[dict[str, object]]) -> None:
    """Add rows to a CSV file, which begins with a header.

    Args:
        path: The file.
        rows: All with the same keys, which must be those of an older file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    if not new and path.read_text(encoding="utf-8").splitlines()[0].split(",") != list(rows[0]):
        raise SystemExit(f"{path} has other columns; move it away or name another file with --output")
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
