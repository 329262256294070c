"""One run of one stage, from recipe to weights, logs and figures, resumable at every epoch."""

import json
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor, nn

from bitwright.data import DataSet, load_dataset
from bitwright.data.pixels import measure_pixels
from bitwright.errors import RecipeError, RunError
from bitwright.train.batches import EvaluationBatches, TrainingBatches
from bitwright.train.catalogue import accepted_options, build_network
from bitwright.train.config import Data, Recipe, write_recipe
from bitwright.train.density import measure_density
from bitwright.train.detection import as_scenes
from bitwright.train.diagnostics import LayerRow
from bitwright.train.folder import (
    BEST,
    LAST,
    LAYERS,
    METRICS,
    RECIPE,
    Log,
    describe_run,
    prepare_folder,
    write_results,
    write_rows,
    write_whole,
)
from bitwright.train.model_file import MODEL, TrainedModel, load_start, save_model
from bitwright.train.pretext import answers
from bitwright.train.questions import asked_in_judging
from bitwright.train.task import Row, Task, judge
from bitwright.train.tickets import take_masks


@dataclass(frozen=True)
class RunResult:
    """What a run came to; `results.json` holds the same and more.

    Attributes:
        folder: The run folder.
        model: Path of `model.safetensors`.
        accuracy: Share of the test images that the kept weights classify rightly, or what `figure` says.
        figure: What that is: "accuracy", or of a detector "mean AP at IoU 0.5".
        images: Number of test images.
        epoch: Epoch (counted from 1) whose weights were kept.
        epochs: Epochs done.
        finished: Whether these are all the recipe asks for.
        seconds: Time spent in them.
        density: Share of ones over all binarized weights.
        layers: Share of ones by layer name.
    """

    folder: Path
    model: Path
    accuracy: float
    figure: str
    images: int
    epoch: int
    epochs: int
    finished: bool
    seconds: float
    density: float
    layers: dict[str, float]


def train(
    recipe: Recipe,
    folder: str | Path,
    *,
    data: DataSet | None = None,
    resume: bool = False,
    stop_after: int | None = None,
    progress: bool = True,
) -> RunResult:
    """Train by a recipe without stages, into a folder; `stages.train` says what it then holds.

    Args:
        recipe: The recipe; when resuming, the one in the folder (see `resume_run`).
        folder: The run folder, new or empty; its run's folder when resuming.
        data: The data set, if it is in memory already; else `recipe.data.source` is read.
        resume: Whether to go on with the folder's run.
        stop_after: Stop once so many epochs are done, for now; learning rate and schedules heed `recipe.epochs` only.
        progress: Whether to show progress: a line for each epoch, and a bar on a terminal.

    Raises:
        RunError: If the folder is in the way, or the run was interrupted by hand.
        RecipeError: If the recipe names something unknown, or does not fit the data.
        DataError: If the data set is missing.
    """
    folder = Path(folder)
    prepare_folder(folder, resume=resume)
    data = load_dataset(recipe.data.source, size=recipe.data.size or None) if data is None else data
    data = as_scenes(recipe.detection, data)
    recipe = resolve_recipe(recipe, data)
    log = Log(folder, echo=progress)
    with _threads(recipe.machine.threads), _quiet():
        torch.manual_seed(recipe.seed)
        net = build_network(recipe)
        if recipe.start and not resume:
            load_start(net, recipe.start, recipe.pretext, recipe.detection)
        if not resume:
            take_masks(recipe.pruning, net)
        write_whole(folder / RECIPE, write_recipe(recipe))
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        _log_start(log, recipe, net, device, resume=resume)
        task = Task(recipe, net, report=lambda epochs, layers: _report(folder, log, epochs, layers, recipe))
        _fit(task, folder, data, device, resume=resume, stop_after=stop_after, bar=progress and sys.stdout.isatty())
        return _conclude(task, folder, data, device, log)


def resolve_recipe(recipe: Recipe, data: DataSet) -> Recipe:
    """Write out what the recipe leaves to the data set: mean, std, images, the network's classes, channels and size.

    Args:
        recipe: The recipe.
        data: The data set.

    Raises:
        RecipeError: If the recipe does not fit the data.
    """
    height, _, channels = data.shape
    if recipe.data.mean and len(recipe.data.mean) != channels:
        raise RecipeError(
            f"data.mean has {len(recipe.data.mean)} channels, the images of {data.source} have {channels}"
        )
    held, samples, count = recipe.data.held_out, recipe.data.samples, len(data.train_images)
    if held > count - 2:
        raise RecipeError(f"data.held_out is {held} of {count} training images")
    if held + samples > count:
        raise RecipeError(f"data.samples is {samples} of {count - held} training images that are not held out")
    mean, std = measure_pixels(data.train_images)
    outputs = len(answers(recipe.pretext, data.label_names, data.shape))
    facts = {**({"num_classes": outputs} if outputs else {}), "in_channels": channels, "size": height}
    if (taught := recipe.teacher.network) is not None:
        network = replace(taught, options=accepted_options(taught, facts) | taught.options)
        recipe = replace(recipe, teacher=replace(recipe.teacher, network=network))
    images = samples or count - held
    options = accepted_options(recipe.network, facts)
    return recipe.resolve(mean=mean, std=std, images=images, classes=len(data.label_names), **options)


def predict(net: nn.Module, images: np.ndarray, data: Data, *, batch: int = 256) -> Any:
    """Logits of a network in eval mode, which is the deployed arithmetic, with pixels normalised as in training.

    Shape:
        images: (N, H, W, C) uint8; output: (N, classes) float32, or of a detector a dict of its maps.

    Args:
        net: The network; it is left in eval mode.
        images: Pixels.
        data: Holds mean and std.
        batch: Images at a time.
    """
    net.eval()
    device = next((parameter.device for parameter in net.parameters()), torch.device("cpu"))
    batches = EvaluationBatches(images, np.zeros(len(images), np.int64), data, batch=batch, device=device)
    with torch.inference_mode():
        parts = [net(x) for x, _ in batches]
    if isinstance(parts[0], dict):
        return {name: _array([maps[name] for maps in parts]) for name in parts[0]}
    return _array(parts)


def _array(parts: list[Tensor]) -> np.ndarray:
    return torch.cat(parts).float().cpu().numpy()


def hold_out(recipe: Recipe, data: DataSet) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and labels, and those the best epoch is chosen by.

    Args:
        recipe: Says how many are held out, how many are used, and the seed.
        data: The data set.
    """
    held, samples = recipe.data.held_out, recipe.data.samples
    images, labels = data.train_images, data.train_labels
    # The last word keeps this stream apart from those of the batches.
    order = np.random.default_rng((recipe.seed, 0, 0, 1)).permutation(len(images))
    chosen, rest = np.sort(order[:held]), np.sort(order[held : held + samples if samples else None])
    judges = (images[chosen], labels[chosen]) if held else (data.test_images, data.test_labels)
    return images[rest], labels[rest], *judges


def _fit(
    task: Task, folder: Path, data: DataSet, device: torch.device, *, resume: bool, stop_after: int | None, bar: bool
) -> None:
    recipe = task.recipe
    images, labels, held_images, held_labels = hold_out(recipe, data)
    batches = TrainingBatches(
        images, labels, recipe.data, recipe.augmentation,
        batch=recipe.batch, seed=recipe.seed, device=device, pretext=recipe.pretext,
    )  # fmt: skip
    each_epoch: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
    callbacks: list[Callback] = [
        ModelCheckpoint(folder, Path(BEST).stem, monitor="score", mode="max", **each_epoch),
        ModelCheckpoint(folder, Path(LAST).stem, **each_epoch),
    ]
    if bar:
        callbacks.append(RichProgressBar(leave=False))
    trainer = pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        precision=_precision(recipe, device),
        max_epochs=min(recipe.epochs, stop_after or recipe.epochs),
        logger=TensorBoardLogger(folder, name="", version="tensorboard") if find_spec("tensorboard") else False,
        callbacks=callbacks,
        num_sanity_val_steps=0,
        log_every_n_steps=max(1, min(50, len(batches))),
        enable_progress_bar=bar,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    start = folder / LAST if resume else None
    try:
        held = EvaluationBatches(held_images, held_labels, recipe.data, device=device, pretext=recipe.pretext)
        trainer.fit(task, batches, held, ckpt_path=start)
    except SystemExit:  # how Lightning leaves after Ctrl-C
        done = len(task.history)
        hint = f"continue with: bw train --resume {folder}" if done else "no epoch was whole; start anew"
        raise RunError(f"{folder}: interrupted after {done} of {recipe.epochs} epochs; {hint}") from None


def _precision(recipe: Recipe, device: torch.device) -> Any:
    if recipe.machine.precision != "auto":
        return recipe.machine.precision
    if device.type != "cuda":
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


def _conclude(task: Task, folder: Path, data: DataSet, device: torch.device, log: Log) -> RunResult:
    """Keep the weights the recipe asks for, judge them on the test images, and write model and results."""
    recipe = task.recipe
    best = recipe.keep == "best"
    checkpoint = torch.load(folder / (BEST if best else LAST), map_location="cpu", weights_only=True)
    weights = checkpoint["state_dict"]
    task.net.load_state_dict({name.removeprefix("net."): value for name, value in weights.items()})
    net = task.net.to(device).eval()
    test = EvaluationBatches(data.test_images, data.test_labels, recipe.data, device=device, pretext=recipe.pretext)
    density, question = measure_density(net), asked_in_judging(recipe)
    names = answers(recipe.pretext, data.label_names, data.shape)
    save_model(TrainedModel(net, recipe, data.shape, names), folder / MODEL)
    result = RunResult(
        folder=folder,
        model=folder / MODEL,
        accuracy=judge(net, test, question),
        figure=question.figure,
        images=len(data.test_images),
        epoch=len(checkpoint["history"]),
        epochs=len(task.history),
        finished=len(task.history) == recipe.epochs,
        seconds=sum(row["seconds"] for row in task.history),
        density=density.total,
        layers=density.layers,
    )
    _write_results(result, recipe, device)
    log.write(
        f"kept epoch {result.epoch} ({recipe.keep}): {result.figure} {result.accuracy:.2%}, of {result.images} test "
        f"images, density {result.density:.4f}, {result.seconds:.0f} s of training"
    )
    return result


def _write_results(result: RunResult, recipe: Recipe, device: torch.device) -> None:
    judges = f"{recipe.data.held_out} held-out training images" if recipe.data.held_out else "the test images"
    write_results(
        result.folder,
        {
            "title": recipe.title,
            "paper": recipe.paper,
            "published": recipe.published,
            "accuracy": result.accuracy,
            "figure": result.figure,
            "images": result.images,
            "chosen_by": judges if recipe.keep == "best" else "the last epoch",
            "epoch": result.epoch,
            "epochs": result.epochs,
            "finished": result.finished,
            "seconds": round(result.seconds, 1),
            "seed": recipe.seed,
            "density": result.density,
            "layers": result.layers,
            "machine": describe_run(device),
        },
    )


def _log_start(log: Log, recipe: Recipe, net: nn.Module, device: torch.device, *, resume: bool) -> None:
    count = sum(parameter.numel() for parameter in net.parameters())
    log.write(f"{'resumed' if resume else 'started'}: {recipe.title} (seed {recipe.seed})")
    log.write(f"machine: {json.dumps(describe_run(device))}")
    log.write(f"network: {recipe.network.name}, {count} parameters; method: {recipe.method.name}")


def _report(folder: Path, log: Log, history: list[Row], layers: list[LayerRow], recipe: Recipe) -> None:
    write_rows(folder / METRICS, history)
    if layers:
        write_rows(folder / LAYERS, layers)
    row, figure = history[-1], asked_in_judging(recipe).figure
    known = "" if isnan(row["train_accuracy"]) else f"train {row['train_accuracy']:.2%}  "
    what = "" if figure == "accuracy" else f"{figure} "
    log.write(
        f"epoch {len(history):3d}/{recipe.epochs}  loss {row['train_loss']:.4f}  {known}"
        f"val {what}{row['accuracy']:.2%}  density {row['density']:.4f}  {row['seconds']:.1f} s"
    )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning without its greetings, tips, and warnings about what is done here on purpose."""
    logger = logging.getLogger("pytorch_lightning")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"pytorch_lightning\..*")
            warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")
            yield
    finally:
        logger.setLevel(before)
