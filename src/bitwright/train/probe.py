"""Probing a trained body: what a linear classifier, and the nearest neighbours, make of its frozen features."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bitwright.data import DataSet, load_dataset
from bitwright.errors import RunError
from bitwright.nn.modes import evaluating
from bitwright.pretext import body_features, fit_linear, vote_of_neighbours
from bitwright.report.runs import PROBE
from bitwright.train.batches import EvaluationBatches
from bitwright.train.config import Data
from bitwright.train.folder import write_whole
from bitwright.train.model_file import load_model


@dataclass(frozen=True)
class Probe:
    """What frozen features are worth; `probe.json` in the run folder holds the same.

    Attributes:
        linear: Share of the test images that a linear classifier of the features gets right.
        neighbours: Share that the vote of the nearest neighbours gets right.
        features: How many numbers the body returns for an image.
        images: Training images whose labels both of them know.
        test_images: Test images.
    """

    linear: float
    neighbours: float
    features: int
    images: int
    test_images: int


def probe(
    folder: str | Path,
    *,
    data: DataSet | None = None,
    samples: int = 0,
    neighbours: int = 200,
    temperature: float = 0.1,
    decay: float = 1e-4,
) -> Probe:
    """Judge the body of a run's network by its features of labelled images, without training it.

    Args:
        folder: The run folder; it receives `probe.json`.
        data: The labelled images, if they are not those of the run's recipe.
        samples: Training images that are used, a seeded choice; 0 for all.
        neighbours: How many vote, see `pretext.vote_of_neighbours`.
        temperature: Of their votes.
        decay: Of the linear classifier, see `pretext.fit_linear`.

    Raises:
        RunError: If there is no trained network, or the images have another form than those it was trained on.
        DataError: If the data set is missing.
    """
    model = load_model(folder)
    recipe = model.recipe
    data = load_dataset(recipe.data.source, size=recipe.data.size or None) if data is None else data
    if data.shape != model.shape:
        raise RunError(f"{folder}: its network reads images of {model.shape}, those of {data.source} are {data.shape}")
    chosen = np.random.default_rng(recipe.seed).permutation(len(data.train_images))[: samples or None]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net, classes = model.net.to(device), len(data.label_names)
    known, labels = _features(net, data.train_images[chosen], data.train_labels[chosen], recipe.data, device)
    asked, truth = _features(net, data.test_images, data.test_labels, recipe.data, device)
    linear = fit_linear(known, labels, classes, decay=decay)
    votes = vote_of_neighbours(asked, known, labels, classes, k=neighbours, temperature=temperature)
    found = Probe(
        linear=_share(linear(asked), truth),
        neighbours=_share(votes, truth),
        features=known.shape[1],
        images=len(known),
        test_images=len(asked),
    )
    if Path(folder).is_dir():
        write_whole(Path(folder) / PROBE, json.dumps(asdict(found), indent=2) + "\n")
    return found


@torch.no_grad()
def _features(
    net: nn.Module, images: np.ndarray, labels: np.ndarray, data: Data, device: torch.device
) -> tuple[Tensor, Tensor]:
    """(N, D) float32 and (N,) int64, of images as they are."""
    with evaluating(net):
        parts = [(body_features(net, x), y.labels) for x, y in EvaluationBatches(images, labels, data, device=device)]
    features, truth = zip(*parts, strict=True)
    return torch.cat(features).float(), torch.cat(truth)


def _share(scores: Tensor, truth: Tensor) -> float:
    return (scores.argmax(1) == truth).float().mean().item()
