"""Draw the plots of docs/benchmarks.md, and fill in its tables, from the rows in benchmarks/results/.

Of each layer or network the last row for a peer counts, among those with one thread, batch 1, and the instruction set
and the limits that the last row of the file has, unless others are named. Needs `pip install '.[plots]'` and Chrome or
Chromium, which turns a plot into an SVG file.

Example: python benchmarks/draw.py --isa avx2
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import plotly.graph_objects as go
import tyro

from bitwright.bench.item import DENSE
from bitwright.bench.layers import LAYER, layer_item
from bitwright.ir import ops

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
LOGIC_PER_MAC = {
    "avx512": 1.0
}  # vector operations a register of multiply-adds: 5 to add a row, or 2 with ternary logic,
LOGIC_PER_MAC_ELSEWHERE = 2.5  # and at most every second row is added
STYLE = {"template": "plotly_white", "width": 900, "height": 460, "font": {"size": 13}}
OURS = "bitwright"

Row = Mapping[str, str]


def main(
    isa: str | None = None,
    environment: str | None = None,
    results: Path = RESULTS,
    page: Path = ROOT / "docs" / "benchmarks.md",
) -> None:
    """Write the plots beside the page, in a folder of the page's name, and the tables into the page.

    Args:
        isa: Our instruction set in the plots; by default that of the last row. There are tables for each.
        environment: The limits put on peers, as in the column of that name; by default those of the last row.
        results: The folder of the rows: layers.csv, networks.csv, peaks.csv, train_step.csv, decode.csv.
        page: The page.
    """
    layers = select(read_rows(results / "layers.csv"), isa, environment)
    networks = select(read_rows(results / "networks.csv"), isa, environment)
    plots = {
        "layers": bars(layers, "Layers, dense: bits to bits"),
        "networks": bars(networks, "Networks, dense: one image"),
        "density": against_density(layers),
        "roofline": roofline(layers, read_rows(results / "peaks.csv")),
    }
    folder = page.with_suffix("")
    folder.mkdir(exist_ok=True)
    tables = {name: every_table(read_rows(results / f"{name}.csv")) for name in ("layers", "networks")}
    text = page.read_text(encoding="utf-8")
    for name, figure in plots.items():
        figure.write_image(folder / f"{name}.svg")
        image = f"![{figure.layout.title.text}]({folder.name}/{name}.svg)"
        text = fill(text, name, "\n\n".join(filter(None, [tables.get(name), image])))
    text = fill(text, "training", training_table(read_rows(results / "train_step.csv")))
    text = fill(text, "decoding", decoding_table(read_rows(results / "decode.csv")))
    page.write_text(text, encoding="utf-8")


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def select(rows: Sequence[Row], isa: str | None = None, environment: str | None = None) -> list[Row]:
    """The last row of each item, density and peer, for one thread and batch 1, one instruction set, the same limits."""
    isa = rows[-1]["isa"] if isa is None else isa
    environment = rows[-1]["environment"] if environment is None else environment
    last: dict[tuple[str, ...], Row] = {}
    for row in rows:
        if (row["isa"], row["environment"], row["threads"], row["batch"]) == (isa, environment, "1", "1"):
            last[row["item"], row["density"], row["peer"], row["way"]] = row
    if not last:
        raise SystemExit(f"no rows of {isa} with the limits {environment!r}, one thread and batch 1")
    return list(last.values())


def names(rows: Iterable[Row], *columns: str) -> list[tuple[str, ...]]:
    """The different values of some columns, in the order of the rows."""
    return list(dict.fromkeys(tuple(row[column] for column in columns) for row in rows))


def our_times(rows: Iterable[Row], density: float) -> dict[str, float]:
    """Our medians at one density, microseconds, by item."""
    return {row["item"]: float(row["median_us"]) for row in rows if float(row["density"]) == density}


def bars(rows: Sequence[Row], title: str) -> go.Figure:
    """Time of every item, dense, on our side and on each peer's."""
    ours = our_times(rows, DENSE)
    figure = go.Figure(go.Bar(name=OURS, x=list(ours), y=list(ours.values())))
    for peer, way in names(rows, "peer", "way"):
        theirs = [row for row in rows if (row["peer"], row["way"]) == (peer, way) and float(row["density"]) == DENSE]
        x, y = [row["item"] for row in theirs], [float(row["peer_median_us"] or "nan") for row in theirs]
        figure.add_bar(name=f"{peer} {way}", x=x, y=y)
    return _titled(figure, title, "", "median, us")


def against_density(rows: Sequence[Row]) -> go.Figure:
    """Our time of every layer against the density of its weights."""
    figure = go.Figure()
    densities = sorted({float(row["density"]) for row in rows})
    for (item,) in names(rows, "item"):
        times = [our_times(rows, density).get(item) for density in densities]
        figure.add_scatter(name=item, x=densities, y=times, mode="lines+markers")
    _titled(figure, "Time against density", "share of weights that are 1 (0.5: -1 and +1)", "median, us")
    return figure.update_xaxes(type="log", tickvals=densities)


def roofline(rows: Sequence[Row], peaks: Sequence[Row]) -> go.Figure:
    """Binary multiply-adds a second of every layer against multiply-adds a byte, under what the machine can do."""
    isa = rows[0]["isa"]
    peak = next((row for row in reversed(peaks) if row["isa"] == isa), None)
    figure = go.Figure()
    points = {item: work(item) for (item,) in names(rows, "item")}
    for density in sorted({float(row["density"]) for row in rows}, reverse=True):
        times = our_times(rows, density)
        x = [points[item][0] / points[item][1] for item in times]
        y = [points[item][0] / us / 1e3 for item, us in times.items()]
        figure.add_scatter(name=f"density {density:g}", x=x, y=y, text=list(times), mode="markers")
    if peak is not None:
        reach = [min(m / b for m, b in points.values()) / 4, max(m / b for m, b in points.values()) * 4]
        for name, column in {"memory": "memory_gbs", "L2": "l2_gbs"}.items():
            speed = float(peak[column])
            line = [speed * x for x in reach]
            figure.add_scatter(name=f"{name}, {speed:.0f} GB/s", x=reach, y=line, mode="lines", line_dash="dot")
        logic = float(peak["logic_gops"]) * float(peak["bits"]) / LOGIC_PER_MAC.get(isa, LOGIC_PER_MAC_ELSEWHERE)
        name = f"one row at a time, {logic:.0f} GMAC/s"
        figure.add_scatter(name=name, x=reach, y=[logic, logic], mode="lines", line_dash="dash")
    title = f"Roofline, {isa}: zeros count as work"
    figure = _titled(figure, title, "binary multiply-adds a byte", "binary multiply-adds, 10^9 a second")
    return figure.update_xaxes(type="log", dtick=1)


def work(item: str) -> tuple[float, float]:
    """Binary multiply-adds of a layer, and the bytes of its weights, its input and its output, a bit each."""
    graph = layer_item(item, (DENSE,)).binary
    layer = next(op for op in graph.ops if op.name == LAYER)
    assert isinstance(layer, ops.BinaryConv | ops.BinaryLinear)
    channels, *image = graph.input_type.shape
    pixels = image[0] * image[1] if image else 1
    return layer.weight.size * pixels, (layer.weight.size + 2 * channels * pixels) / 8


def every_table(rows: Sequence[Row]) -> str:
    """A table for each instruction set and its limits."""
    return "\n\n".join(table(select(rows, *setting)) for setting in names(rows, "isa", "environment"))


def table(rows: Sequence[Row]) -> str:
    """Times in microseconds: ours at each density, then each peer's with its ratio to our dense time."""
    densities = sorted({float(row["density"]) for row in rows}, reverse=True)
    ways = [(peer, way) for peer, way in names(rows, "peer", "way") if peer]
    columns = ["", *(f"ours, density {density:g}" for density in densities), *(f"{peer} {way}" for peer, way in ways)]
    lines = [columns, ["---", *["--:"] * (len(columns) - 1)]]
    for (item,) in names(rows, "item"):
        ours = [f"{times[item]:.1f}" if item in (times := our_times(rows, d)) else "" for d in densities]
        dense = [row for row in rows if (row["item"], float(row["density"])) == (item, DENSE) and row["peer"]]
        theirs = {
            (row["peer"], row["way"]): f"{float(row['peer_median_us']):.1f} ({float(row['ratio']):.1f})"
            for row in dense
        }
        lines.append([item, *ours, *(theirs.get(way, "") for way in ways)])
    first = rows[0]
    about = [
        f"{first['cpu']} ({first['vectors']})",
        first["compiler"],
        f"bitwright {first['bitwright']} {first['isa']}",
    ]
    versions = [" ".join(found) for found in names(rows, "peer", "peer_version") if found[0]]
    limits = f"limits: {first['environment'] or 'none'}"
    return "\n".join([", ".join([*about, *versions, limits]) + ":", "", *("| " + " | ".join(c) + " |" for c in lines)])


def training_table(rows: Sequence[Row]) -> str:
    """A training step of each method, the float network's in the same turns, and their ratio: the last of each.

    Only rows of the setting and the machine that the last row has count.
    """
    about = ("cpu", "vectors", "torch", "network", "threads", "batch", "environment")
    last = {row["method"]: row for row in rows if all(row[column] == rows[-1][column] for column in about)}
    lines = [["method", "step", "float", "ratio"], ["---", "--:", "--:", "--:"]]
    for method, row in sorted(last.items(), key=lambda item: float(item[1]["ratio"])):
        times = [f"{float(row[column]):.0f}" for column in ("median_ms", "float_median_ms")]
        lines.append([f"`{method}`", *times, f"{float(row['ratio']):.2f}"])
    cpu, vectors, torch, network, threads, batch, limits = (rows[-1][column] for column in about)
    setting = f"{network}, batch {batch}, {threads} thread{'s' if threads != '1' else ''}"
    head = f"{cpu} ({vectors}), torch {torch}, {setting}, limits: {limits or 'none'}:"
    return "\n".join([head, "", *("| " + " | ".join(cells) + " |" for cells in lines)])


def decoding_table(rows: Sequence[Row]) -> str:
    """How each weight is stored, and how fast it is read: the last row of each, on the machine of the last row."""
    about = ("cpu", "vectors", "compiler")
    last = {row["item"]: row for row in rows if all(row[column] == rows[-1][column] for column in about)}
    lines = [["weights", "encoding", "bits a weight", "decoded", "decoded and checked"]]
    lines.append(["---", "---", "--:", "--:", "--:"])
    for item, row in last.items():
        speeds = [row[column] or "-" for column in ("decoded_mbs", "checked_mbs")]
        lines.append([item, row["encoding"], f"{float(row['bits_per_weight']):.3f}", *speeds])
    cpu, vectors, compiler = (rows[-1][column] for column in about)
    return "\n".join([f"{cpu} ({vectors}), {compiler}:", "", *("| " + " | ".join(cells) + " |" for cells in lines)])


def fill(page: str, name: str, text: str) -> str:
    """A page with a text between its two comments of a name."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    found = re.compile(f"{begin}.*?{end}", re.DOTALL)
    if not found.search(page):
        raise SystemExit(f"the page has no {begin} ... {end}")
    return found.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", page)


def _titled(figure: go.Figure, title: str, x: str, y: str) -> go.Figure:
    figure.update_yaxes(dtick=1)  # of a logarithm: powers of ten
    return figure.update_layout(**STYLE, title=title, xaxis_title=x, yaxis_title=y, yaxis_type="log")


if __name__ == "__main__":
    tyro.cli(main)
