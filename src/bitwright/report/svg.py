"""Lines in panels as an SVG picture, written by hand: no browser, and no more text than it has points."""

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_COLORS = ("#1f4e79", "#c55a11", "#548235")  # told apart in grey by their dashes, too
_DASHES = ("none", "7 4", "2 3")
_PANEL = (300, 180)  # pixels of the plot itself
_LEFT, _TOP, _BOTTOM, _GAP = 52, 28, 46, 16
_JUMP = 0.2  # of the height: a step between two points that is drawn upright


@dataclass(frozen=True)
class Line:
    """Points in the order of x; an empty name stays out of the legend."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """Lines in one pair of axes; at least one line, of at least one point."""

    title: str
    lines: Sequence[Line]


def draw_panels(panels: Sequence[Panel]) -> str:
    """Draw panels side by side.

    Args:
        panels: The panels.

    Returns:
        The text of an SVG file.
    """
    pitch = _LEFT + _PANEL[0] + _GAP
    width, height = pitch * len(panels), _TOP + _PANEL[1] + _BOTTOM
    parts = [part for index, panel in enumerate(panels) for part in _panel(panel, pitch * index + _LEFT)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    style = 'font-family="sans-serif" font-size="11" fill="#1a1a1a"'
    return "\n".join([f"{head} {style}>", f'<rect width="{width}" height="{height}" fill="#fff"/>', *parts, "</svg>\n"])


def _panel(panel: Panel, left: float) -> list[str]:
    wide, high = _PANEL
    x0, x1 = _room([x for line in panel.lines for x in line.x], 0)
    y0, y1 = _room([y for line in panel.lines for y in line.y], 0.06)
    bottom = _TOP + high

    def place(x: float, y: float) -> tuple[float, float]:
        return left + wide * (x - x0) / (x1 - x0), bottom - high * (y - y0) / (y1 - y0)

    parts = [_text(left, _TOP - 10, panel.title, "start", "bold")]
    for tick in _ticks(x0, x1):
        x = place(tick, y0)[0]
        parts += [_rule(x, _TOP, x, bottom), _text(x, bottom + 14, f"{tick:g}", "middle")]
    for tick in _ticks(y0, y1):
        y = place(x0, tick)[1]
        parts += [_rule(left, y, left + wide, y), _text(left - 6, y + 4, f"{tick:g}", "end")]
    parts.append(f'<rect x="{left:g}" y="{_TOP}" width="{wide}" height="{high}" fill="none" stroke="#888"/>')
    start = left
    for index, line in enumerate(panel.lines):
        color, dash = _COLORS[index % len(_COLORS)], _DASHES[index % len(_DASHES)]
        stroke = f'stroke="{color}" stroke-width="2" stroke-dasharray="{dash}"'
        parts.append(f'<polyline points="{_points(line, place)}" fill="none" {stroke}/>')
        if line.name:
            y = bottom + 32
            parts.append(f'<path d="M{start:g} {y}h24" {stroke}/>')
            parts.append(_text(start + 29, y + 4, line.name, "start"))
            start += 41 + 6 * len(line.name)
    return parts


def _room(values: Sequence[float], margin: float) -> tuple[float, float]:
    """The range of an axis: that of the values and a margin, never empty."""
    low, high = min(values), max(values)
    more = margin * (high - low) if high - low > 1e-9 else 0.5
    return low - more, high + more


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers in a range, about five."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(step * index, 12) for index in range(first, last + 1)]


def _points(line: Line, place: Callable[[float, float], tuple[float, float]]) -> str:
    found: list[tuple[float, float]] = []
    for x, y in zip(line.x, line.y, strict=True):
        point = place(x, y)
        if found and abs(point[1] - found[-1][1]) > _JUMP * _PANEL[1]:
            found.append((point[0], found[-1][1]))
        found.append(point)
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in found)


def _rule(x0: float, y0: float, x1: float, y1: float) -> str:
    return f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="#ddd"/>'


def _text(x: float, y: float, text: str, anchor: str, weight: str = "normal") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-weight="{weight}">{html.escape(text)}</text>'
