"""Rows of results: what was measured, where, with which versions and limits; one for each item, density and peer."""

import csv
import os
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bitwright import _native
from bitwright.bench.item import Setting, Suite
from bitwright.bench.peer import LIMITS
from bitwright.bench.run import Result
from bitwright.format.writer import to_bytes
from bitwright.report.summary import summarize
from bitwright.report.timing import Timing, describe_machine

Row = dict[str, Any]

_SOURCES = Path(__file__).resolve().parents[3]
_NOBODY = {name: "" for name in ("peer", "way", "peer_version", "peer_isa", "peer_runs")}


def result_rows(result: Result, suite: Suite, setting: Setting) -> list[Row]:
    """The rows of one item, times in microseconds; without any peer, rows of our side alone.

    Args:
        result: What it gave.
        suite: What it belongs to.
        setting: Threads and batch.
    """
    rows = []
    for density, (ours, time) in result.ours.items():
        begin = {
            **environment(setting),
            "suite": suite,
            "item": result.item.name,
            "density": density,
            "isa": ours.isa,
            "kernel": ours.kernel,
            "bytes": ours.bytes,
            "runs": time.runs,
            **_microseconds("", time),
        }
        for (peer, way), (entrant, theirs) in result.peers.items():
            about = (peer, way, entrant.version, entrant.isa, theirs.runs)
            ratios = {"ratio": theirs.median_ms / time.median_ms, "ratio_min": theirs.min_ms / time.min_ms}
            rows.append(
                {
                    **begin,
                    **dict(zip(_NOBODY, about, strict=True)),
                    **_microseconds("peer_", theirs),
                    **{name: round(ratio, 3) for name, ratio in ratios.items()},
                }
            )
        if not result.peers:
            nothing = dict.fromkeys(("peer_median_us", "peer_min_us", "ratio", "ratio_min"), "")
            rows.append({**begin, **_NOBODY, **nothing})
    return rows if suite != "sparsity" else _with_sizes(rows, result)


def _with_sizes(rows: Sequence[Row], result: Result) -> list[Row]:
    """What the file spends on a binary weight at each density, and the bytes of the dense form's file."""
    bits = {
        density: summarize(graph, result.ours[density][0].bytes).totals.bits_per_weight
        for density, graph in result.item.graphs.items()
    }
    dense = len(to_bytes(result.item.binary))
    return [{**row, "bits_per_weight": round(bits[row["density"]] or 0, 4), "dense_bytes": dense} for row in rows]


def environment(setting: Setting) -> Row:
    """What every row begins with: the state of the sources, the machine, the versions, and limits put on others.

    Args:
        setting: Threads and batch.
    """
    machine = describe_machine()
    limits = [f"{name}={os.environ[name]}" for name in LIMITS if name in os.environ]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit(),
        "cpu": machine.cpu,
        "vectors": " ".join(machine.vectors),
        "system": machine.system,
        "compiler": compiler(),
        "python": machine.versions["python"],
        "bitwright": machine.versions["bitwright"],
        "numpy": machine.versions["numpy"],
        "environment": " ".join(limits),
        "threads": setting.threads,
        "batch": setting.batch,
    }


def add_rows(path: Path, rows: Sequence[Row]) -> None:
    """Add rows to a CSV file, which begins with a header.

    Args:
        path: The file.
        rows: All with the same keys, which must be those of an older file.

    Raises:
        ValueError: If the file has other columns.
        OSError: If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    if not new and path.read_text(encoding="utf-8").splitlines()[:1] != [",".join(rows[0])]:
        raise ValueError(f"{path} has other columns; move it away or name another file with --output")
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


def commit() -> str:
    """Say which state of the sources this is; "+" marks changes that are not committed, "" an installed package."""
    if not (_SOURCES / "native").is_dir():
        return ""
    command = ["git", "-C", str(_SOURCES), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def compiler() -> str:
    """Read from the extension module which compiler made it."""
    found = re.search(rb"GCC: \([^)]*\) [\d.]+|clang version [\d.]+", Path(str(_native.__file__)).read_bytes())
    return found.group().decode() if found else "unknown"


def _microseconds(prefix: str, time: Timing) -> Row:
    return {f"{prefix}median_us": round(1e3 * time.median_ms, 2), f"{prefix}min_us": round(1e3 * time.min_ms, 2)}
