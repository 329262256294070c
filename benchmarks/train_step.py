"""Time a training step of ResNet-18 for 32x32 images with each method, in turn with a step of the same float network.

A step is the body of a training loop: forward pass, loss and penalty, backward pass, Adam, `bw.after_step`. The images
are noise, the schedules stand in the middle of training. Rows are added to benchmarks/results/train_step.csv.

Example: python benchmarks/train_step.py --methods recu ada_bin
"""

import copy
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
from bitwright.report.timing import alternate, describe_machine

RESULTS = Path(__file__).resolve().parent / "results"


def main(
    methods: tuple[str, ...] = tuple(bw.methods.__all__),
    output: Path | None = RESULTS / "train_step.csv",
    batch: int = 32,
    threads: int = 1,
    runs: int = 5,
    width: int = 64,
) -> None:
    """Print a line for each method and add a row to the file.

    Args:
        methods: Names in `bw.methods`, all by default.
        output: The file of the rows; None writes none.
        batch: Images in a step.
        threads: Of PyTorch.
        runs: Steps of each side that are timed, after two that are not.
        width: Channels of the first stage.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    plain = bw.zoo.resnet18(width=width)
    images, labels = torch.randn(batch, 3, 32, 32), torch.randint(10, (batch,))
    float_step = training_step(copy.deepcopy(plain), images, labels)
    for name in methods:
        net = bw.binarize(copy.deepcopy(plain), getattr(bw.methods, name)())
        times = alternate({"float": float_step, name: training_step(net, images, labels)}, runs=runs, warmup=1)
        ours, theirs = times[name], times["float"]
        row: dict[str, Any] = {
            **environment(Setting(threads, batch)),
            "torch": describe_machine().versions["torch"],
            "network": "resnet18" if width == 64 else f"resnet18 of width {width}",
            "method": name,
            "runs": runs,
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
