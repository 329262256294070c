"""Recipes of several stages: one run after another, each from the weights that the one before kept, or another.

The run folder holds a folder for each stage, `1-activations`, `2-both`, ..., and beside them what the last one came to.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from bitwright.data import DataSet, load_dataset
from bitwright.errors import RunError
from bitwright.train import run
from bitwright.train.config import Recipe, read_recipe, write_recipe
from bitwright.train.folder import LAST, RECIPE, RESULTS, prepare_folder, write_results, write_whole
from bitwright.train.model_file import MODEL
from bitwright.train.rounds import STAGE
from bitwright.train.run import RunResult


def train(
    recipe: Recipe,
    folder: str | Path,
    *,
    data: DataSet | None = None,
    stop_after: int | None = None,
    progress: bool = True,
) -> RunResult:
    """Train by a recipe, stage by stage where it has stages. All random numbers follow from its seed.

    The folder then holds recipe.toml (resolved), metrics.csv, layers.csv (`Diagnostics`), log.txt, tensorboard/,
    best.ckpt, last.ckpt, model.safetensors (the kept weights) and results.json; with stages, a folder of these for
    each, and beside them the recipe, model and results of the last. A run that was stopped goes on from its last whole
    epoch to the same weights, bit for bit, on the same machine with the same number of threads.

    Args:
        recipe: The recipe.
        folder: The run folder, new or empty.
        data: The data set, if it is in memory already; else `recipe.data.source` is read.
        stop_after: Stop once so many epochs are done, for now; learning rate and schedules heed `recipe.epochs` only.
        progress: Whether to show progress: a line for each epoch, and a bar on a terminal.

    Raises:
        RunError: If the folder is in the way, or the run was interrupted by hand.
        RecipeError: If the recipe names something unknown, or does not fit the data.
        DataError: If the data set is missing.
    """
    if not recipe.stages:
        return run.train(recipe, folder, data=data, stop_after=stop_after, progress=progress)
    folder = Path(folder)
    prepare_folder(folder, resume=False)
    write_whole(folder / RECIPE, write_recipe(recipe))
    return _train_stages(recipe, folder, data, stop_after, progress)


def resume_run(
    folder: str | Path, *, data: DataSet | None = None, stop_after: int | None = None, progress: bool = True
) -> RunResult:
    """Go on with a run that was stopped, from its last whole epoch, by the recipe in its folder.

    Args:
        folder: The run folder.
        data: As for `train`.
        stop_after: As for `train`.
        progress: As for `train`.

    Raises:
        RunError: If there is nothing to resume.
        DataError: If the data set is missing.
    """
    folder = Path(folder)
    if not (folder / RECIPE).is_file():
        raise RunError(f"{folder / RECIPE} not found: nothing to resume; start anew without --resume.")
    recipe = read_recipe(folder / RECIPE)
    if recipe.stages:
        return _train_stages(recipe, folder, data, stop_after, progress)
    prepare_folder(folder, resume=True)
    return run.train(recipe, folder, data=data, resume=True, stop_after=stop_after, progress=progress)


def _train_stages(
    recipe: Recipe, folder: Path, data: DataSet | None, stop_after: int | None, progress: bool
) -> RunResult:
    """Run or go on with every stage that is not finished, and gather the results beside them."""
    data = load_dataset(recipe.data.source, size=recipe.data.size or None) if data is None else data
    names = [_folder_of(recipe, index) for index in range(len(recipe.stages))]
    done = 0
    results: list[RunResult] = []
    for index, name in enumerate(names):
        left = None if stop_after is None else stop_after - done
        if left is not None and left <= 0:
            break
        resume = (folder / name / LAST).is_file()
        if not resume and (folder / name).exists():
            shutil.rmtree(folder / name)  # stopped before its first epoch was whole
        settings = read_recipe(folder / name / RECIPE) if resume else _settings(recipe, index, folder)
        result = run.train(settings, folder / name, data=data, resume=resume, stop_after=left, progress=progress)
        results.append(result)
        done += result.epochs
        if not result.finished:
            break
    last = results[-1]
    shutil.copyfile(last.model, folder / MODEL)
    return _gather(folder, names, results)


def _folder_of(recipe: Recipe, index: int) -> str:
    return f"{index + 1}-{recipe.stages[index]['name']}"


def _settings(recipe: Recipe, index: int, folder: Path) -> Recipe:
    """The recipe of a stage, with the files of earlier ones in the place of their names."""
    stage = recipe.stage(index)
    files = {f"{STAGE}{recipe.stages[i]['name']}": str(folder / _folder_of(recipe, i) / MODEL) for i in range(index)}
    start, source, by = (files.get(given, given) for given in stage.sources.values())
    teacher, pruning = replace(stage.teacher, source=source), replace(stage.pruning, by=by)
    return replace(stage, start=start, teacher=teacher, pruning=pruning)


def _gather(folder: Path, names: list[str], results: list[RunResult]) -> RunResult:
    last = results[-1]
    finished = len(results) == len(names) and last.finished
    epochs, seconds = sum(result.epochs for result in results), sum(result.seconds for result in results)
    whole = json.loads((last.folder / RESULTS).read_text(encoding="utf-8"))
    stages = [{"name": r.folder.name, "accuracy": r.accuracy, "epochs": r.epochs} for r in results]
    write_results(folder, {**whole, "finished": finished, "seconds": round(seconds, 1), "stages": stages})
    return replace(last, folder=folder, model=folder / MODEL, finished=finished, epochs=epochs, seconds=seconds)
