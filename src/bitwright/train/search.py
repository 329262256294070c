"""A search from recipe to networks: the supernet's training, the search itself, and a folder for each winner.

The search folder holds search.toml (the recipe), supernet/ (a run folder), candidates.csv with a line for every network
that was tried, and, when all are, winners.csv, winners/ with a run folder for each, and results.json.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from bitwright.data import DataSet, load_dataset
from bitwright.errors import RecipeError, RunError
from bitwright.nas.evaluate import Evaluator, Latency
from bitwright.nas.search import Found, Trial, search
from bitwright.nas.space import Candidate
from bitwright.nas.supernet import Supernet
from bitwright.nas.variation import Variation
from bitwright.nas.workers import workers
from bitwright.train import run
from bitwright.train.batches import EvaluationBatches, TrainingBatches
from bitwright.train.candidates import CandidateFile
from bitwright.train.config import Choice, Loss, Optimizer, Recipe, Schedule, write_recipe
from bitwright.train.folder import LAST, RECIPE, RESULTS, Log, describe_run, prepare_folder, write_results, write_rows
from bitwright.train.folder import write_whole as write_file
from bitwright.train.model_file import MODEL, TrainedModel, load_model, save_model
from bitwright.train.search_recipe import SearchRecipe, read_search
from bitwright.train.toml_form import write

SEARCH = "search.toml"
SUPERNET = "supernet"
Watch = Callable[[SearchRecipe, Trial[Candidate], Found[Candidate]], None]


@dataclass(frozen=True)
class Winner:
    """The best network of a bin.

    Attributes:
        bin: The middle of the bin, with its unit.
        ops: Millions of operations.
        latency_ms: Of the packed network, where it was measured.
        accuracy: On the held-out images the search judged by; None where it looked at the speed alone.
        test_accuracy: On the test images.
        arch: The network, see `zoo.nas_bnn`.
        folder: Its run folder: the supernet's weights, and the recipe for more training.
    """

    bin: str
    ops: float
    latency_ms: float | None
    accuracy: float | None
    test_accuracy: float
    arch: str
    folder: Path


@dataclass(frozen=True)
class SearchResult:
    """What a search came to; `results.json` holds the same and more.

    Attributes:
        folder: The search folder.
        winners: By bin.
        trials: Networks that were tried.
        quality: See `nas.search.Found.quality`.
        seconds: Time of the search, without the supernet's training; only what this call spent.
    """

    folder: Path
    winners: tuple[Winner, ...]
    trials: int
    quality: float
    seconds: float


def run_search(
    recipe: SearchRecipe,
    folder: str | Path,
    *,
    data: DataSet | None = None,
    resume: bool = False,
    processes: int = 1,
    ray: str = "",
    watch: Watch = lambda recipe, trial, found: None,
    progress: bool = True,
) -> SearchResult:
    """Train a supernet, or take one, and search its networks. All random numbers follow from the recipe's seed.

    A search that was stopped goes on with the candidates it has scored, to the same end as an uninterrupted one.

    Args:
        recipe: The recipe; when resuming, the one in the folder (see `resume_search`).
        folder: The search folder, new or empty; when resuming, its search's.
        data: The data set, if it is in memory already; else `recipe.data.source` is read.
        resume: Whether to go on with the folder's search.
        processes: That try networks at the same time. Times of packed networks are best measured by one.
        ray: As for `nas.workers.workers`.
        watch: Called with each network that was tried.
        progress: Whether to show progress: a line for each epoch and generation.

    Raises:
        RunError: If the folder is in the way, a supernet is not where it should be, or the search was interrupted.
        RecipeError: If the recipe does not fit the data, or its network is no supernet.
        DataError: If the data set is missing.
        BitwrightError: If Ray is wanted and cannot be had.
    """
    folder = Path(folder)
    if not resume:
        prepare_folder(folder, resume=False)
    write_file(folder / SEARCH, write(recipe))
    data = load_dataset(recipe.data.source, size=recipe.data.size or None) if data is None else data
    log = Log(folder, echo=progress)
    try:
        model = _supernet(recipe, folder, data, progress)
        return _search(recipe, folder, data, model, log, watch, processes, ray)
    except KeyboardInterrupt:
        raise RunError(f"{folder}: interrupted; continue with: bw search --resume {folder}") from None


def resume_search(folder: str | Path, **settings) -> SearchResult:
    """Go on with a search that was stopped, by the recipe in its folder.

    Args:
        folder: The search folder.
        settings: As for `run_search`.

    Raises:
        RunError: If there is nothing to resume.
    """
    path = Path(folder) / SEARCH
    if not path.is_file():
        raise RunError(f"{path} not found: nothing to resume; start anew without --resume.")
    return run_search(read_search(path), folder, resume=True, **settings)


def _supernet(recipe: SearchRecipe, folder: Path, data: DataSet, progress: bool) -> TrainedModel:
    """The trained supernet: of another folder, or trained here."""
    if recipe.search.supernet:
        source = Path(recipe.search.supernet)
        source = source / SUPERNET if (source / SUPERNET).is_dir() else source
    else:
        source = folder / SUPERNET
        results = source / RESULTS
        if not (results.is_file() and json.loads(results.read_text(encoding="utf-8"))["finished"]):
            resume = (source / LAST).is_file()
            if not resume and source.exists():
                shutil.rmtree(source)  # stopped before its first epoch was whole
            try:
                run.train(recipe.training, source, data=data, resume=resume, progress=progress)
            except RunError as error:
                raise RunError(f"{error}; the search goes on with: bw search --resume {folder}") from error
    model = load_model(source)
    if not isinstance(model.net, Supernet):
        raise RecipeError(
            f"{source}: expected a supernet (bitwright.nas.supernet:supernet), found {model.recipe.network.name}"
        )
    return model


def _search(
    recipe: SearchRecipe, folder: Path, data: DataSet, model: TrainedModel, log: Log, watch: Watch, processes: int,
    ray: str,
) -> SearchResult:  # fmt: skip
    settings, supernet, started = recipe.search, model.net, time.perf_counter()
    assert isinstance(supernet, Supernet)
    alone = processes == 1 and not ray
    device = torch.device("cuda" if alone and torch.cuda.is_available() else "cpu")
    evaluator = make_evaluator(recipe, model, data, device)
    variety = Variation(supernet.space, supernet.num_classes, supernet.in_channels, compat=settings.compat)
    budget = settings.budget(recipe.seed)
    file = CandidateFile(folder / "candidates.csv")
    known = file.read()
    log.write(f"search: {settings.strategy}, {budget.trials} networks, {len(known)} of them known")

    def note(trial: Trial[Candidate], found: Found[Candidate]) -> None:
        if trial.name not in known:
            file.add(trial)
        watch(recipe, trial, found)
        done = len(found.trials) - budget.population
        if done % max(1, budget.mutations + budget.crossovers) == 0 and done >= 0:
            quality = found.quality(budget)
            log.write(
                f"generation {trial.generation}/{budget.generations}  {len(found.trials)} networks  "
                f"{len(found.winners)} bins  quality {quality:.4f}  {time.perf_counter() - started:.0f} s"
            )

    with ExitStack() as stack:
        score = stack.enter_context(workers(evaluator, processes=processes, ray=ray))
        found = search(variety, score, budget, known=known, watch=note)
    winners = tuple(
        _keep(recipe, model, evaluator, data, folder, found.winners[number]) for number in sorted(found.winners)
    )
    seconds = time.perf_counter() - started
    result = SearchResult(folder, winners, len(found.trials), found.quality(budget), seconds)
    _write(result, recipe, device)
    log.write(f"{len(winners)} winners of {result.trials} networks, quality {result.quality:.4f}, {seconds:.0f} s")
    return result


def make_evaluator(recipe: SearchRecipe, model: TrainedModel, data: DataSet, device: torch.device) -> Evaluator:
    """What scores the networks of a supernet, by images that its own training held out.

    Args:
        recipe: The search's recipe.
        model: The supernet.
        data: The data set.
        device: Where networks are tried.
    """
    settings, own = recipe.search, model.recipe
    assert isinstance(model.net, Supernet)
    images, labels, held_images, held_labels = run.hold_out(own, data)
    count = settings.images or len(held_images)
    if not own.data.held_out or count > len(held_images):
        raise RecipeError(
            f"search.images: expected at most the supernet's data.held_out, {own.data.held_out}, found {count}"
        )
    training = TrainingBatches(
        images, labels, own.data, own.augmentation, batch=settings.calibration_batch, seed=recipe.seed, device=device
    )
    judges = EvaluationBatches(held_images[:count], held_labels[:count], own.data, device=device)
    size, _, channels = data.shape
    timed = Latency(size, channels, (own.data.mean, own.data.std), settings.engine_threads) if settings.timed else None
    return Evaluator(
        model.net.to(device), _Inputs(training, settings.calibration), _Labelled(judges), settings.fitness, timed,
        threads=max(1, recipe.machine.threads),
    )  # fmt: skip


@dataclass(frozen=True)
class _Inputs:
    """The first batches, without labels, the same each time."""

    batches: TrainingBatches
    count: int

    def __iter__(self) -> Iterator[Tensor]:
        return (x for x, _ in islice(self.batches, self.count))


@dataclass(frozen=True)
class _Labelled:
    batches: EvaluationBatches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return ((x, targets.labels) for x, targets in self.batches)


def _keep(
    recipe: SearchRecipe,
    model: TrainedModel,
    evaluator: Evaluator,
    data: DataSet,
    folder: Path,
    trial: Trial[Candidate],
) -> Winner:
    """Write the run folder of a winner."""
    settings = recipe.search
    assert trial.bin is not None
    label = f"{trial.bin * settings.step:g}{settings.unit}"
    own = folder / "winners" / label
    own.mkdir(parents=True, exist_ok=True)
    net = evaluator.network(trial.candidate)
    training = _fine_tuning(recipe, model, trial.name, own)
    save_model(TrainedModel(net, training, model.shape, model.label_names), own / MODEL)
    write_file(own / RECIPE, write_recipe(training))
    accuracy = float((run.predict(net, data.test_images, training.data).argmax(1) == data.test_labels).mean())
    return Winner(
        bin=label,
        ops=trial.price,
        latency_ms=trial.cost if settings.bins == "latency" else -trial.value if settings.fitness == "speed" else None,
        accuracy=trial.value if settings.fitness == "accuracy" else None,
        test_accuracy=accuracy,
        arch=trial.name,
        folder=own,
    )


def _fine_tuning(recipe: SearchRecipe, model: TrainedModel, arch: str, folder: Path) -> Recipe:
    """Further training as published: 25 epochs of Adam at 1e-5 on the labels alone."""
    facts = {key: model.recipe.network.options[key] for key in ("num_classes", "in_channels")}
    return replace(
        model.recipe,
        title=f"{recipe.title}: {folder.name}",
        note="A searched network with the supernet's weights; its training goes on as published.",
        epochs=25,
        data=replace(model.recipe.data, held_out=0),
        network=Choice("nas_bnn", {**facts, "arch": arch}),
        method=Choice("nas_bnn", {"kernel_maps": False}),
        start=str(folder),
        optimizer=Optimizer("adam", lr=1e-5),
        schedule=Schedule("cosine"),
        loss=Loss(),
    )


def _write(result: SearchResult, recipe: SearchRecipe, device: torch.device) -> None:
    rows = []
    for winner in result.winners:
        row = {key: "" if value is None else value for key, value in asdict(winner).items() if key != "folder"}
        rows.append(row)
    if rows:
        write_rows(result.folder / "winners.csv", rows)
    write_results(
        result.folder,
        {
            "title": recipe.title,
            "paper": recipe.paper,
            "strategy": recipe.search.strategy,
            "seed": recipe.seed,
            "trials": result.trials,
            "quality": result.quality,
            "seconds": round(result.seconds, 1),
            "winners": [{**asdict(w), "folder": w.folder.name} for w in result.winners],
            "machine": describe_run(device),
        },
    )
