"""The run folder: what lies in it under which name, its log, and the machine it was made on."""

import csv
import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from bitwright.errors import RunError
from bitwright.report.runs import LAYERS as LAYERS
from bitwright.report.runs import METRICS as METRICS
from bitwright.report.runs import RECIPE, RESULTS
from bitwright.report.timing import describe_machine

LOG = "log.txt"
BEST = "best.ckpt"
LAST = "last.ckpt"


def prepare_folder(folder: Path, *, resume: bool) -> None:
    """Make the folder, or see that the run in it can go on.

    Args:
        folder: The run folder.
        resume: Whether a run is to be continued.

    Raises:
        RunError: If a new run's folder is not empty, a run to be resumed left no checkpoint, or writing is refused.
    """
    if resume:
        missing = [name for name in (RECIPE, LAST) if not (folder / name).is_file()]
        if missing:
            raise RunError(f"{folder / missing[0]} not found: nothing to resume; start anew without --resume.")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
        writable = os.access(folder, os.W_OK)
    except OSError as error:
        raise RunError(f"{folder}: cannot be a run folder: {error}.") from error
    if occupied:
        raise RunError(f"{folder} is not empty: continue its run with --resume, or name another folder.")
    if not writable:
        raise RunError(f"{folder} is read-only: name a folder that can be written.")


def write_whole(path: Path, text: str) -> None:
    """Write a text file under another name and rename it, so that it is whole or as it was.

    Args:
        path: The file.
        text: Its content.
    """
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def write_rows(path: Path, rows: Sequence[Mapping[str, float | str]]) -> None:
    """Write every row anew, so that an interrupted epoch that is run again leaves no second one.

    Args:
        path: The CSV file.
        rows: With the same keys; at least one.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _round(value) for key, value in row.items()} for row in rows)
    write_whole(path, text.getvalue())


def _round(value: float | str) -> float | int | str:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def write_results(folder: Path, results: Mapping[str, Any]) -> None:
    """Write `results.json`.

    Args:
        folder: The run folder.
        results: What JSON can hold.
    """
    write_whole(folder / RESULTS, json.dumps(results, indent=2, ensure_ascii=False) + "\n")


class Log:
    """Lines with the time of day, appended to `log.txt` and shown on the terminal if wanted.

    Args:
        folder: The run folder.
        echo: Whether to print the lines too.
    """

    def __init__(self, folder: Path, *, echo: bool) -> None:
        self.path = folder / LOG
        self.echo = echo

    def write(self, line: str) -> None:
        """Write one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}\n")
        if self.echo:
            print(line, flush=True)


def describe_run(device: torch.device) -> dict[str, object]:
    """Versions, processor and threads: what a figure of speed or a last bit can depend on.

    Args:
        device: Where training runs.
    """
    machine = describe_machine()
    return {
        **machine.versions,
        "lightning": version("pytorch-lightning"),
        "system": machine.system,
        "cpu": machine.cpu,
        "cpus": machine.cores,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
    }
