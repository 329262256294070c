"""Time a training step of ResNet-18 for 32x32 images with each method, in turn with a step of the same float network.

A step is the body of a training loop: forward pass, loss and penalty, backward pass, Adam, `bw.after_step`. The images
are noise, the schedules stand in the middle of training. Rows are added to benchmarks/results/train_step.csv.

Example: python benchmarks/train_step.py --methods recu ada_bin
"""

import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor, nn

import bitwright as bw
from bitwright.bench.item import Setting
from bitwright.bench.rows import add_rows, environment
from bitwright.report.timing import Timing, describe_machine

RESULTS = Path(__file__).resolve().parent / "results"


def main(
    methods: tuple[str, ...] = tuple(bw.methods.__all__),
    output: Path | None = RESULTS / "train_step.csv",
    batch: int = 32,
    threads: int = 1,
    runs: int = 5,
    patience_s: float = 40.0,
    width: int = 64,
) -> None:
    """Print a line for each method and add a row to the file.

    Args:
        methods: Names in `bw.methods`, all by default.
        output: The file of the rows; None writes none.
        batch: Images in a step.
        threads: Of PyTorch.
        runs: Steps of each side that are timed, after one that is not.
        patience_s: Seconds after which a method gets no further run; it has had one at least.
        width: Channels of the first stage.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    plain = bw.zoo.resnet18(width=width)
    images, labels = torch.randn(batch, 3, 32, 32), torch.randint(10, (batch,))
    float_step = training_step(copy.deepcopy(plain), images, labels)
    float_step()
    for name in methods:
        net = bw.binarize(copy.deepcopy(plain), getattr(bw.methods, name)())
        ours, theirs = in_turn(training_step(net, images, labels), float_step, runs, patience_s)
        row: dict[str, Any] = {
            **environment(Setting(threads, batch)),
            "torch": describe_machine().versions["torch"],
            "network": "resnet18" if width == 64 else f"resnet18 of width {width}",
            "method": name,
            "runs": ours.runs,
            "median_ms": round(ours.median_ms, 1),
            "min_ms": round(ours.min_ms, 1),
            "float_median_ms": round(theirs.median_ms, 1),
            "float_min_ms": round(theirs.min_ms, 1),
            "ratio": round(ours.median_ms / theirs.median_ms, 3),
            "ratio_min": round(ours.min_ms / theirs.min_ms, 3),
        }
        print(f"{name:20} {row['median_ms']:8.1f} ms, float {row['float_median_ms']:8.1f} ms: {row['ratio']:.2f}")
        if output is not None:
            add_rows(output, [row])


def in_turn(
    ours: Callable[[], None], theirs: Callable[[], None], runs: int, patience_s: float
) -> tuple[Timing, Timing]:
    """Time two calls in turn, after one of ours to warm up, until both had all their runs or patience is at its end."""
    ours()
    times: list[tuple[float, float]] = []
    while len(times) < runs and (not times or sum(map(sum, times)) < 1e3 * patience_s):
        times.append((milliseconds(ours), milliseconds(theirs)))
    first, second = (Timing(statistics.median(side), min(side), len(side)) for side in zip(*times, strict=True))
    return first, second


def milliseconds(call: Callable[[], None]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def training_step(net: nn.Module, images: Tensor, labels: Tensor) -> Callable[[], None]:
    """One step of training on the same batch, again at each call; of a float network the penalty is 0."""
    net.train()
    bw.set_progress(net, 0.5)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)

    def step() -> None:
        loss = F.cross_entropy(net(images), labels)
        loss = loss + bw.penalty(net, loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bw.after_step(net)

    return step


if __name__ == "__main__":
    tyro.cli(main)
