"""`bw train`: a recipe in, a run folder out."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from bitwright.cli.arguments import Folder, Json
from bitwright.cli.output import count, need, only_json, percent, print_json, print_table
from bitwright.errors import RunError


def train(
    recipe: Annotated[Positional[Path | None], arg(metavar="RECIPE.toml", help_behavior_hint="")] = None,
    /,
    *,
    run_dir: Folder = None,
    resume: Folder = None,
    override: Annotated[tuple[str, ...], arg(metavar="[KEY=VALUE ...]", help_behavior_hint="")] = (),
    json: Json = False,
) -> None:
    """Train a network by a recipe.

    The run folder then holds the recipe as it was resolved, logs, checkpoints and the weights (model.safetensors).

    Example: bw train recipes/sbnn/cifar10-resnet20-95.toml --override epochs=10 data.source=cifar10:data

    Args:
        recipe: The recipe, a TOML file.
        run_dir: The folder to write, new or empty; by default a new one in runs/, named after the recipe.
        resume: A run folder to go on with from where it stopped, instead of a recipe.
        override: Settings that replace the recipe's own, such as optimizer.lr=0.01.
        json: Print one JSON object at the end, and everything else on the standard error stream.
    """
    if (recipe is None) == (resume is None):
        raise ValueError("expected either a recipe or --resume RUN. Example: bw train recipe.toml")
    if resume is not None and (override or run_dir is not None):
        raise ValueError("--resume goes on with a run as it is: leave out --override and --run-dir")
    for package in ("torch", "pytorch_lightning", "safetensors"):
        need(package, "train", "bw train")
    from bitwright.train import read_recipe, resume_run
    from bitwright.train import train as train_by

    with only_json(json):
        if resume is not None:
            result = resume_run(resume)
        else:
            assert recipe is not None
            settings = read_recipe(recipe, overrides=override)
            result = train_by(settings, run_dir or fresh_folder(Path("runs"), recipe.stem))
    if json:
        print_json(asdict(result))
        return
    rows = [
        [f"{result.figure} on the test images", percent(result.accuracy)],
        ["test images", count(result.images)],
        ["epoch kept", f"{result.epoch} of {result.epochs}"],
        ["density", percent(result.density)],
        ["training time", f"{count(result.seconds)} s"],
    ]
    print_table(f"{result.folder}", ["", ""], rows)
    print(f"pack it: bw export {result.folder}")


def fresh_folder(parent: Path, name: str) -> Path:
    """A name in a folder that nothing has yet: name, name-2, name-3, ...

    Args:
        parent: The folder.
        name: The name wished for.

    Raises:
        RunError: If there are too many already.
    """
    for number in range(1, 10_000):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        if not folder.exists():
            return folder
    raise RunError(f"{parent} holds thousands of runs named {name}: name a folder with --run-dir.")
