"""A picture of points with their spread and the front of the best among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_COLORS = ("#1f4e79", "#c55a11", "#548235", "#7f6000", "#7030a0", "#404040", "#b00020", "#007070")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "star", "hexagon", "pentagon", "triangle-down")


@dataclass(frozen=True)
class Point:
    """One point.

    Args:
        number: What stands beside it; a table says more.
        label: Its name.
        family: What it shares color and shape with.
        x: Less is better.
        y: More is better.
        x_spread: Half of the bar to both sides; None for none.
        y_spread: The same, up and down.
        best: Whether no other point is as good in both and better in one.
    """

    number: int
    label: str
    family: str
    x: float
    y: float
    x_spread: float | None = None
    y_spread: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Scatter:
    """Points of y against x, drawn over a logarithm of x.

    Args:
        title: The heading.
        x_title: What x is, with its unit.
        y_title: What y is, with its unit.
        points: At least one.
        notes: What the reader must know, a paragraph each.
    """

    title: str
    x_title: str
    y_title: str
    points: Sequence[Point]
    notes: Sequence[str] = ()


def find_front(values: Sequence[tuple[float, float]]) -> list[bool]:
    """Which of (x, y) are on the Pareto front: nothing else has x as low and y as high, and one of them better.

    Args:
        values: Pairs of what should be low and what should be high.
    """
    return [not any(a <= x and b >= y and (a, b) != (x, y) for a, b in values) for x, y in values]


def ticks_between(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis, somewhat beyond both ends: 1, 2, 5 of each power of ten, or more of them.

    Args:
        low: The least value, above 0.
        high: The largest.
    """
    powers = range(floor(log10(low)) - 1, ceil(log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), [n / 10 for n in range(10, 100)]):
        found = [step * 10.0**power for power in powers for step in steps]
        inside = [tick for tick in found if low / 1.2 <= tick <= high * 1.2]
        if len(inside) >= 4:
            break
    return inside[:: -(-len(inside) // 12)]


def scatter_figure(scatter: Scatter) -> "Figure":
    """Points by family, filled where they are on the front, and the front as a dashed line of steps.

    Args:
        scatter: What to draw.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    front = sorted((point.x, point.y) for point in scatter.points if point.best)
    figure.add_scatter(
        x=[x for x, _ in front],
        y=[y for _, y in front],
        mode="lines",
        line={"dash": "dash", "width": 1, "color": "#808080", "shape": "hv"},
        name="the front",
        hoverinfo="skip",
    )
    families = list(dict.fromkeys(point.family for point in scatter.points))
    for index, family in enumerate(families):
        points = [point for point in scatter.points if point.family == family]
        symbol, color = _SYMBOLS[index % len(_SYMBOLS)], _COLORS[index % len(_COLORS)]
        figure.add_scatter(
            x=[point.x for point in points],
            y=[point.y for point in points],
            error_x=_bars([point.x_spread for point in points]),
            error_y=_bars([point.y_spread for point in points]),
            mode="markers+text",
            text=[str(point.number) for point in points],
            textposition="top center",
            hovertext=[f"{point.number}. {point.label}" for point in points],
            hovertemplate=f"%{{hovertext}}<br>{scatter.x_title}: %{{x:,.4~g}}<br>{scatter.y_title}: %{{y:.2f}}",
            marker={
                "symbol": [symbol if point.best else f"{symbol}-open" for point in points],
                "color": color,
                "size": 10,
                "line": {"width": 1.5},
            },
            name=family,
        )
    ticks = ticks_between(min(point.x for point in scatter.points), max(point.x for point in scatter.points))
    figure.update_xaxes(type="log", title=scatter.x_title, tickvals=ticks, ticktext=[f"{tick:,.10g}" for tick in ticks])
    figure.update_yaxes(title=scatter.y_title)
    figure.update_layout(legend={"orientation": "h", "y": -0.25, "font": {"size": 12}})
    return figure


def _bars(spreads: Sequence[float | None]) -> dict[str, object]:
    return {"array": [spread or 0 for spread in spreads], "visible": any(spreads), "thickness": 1, "width": 3}
