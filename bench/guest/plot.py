# SPDX-License-Identifier: GPL-2.0
"""A plot of cost against size, both logarithmic, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 620, 470
"""Of a panel, its margins included."""
LEFT, RIGHT, TOP, BOTTOM = 88, 192, 44, 52
LINE_HEIGHT = 14
FONT = "font-family='system-ui, sans-serif'"


@dataclass(frozen=True)
class Line:
    """One contestant: points of size and milliseconds."""

    label: str
    colour: str
    points: Sequence[tuple[float, float]]
    is_ours: bool = False


@dataclass(frozen=True)
class Panel:
    """One diagram."""

    title: str
    x_label: str
    lines: Sequence[Line]


class _Axis:
    """A logarithmic axis, from one place of the picture to another."""

    def __init__(self, values: Sequence[float], begin: float, end: float, pad: float) -> None:
        self._low = math.log10(min(values)) - pad
        self._high = math.log10(max(values)) + pad
        self._begin, self._end = begin, end

    def at(self, value: float) -> float:
        """Where a value lies."""
        part = (math.log10(value) - self._low) / (self._high - self._low)
        return self._begin + part * (self._end - self._begin)

    def powers(self) -> list[float]:
        """The powers of ten on it."""
        return [10.0**power for power in range(math.ceil(self._low), math.floor(self._high) + 1)]


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' {more}>{escape(text)}</text>"


def _spread(wanted: Sequence[float], top: float, bottom: float) -> list[float]:
    """Moves labels apart, as little as it takes, within the panel: the places in the order given."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    places = [wanted[index] for index in order]
    # Each group of labels that touch stands around the mean of where they belong.
    groups: list[list[float]] = []
    for place in places:
        groups.append([place])
        while len(groups) > 1 and _begin(groups[-1], top, bottom) < _end(groups[-2], top, bottom):
            last = groups.pop()
            groups[-1] += last
    spread = []
    for group in groups:
        begin = _begin(group, top, bottom)
        spread += [begin + LINE_HEIGHT * (number + 0.5) for number in range(len(group))]
    result = [0.0] * len(wanted)
    for index, place in zip(order, spread):
        result[index] = place
    return result


def _begin(group: Sequence[float], top: float, bottom: float) -> float:
    """Where a group of labels begins."""
    height = LINE_HEIGHT * len(group)
    return min(max(sum(group) / len(group) - height / 2, top), bottom - height)


def _end(group: Sequence[float], top: float, bottom: float) -> float:
    return _begin(group, top, bottom) + LINE_HEIGHT * len(group)


def _milliseconds(value: float) -> str:
    if value >= 1000:
        return f"{value / 1000:g} s"
    return f"{value:g} ms" if value >= 1 else f"{value * 1000:g} µs"


def _grid(panel: Panel, x_axis: _Axis, y_axis: _Axis) -> list[str]:
    """The axes with their labels."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [_text(LEFT, 22, panel.title, "font-size='14' font-weight='600' fill='#111'")]
    for value in y_axis.powers():
        y = y_axis.at(value)
        parts.append(f"<path d='M{LEFT} {y:.1f}H{right}' stroke='#ddd'/>")
        parts.append(_text(LEFT - 8, y + 4, _milliseconds(value), "text-anchor='end'"))
    sizes = sorted({x for line in panel.lines for x, _ in line.points})
    last = -math.inf
    for value in sizes:
        x = x_axis.at(value)
        parts.append(f"<path d='M{x:.1f} {TOP}V{bottom}' stroke='#eee'/>")
        if x - last > 38:
            parts.append(_text(x, bottom + 18, f"{value:,.0f}", "text-anchor='middle'"))
            last = x
    parts.append(f"<path d='M{LEFT} {TOP}V{bottom}H{right}' fill='none' stroke='#888'/>")
    parts.append(_text((LEFT + right) / 2, HEIGHT - 14, panel.x_label, "text-anchor='middle'"))
    middle = (TOP + bottom) / 2
    turned = f"text-anchor='middle' transform='rotate(-90 16 {middle:.0f})'"
    parts.append(_text(16, middle, "time of one reading (median)", turned))
    return parts


def _draw(panel: Panel) -> list[str]:
    """A panel, its lines labelled where they end."""
    xs = [x for line in panel.lines for x, _ in line.points]
    ys = [y for line in panel.lines for _, y in line.points]
    x_axis = _Axis(xs, LEFT, WIDTH - RIGHT, 0.05)
    y_axis = _Axis(ys, HEIGHT - BOTTOM, TOP, 0.12)
    parts = _grid(panel, x_axis, y_axis)
    ends = [y_axis.at(max(line.points)[1]) for line in panel.lines]
    for line, end, place in zip(panel.lines, ends, _spread(ends, TOP - 8, HEIGHT - BOTTOM + 8)):
        points = [(x_axis.at(x), y_axis.at(y)) for x, y in sorted(line.points)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        width = 2.6 if line.is_ours else 1.5
        parts.append(f"<path d='M{path}' fill='none' stroke='{line.colour}' stroke-width='{width}'/>")
        parts += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{line.colour}'/>" for x, y in points]
        edge = WIDTH - RIGHT
        leader = f"M{points[-1][0] + 5:.1f} {end:.1f}L{edge + 10} {place:.1f}"
        parts.append(f"<path d='{leader}' fill='none' stroke='{line.colour}' stroke-width='0.7'/>")
        weight = "font-weight='600' " if line.is_ours else ""
        parts.append(_text(edge + 14, place + 4, line.label, f"{weight}fill='{line.colour}'"))
    return parts


def svg(panels: Sequence[Panel], caption: str) -> str:
    """The panels side by side."""
    width, height = WIDTH * len(panels), HEIGHT + 24
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}'"
        f" height='{height}' {FONT} font-size='12' fill='#444'>",
        "<rect width='100%' height='100%' fill='#fff'/>",
    ]
    for number, panel in enumerate(panels):
        parts += [f"<g transform='translate({number * WIDTH} 0)'>", *_draw(panel), "</g>"]
    parts += [_text(LEFT, height - 8, caption, "font-size='11' fill='#777'"), "</svg>"]
    return "\n".join(parts) + "\n"
