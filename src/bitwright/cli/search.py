"""`bw search`: a supernet trained, its networks searched, a run folder for the best of each size."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from bitwright.cli.arguments import Folder, Json
from bitwright.cli.output import need, only_json, percent, print_json, print_table
from bitwright.cli.train import fresh_folder

Quiet = arg(help_behavior_hint="")


def search(
    recipe: Annotated[Positional[Path | None], arg(metavar="RECIPE.toml", help_behavior_hint="")] = None,
    /,
    *,
    run_dir: Folder = None,
    resume: Folder = None,
    supernet: Folder = None,
    strategy: Annotated[
        Literal["evolution", "random"] | None, arg(metavar="evolution|random", help_behavior_hint="")
    ] = None,
    processes: int = 1,
    ray: Annotated[str, arg(metavar="local|auto|ADDRESS", help_behavior_hint="")] = "",
    override: Annotated[tuple[str, ...], arg(metavar="[KEY=VALUE ...]", help_behavior_hint="")] = (),
    json: Json = False,
) -> None:
    """Search binary networks: the most accurate one for each number of operations, or each latency.

    A supernet that holds the weights of all networks is trained first. The folder then holds every network that was
    tried (candidates.csv), the best of each bin (winners.csv), and a run folder for each of these, to export or to
    train on. A search that was stopped goes on where it stood.

    Example: bw search recipes/nas_bnn/cifar10-search.toml --processes 2 --override data.source=cifar10:data

    Args:
        recipe: The search's recipe, a TOML file.
        run_dir: The folder to write, new or empty; by default a new one in runs/, named after the recipe.
        resume: A search folder to go on with from where it stopped, instead of a recipe.
        supernet: A search folder whose supernet is taken, so that searches can be compared; by default one is trained.
        strategy: How networks are chosen; by default the recipe's.
        processes: How many try networks at the same time.
        ray: Try them with Ray instead, started here, or on a running cluster.
        override: Settings that replace the recipe's own, such as search.generations=5.
        json: Print one JSON object at the end, and everything else on the standard error stream.
    """
    if (recipe is None) == (resume is None):
        raise ValueError("expected either a recipe or --resume FOLDER. Example: bw search recipe.toml")
    if resume is not None and (override or run_dir or supernet or strategy):
        raise ValueError("--resume goes on with a search as it is: leave out --override and what changes the recipe")
    for package in ("torch", "pytorch_lightning", "safetensors"):
        need(package, "train", "bw search")
    from bitwright.train import read_search, resume_search, run_search

    words = [*override, *_assign("supernet", supernet), *_assign("strategy", strategy)]
    settings = None if recipe is None else read_search(recipe, overrides=tuple(words))
    with only_json(json), _live_table() as watch:
        shared: dict[str, Any] = {"processes": processes, "ray": ray, **({"watch": watch} if watch else {})}
        if settings is None:
            assert resume is not None
            result = resume_search(resume, **shared)
        else:
            assert recipe is not None
            result = run_search(settings, run_dir or fresh_folder(Path("runs"), recipe.stem), **shared)
    if json:
        print_json(asdict(result))
        return
    columns = ["bin", "OPs", "packed, one image", "held-out images", "test images", "network"]
    rows = [
        [
            winner.bin,
            f"{winner.ops:.3g} M",
            "" if winner.latency_ms is None else f"{winner.latency_ms:.3g} ms",
            percent(winner.accuracy),
            percent(winner.test_accuracy),
            winner.arch,
        ]
        for winner in result.winners
    ]
    print_table(f"{result.folder}: {result.trials} networks, quality {result.quality:.4f}", columns, rows, "lrrrrl")
    if result.winners:
        print(f"pack one: bw export {result.winners[-1].folder}")
        print(f"train one on: bw train {result.winners[-1].folder / 'recipe.toml'}")


def _assign(key: str, value: object) -> list[str]:
    return [] if value is None else [f"search.{key}={value}"]


def _live_table():
    """A table that follows the search, on a terminal; elsewhere the lines of its log must do."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        return nullcontext(None)
    from bitwright.cli.search_view import SearchView

    return SearchView(console)
