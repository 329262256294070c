"""One self-contained HTML page with pictures: opens without a network, and prints."""

import base64
import html
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bitwright.report.scatter import Scatter, scatter_figure
from bitwright.report.table import Table, to_html

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_COLORS = ("#1f4e79", "#c55a11", "#548235", "#7f6000", "#7030a0")  # told apart in grey, too
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_MARKED = 30  # points of a line up to which each has a mark
_WIDTH = 680  # pixels; what a printed page holds

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 720px; margin: 2em auto;
       padding: 0 1em; }
h1 { font-size: 1.7em; line-height: 1.2; } h2 { font-size: 1.2em; margin: 1.8em 0 0.4em; }
table { border-collapse: collapse; width: 100%; } td { padding: 0.3em 0; border-bottom: 1px solid #ddd; }
td + td { text-align: right; font-variant-numeric: tabular-nums; }
.wide { font-size: 11px; line-height: 1.3; display: block; overflow-x: auto; }
.wide th { text-align: left; vertical-align: bottom; }
.wide th, .wide td { padding: 0.3em 0.5em 0.3em 0; border-bottom: 1px solid #ddd; }
.wide .words { text-align: left; overflow-wrap: anywhere; min-width: 4em; } .wide .number { text-align: right; }
.note { font-size: 13px; margin: 0.5em 0; }
.samples { display: flex; flex-wrap: wrap; gap: 12px; } .samples figure { margin: 0; width: 72px; text-align: center; }
.samples img { width: 72px; height: 72px; object-fit: contain; image-rendering: pixelated; background: #eee; }
.samples figcaption { font-size: 13px; line-height: 1.3; } .wrong { color: #b00020; font-weight: 700; }
@media print { body { margin: 0; font-size: 11pt; } h2 { break-after: avoid; }
               .picture, .samples, tr { break-inside: avoid; } .modebar { display: none; } }
"""


@dataclass(frozen=True)
class Sample:
    """An image with what it shows and what the network saw in it.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        label: What it shows.
        prediction: What the network says.
    """

    image: np.ndarray
    label: str
    prediction: str


@dataclass(frozen=True)
class Size:
    """Bytes of one form of a network, and its accuracy as a share of one."""

    name: str
    bytes: int
    accuracy: float


@dataclass(frozen=True)
class LayerMaps:
    """What was measured in each layer and epoch, one small picture for each measure.

    Args:
        title: The heading.
        layers: Names of the L layers.
        maps: (L, E) values by what they are, NaN where there is none; epochs are counted from 1.
    """

    title: str
    layers: Sequence[str]
    maps: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Chart:
    """Lines in one picture.

    Args:
        title: The heading.
        x: What the axis to the right means.
        y: What the other one means.
        lines: (x, y) points by the name of the line.
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class Page:
    """What a page shows; empty parts are left out.

    Args:
        title: The heading.
        introduction: One paragraph under it.
        facts: What, and how much.
        tables: Tables of many columns.
        curves: For each picture, its lines: name to (x, y) points, over epochs.
        charts: Lines over something else.
        scatters: Points with their front.
        sizes: Accuracy against size.
        density: Share of effective connections, by layer, each of [0, 1].
        latency: Milliseconds an image, by what ran.
        layers: What was measured in layers and epochs.
        samples: Images with predictions.
    """

    title: str
    introduction: str = ""
    facts: Sequence[tuple[str, str]] = ()
    tables: Sequence[Table] = ()
    curves: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]] = field(default_factory=dict)
    charts: Sequence[Chart] = ()
    scatters: Sequence[Scatter] = ()
    sizes: Sequence[Size] = ()
    density: Mapping[str, float] = field(default_factory=dict)
    latency: Mapping[str, float] = field(default_factory=dict)
    layers: Sequence[LayerMaps] = ()
    samples: Sequence[Sample] = ()


def write_page(path: str | os.PathLike[str], page: Page) -> Path:
    """Write a page as one HTML file that holds its pictures and the code that draws them.

    Args:
        path: The file to write; an older one is replaced once the new one is complete.
        page: What to show.

    Returns:
        The path.

    Raises:
        OSError: If it cannot be written.
    """
    sections = [_table(page.facts), *map(to_html, page.tables)]
    sections += [_lines(Chart(title, "epoch", "", lines), whole=True) for title, lines in page.curves.items()]
    sections += [_lines(chart) for chart in page.charts]
    sections += map(_scatter, page.scatters)
    sections += [_sizes(page.sizes), _density(page.density), _latency(page.latency)]
    sections += [*map(_layer_maps, page.layers), _samples(page.samples)]
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(_document(page, [section for section in sections if section]), encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _document(page: Page, sections: Sequence[str]) -> str:
    from plotly.offline import get_plotlyjs

    title = html.escape(page.title)
    introduction = f"<p>{html.escape(page.introduction)}</p>" if page.introduction else ""
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>',
            f"<script>{get_plotlyjs()}</script></head><body>",
            f"<h1>{title}</h1>",
            introduction,
            *sections,
            "</body></html>",
        ]
    )


def _table(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><td>{html.escape(what)}</td><td>{html.escape(much)}</td></tr>" for what, much in facts)
    return f"<table>{rows}</table>" if facts else ""


def _lines(chart: Chart, whole: bool = False) -> str:
    """A chart; `whole` is for an axis of whole numbers."""
    import plotly.graph_objects as go

    figure, lines = go.Figure(), chart.lines
    for index, (name, points) in enumerate(lines.items()):
        turn, color = divmod(index, len(_COLORS))
        line = {"color": _COLORS[color], "dash": _DASHES[(color + turn) % len(_DASHES)]}
        mode = "lines" if whole or len(points) > _MARKED else "lines+markers"
        figure.add_scatter(x=[x for x, _ in points], y=[y for _, y in points], name=name, mode=mode, line=line)
    last = max((x for points in lines.values() for x, _ in points), default=0)
    figure.update_xaxes(title=chart.x, dtick=max(1, round(last / 10)) if whole else None)
    figure.update_yaxes(title=chart.y or None)
    legend = {"orientation": "h", "y": -0.2, "font": {"size": 12}}
    figure.update_layout(showlegend=len(lines) > 1, legend=legend)
    return _picture(chart.title, figure, height=340 + 14 * len(lines))


def _scatter(scatter: Scatter) -> str:
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in scatter.notes)
    if not scatter.points:
        return f"<h2>{html.escape(scatter.title)}</h2>{notes}"
    return _picture(scatter.title, scatter_figure(scatter), height=420) + notes


def _sizes(sizes: Sequence[Size]) -> str:
    import plotly.graph_objects as go

    if not sizes:
        return ""
    figure = go.Figure()
    for index, size in enumerate(sizes):
        figure.add_scatter(
            x=[size.bytes / 1024],
            y=[100 * size.accuracy],
            mode="markers+text",
            text=[f"{size.name}: {size.bytes / 1024:,.1f} KiB, {100 * size.accuracy:.1f} %"],
            textposition="top center" if index % 2 == 0 else "bottom center",
            marker={"size": 13, "color": _COLORS[index % len(_COLORS)]},
        )
    low, high = min(s.bytes for s in sizes) / 1024, max(s.bytes for s in sizes) / 1024
    middle = 100 * sum(s.accuracy for s in sizes) / len(sizes)
    spread = max(1.0, max(abs(100 * s.accuracy - middle) for s in sizes) * 2)
    figure.update_xaxes(type="log", title="KiB (logarithmic)", dtick=1, range=[np.log10(low / 4), np.log10(high * 4)])
    figure.update_yaxes(title="accuracy, %", range=[middle - spread, min(100.5, middle + spread)])
    figure.update_layout(showlegend=False)
    return _picture("Accuracy against size", figure)


def _density(density: Mapping[str, float]) -> str:
    labels = {name: f"{100 * share:.1f} %" for name, share in density.items()}
    values = {name: 100 * share for name, share in density.items()}
    return _bars("Density of each layer: effective connections, %", values, labels) if density else ""


def _latency(latency: Mapping[str, float]) -> str:
    labels = {name: f"{ms:.3g} ms" for name, ms in latency.items()}
    return _bars("Time an image, ms (one thread)", latency, labels) if latency else ""


def _layer_maps(found: LayerMaps) -> str:
    from plotly.subplots import make_subplots

    columns = 2
    lines = -(-len(found.maps) // columns)
    height = 80 + lines * (50 + 14 * len(found.layers))
    figure = make_subplots(
        lines,
        columns,
        shared_yaxes=True,
        subplot_titles=list(found.maps),
        horizontal_spacing=0.14,
        vertical_spacing=50 / height,
    )
    for index, values in enumerate(found.maps.values()):
        row, col = index // columns + 1, index % columns + 1
        (x_axis,), (y_axis,) = figure.select_xaxes(row=row, col=col), figure.select_yaxes(row=row, col=col)
        middle = sum(y_axis.domain) / 2
        bar = {"x": x_axis.domain[1], "y": middle, "len": 0.9 / lines, "thickness": 8, "tickfont_size": 10}
        z = [[None if np.isnan(value) else float(f"{value:.4g}") for value in layer] for layer in values]
        epochs = list(range(1, values.shape[1] + 1))
        grey = {"colorscale": "Greys", "colorbar": bar}
        figure.add_heatmap(z=z, x=epochs, y=list(found.layers), row=row, col=col, **grey)
    figure.update_yaxes(autorange="reversed", automargin=True, tickfont_size=10, dtick=1)
    figure.update_xaxes(tickfont_size=10)
    figure.update_annotations(font_size=13)
    return _picture(found.title, figure, height=height, margin_top=30)


def _bars(title: str, values: Mapping[str, float], labels: Mapping[str, str]) -> str:
    import plotly.graph_objects as go

    names = list(values)
    figure = go.Figure(
        go.Bar(
            x=list(values.values()),
            y=names,
            orientation="h",
            text=[labels[name] for name in names],
            textposition="outside",
            cliponaxis=False,
            marker_color=_COLORS[0],
        )
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(range=[0, 1.15 * max(values.values()) or 1])
    figure.update_layout(bargap=0.35)
    return _picture(title, figure, height=110 + 28 * len(names))


def _picture(title: str, figure: "Figure", height: int = 340, margin_top: int = 10) -> str:
    import plotly.io

    margin = {"l": 60, "r": 40, "t": margin_top, "b": 50}
    figure.update_layout(template="simple_white", width=_WIDTH, height=height, margin=margin, font={"size": 14})
    drawing = plotly.io.to_html(
        figure, full_html=False, include_plotlyjs=False, config={"displaylogo": False, "displayModeBar": False}
    )
    return f'<h2>{html.escape(title)}</h2><div class="picture">{drawing}</div>'


def _samples(samples: Sequence[Sample]) -> str:
    figures = []
    for sample in samples:
        right = sample.label == sample.prediction
        verdict = "right" if right else "wrong"
        said = html.escape(sample.prediction if right else f"{sample.prediction}, not {sample.label}")
        alt = html.escape(f"image of {sample.label}")
        figures.append(
            f'<figure><img alt="{alt}" src="{_data_uri(sample.image)}">'
            f'<figcaption class="{verdict}">{said}</figcaption></figure>'
        )
    return f'<h2>Samples, with predictions</h2><div class="samples">{"".join(figures)}</div>' if figures else ""


def _data_uri(image: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
