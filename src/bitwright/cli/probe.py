"""`bw probe`: what the frozen features of a trained network are worth."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from bitwright.cli.arguments import Json
from bitwright.cli.output import count, need, only_json, percent, print_json, print_table


def probe(
    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN [RUN ...]", help_behavior_hint="")],
    /,
    *,
    data: Annotated[str | None, arg(metavar="KIND:PATH", help_behavior_hint="")] = None,
    samples: int = 0,
    neighbours: int = 200,
    temperature: float = 0.1,
    json: Json = False,
) -> None:
    """Judge frozen features: a linear classifier and a vote of nearest neighbours, by accuracy on the test images.

    Whatever the network was trained for, with labels or without, its head is left out and its body is not trained.
    Each run folder receives probe.json, which bw report shows.

    Example: bw probe runs/rotation --samples 10000

    Args:
        runs: Run folders, which bw train wrote; a stage is a run of its own.
        data: Labelled images of the same size; by default those of the run.
        samples: Training images that are used, chosen by the run's seed; 0 for all.
        neighbours: How many vote.
        temperature: Of their votes, each exp(cosine / temperature).
        json: Print one JSON object instead of a table.
    """
    if not runs:
        raise ValueError("expected run folders. Example: bw probe runs/rotation")
    for package in ("torch", "pytorch_lightning", "safetensors"):
        need(package, "train", "bw probe")
    from bitwright.data import load_dataset
    from bitwright.train.probe import probe as probe_run

    with only_json(json):
        given = None if data is None else load_dataset(data)
        settings = {"samples": samples, "neighbours": neighbours, "temperature": temperature}
        found = {str(folder): probe_run(folder, data=given, **settings) for folder in runs}
    if json:
        print_json({"runs": {folder: asdict(result) for folder, result in found.items()}})
        return
    columns = ["run", "features", "training images", "linear classifier", f"{neighbours} neighbours"]
    rows = [
        [folder, count(r.features), count(r.images), percent(r.linear), percent(r.neighbours)]
        for folder, r in found.items()
    ]
    print_table("Accuracy on the test images", columns, rows, "lrrrr")
