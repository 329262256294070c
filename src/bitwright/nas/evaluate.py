"""What a network of a supernet is worth: accuracy behind statistics of its own, and the time of its packed file."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from bitwright.lower import export
from bitwright.nas.search import Score
from bitwright.nas.space import Candidate
from bitwright.nas.supernet import Supernet
from bitwright.report.timing import alternate
from bitwright.runtime.engine import load

Batches = Iterable[tuple[Tensor, Tensor]]
Fitness = Literal["accuracy", "speed"]


@torch.no_grad()
def calibrate(net: nn.Module, batches: Iterable[Tensor]) -> None:
    """Take the running statistics of batch norm anew, each the mean over the batches; all else is in eval mode.

    Args:
        net: A network; it is left in eval mode.
        batches: Inputs, normalised.
    """
    net.eval()
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for x in batches:
        net(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


@torch.no_grad()
def accuracy(net: nn.Module, batches: Batches) -> float:
    """The share of images whose highest logit is the label's.

    Args:
        net: A network in eval mode.
        batches: Inputs, normalised, and labels.
    """
    right = images = 0
    for x, labels in batches:
        right += int((net(x).argmax(1) == labels).sum())
        images += len(labels)
    return right / images


@dataclass(frozen=True)
class Latency:
    """How the packed file of a network is timed: exported for pixels, and run in the native engine, an image at a time.

    Attributes:
        size: Side of the image.
        channels: Of the image.
        pixels: Mean and standard deviation of each channel, as for `bitwright.export`.
        threads: Of the engine.
        runs: Measurements, of which the shortest counts.
    """

    size: int
    channels: int
    pixels: tuple[tuple[float, ...], tuple[float, ...]]
    threads: int = 1
    runs: int = 20

    def measure(self, net: nn.Module) -> float:
        """Milliseconds an image.

        Args:
            net: A network in eval mode.

        Raises:
            LoweringError: It cannot be packed.
        """
        noise = np.random.default_rng(0).integers(0, 256, (1, self.channels, self.size, self.size), dtype=np.uint8)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "candidate.bw"
            export(net, path, torch.from_numpy(noise), pixels=self.pixels)
            engine = load(path, threads=self.threads)
            return alternate({"net": lambda: engine(noise)}, runs=self.runs)["net"].min_ms


@dataclass(frozen=True)
class Evaluator:
    """The score of a candidate: its network, taken out of the supernet, calibrated, and tried.

    Attributes:
        supernet: Trained.
        calibration: Inputs for the statistics of batch norm, the same for all candidates.
        validation: Inputs and labels that training has not seen.
        fitness: "accuracy", or "speed", the negative of the latency.
        latency: How it is measured; None where it is not. Where it is, it is the score's cost.
        threads: Of PyTorch, on which the last bits of sums depend.
    """

    supernet: Supernet
    calibration: Iterable[Tensor]
    validation: Batches
    fitness: Fitness = "accuracy"
    latency: Latency | None = None
    threads: int = 1

    def __call__(self, candidate: Candidate) -> Score:
        """Score a candidate."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            net = self.network(candidate)
            time = None if self.latency is None else self.latency.measure(net)
            if self.fitness == "speed":
                assert time is not None
                return Score(-time, time)
            return Score(accuracy(net, self.validation), time)
        finally:
            torch.set_num_threads(before)

    def network(self, candidate: Candidate) -> nn.Module:
        """A candidate's network, calibrated.

        Args:
            candidate: Of the supernet's space.
        """
        net = self.supernet.extract(candidate)
        calibrate(net, self.calibration)
        return net
