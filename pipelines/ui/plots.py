"""Small charts over nights as inline SVG, in the page's own colours: drawn in a millisecond, with nothing imported.

The report's charts (`pipelines.report.charts`) are matplotlib's, which takes a second to import and 0.1 s a chart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise

from markupsafe import Markup, escape

WIDTH, HEIGHT = 270.0, 150.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 4.0, 8.0, 24.0
WIDEST_BAR = 24.0


@dataclass(frozen=True)
class Point:
    """A night's value; `low` and `high` of its interval, `words` for who points at it."""

    ds: str
    value: float
    words: str
    low: float | None = None
    high: float | None = None
    muted: bool = False


@dataclass
class Scale:
    """Where values and nights are in the drawing. Raises ValueError where there is no point."""

    points: Sequence[Point]
    zero: bool  # whether the scale has a zero
    most: float | None = None  # no tick above it, such as 1 for shares
    ticks: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        values = [each for point in self.points for each in (point.value, point.low, point.high) if each is not None]
        low, high = min(values), max(values)
        low, high = (min(low, 0.0), max(high, 0.0)) if self.zero else (low, high)
        self.ticks = nice_ticks(low, high, self.most)
        days = [date.fromisoformat(point.ds).toordinal() for point in self.points]
        self.first, self.last = min(days), max(days)

    def x(self, point: Point) -> float:
        inner = WIDTH - LEFT - RIGHT - WIDEST_BAR
        span = self.last - self.first
        share = (date.fromisoformat(point.ds).toordinal() - self.first) / span if span else 0.5
        return LEFT + WIDEST_BAR / 2 + share * inner

    def y(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    @property
    def bar(self) -> float:
        """How wide a bar is: most of the room between the two nights that are nearest to each other."""
        places = sorted(self.x(point) for point in self.points)
        nearest = min((after - before for before, after in pairwise(places)), default=WIDEST_BAR)
        return max(2.0, min(WIDEST_BAR, 0.7 * nearest))


def bars(points: Sequence[Point], label: str, shown: Callable[[float], str]) -> Markup:
    """A bar from zero per night."""
    scale = Scale(points, zero=True)
    floor = scale.y(0)
    drawn = [
        f'<rect class="mark" x="{scale.x(each) - scale.bar / 2:.1f}" width="{scale.bar:.1f}" '
        f'y="{min(scale.y(each.value), floor):.1f}" height="{max(abs(floor - scale.y(each.value)), 0.6):.1f}"/>'
        for each in points
    ]
    return _svg(scale, label, shown, _marked(points, drawn))


def dots(points: Sequence[Point], label: str, shown: Callable[[float], str]) -> Markup:
    """A dot with its interval per night, and a line at zero."""
    scale = Scale(points, zero=True)
    size = 4.5 if len(points) <= 31 else 3.0
    drawn = []
    for each in points:
        x, low, high = scale.x(each), each.low, each.high
        kind = "mark muted" if each.muted else "mark"
        line = "" if low is None or high is None else f"M{x:.1f} {scale.y(low):.1f}V{scale.y(high):.1f}"
        dot = f'<circle class="{kind}" cx="{x:.1f}" cy="{scale.y(each.value):.1f}" r="{size}"/>'
        drawn.append((f'<path class="{kind} whisker" d="{line}"/>' if line else "") + dot)
    return _svg(scale, label, shown, _marked(points, drawn))


def line(points: Sequence[Point], label: str, shown: Callable[[float], str], most: float | None = None) -> Markup:
    """Nights joined by a line; the scale need not have a zero. `most` is where values cannot go beyond."""
    scale = Scale(points, zero=False, most=most)
    path = "L".join(f"{scale.x(each):.1f} {scale.y(each.value):.1f}" for each in points)
    drawn = [
        f'<circle class="mark" cx="{scale.x(each):.1f}" cy="{scale.y(each.value):.1f}" r="3.5"/>' for each in points
    ]
    return _svg(scale, label, shown, [f'<path class="line" d="M{path}"/>', *_marked(points, drawn)])


def nice_ticks(low: float, high: float, most: float | None = None) -> list[float]:
    """Three to six round numbers, the first not above `low`, the last not below `high`."""
    if high - low < 1e-9:
        room = max(abs(high) * 0.1, 1e-3)
        low, high = (low, low + room) if low == 0 else (low - room, high + room)
        high = high if most is None else min(high, most)
    rough = (high - low) / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [round(each * step, 12) for each in range(first, last + 1)]
    return ticks if most is None else [each for each in ticks if each < most] + ([most] if ticks[-1] >= most else [])


def _marked(points: Sequence[Point], drawn: Sequence[str]) -> Iterator[str]:
    """Each mark with words for a pointer."""
    for point, mark in zip(points, drawn, strict=True):
        yield f"<g><title>{escape(point.words)}</title>{mark}</g>"


def _svg(scale: Scale, label: str, shown: Callable[[float], str], marks: Sequence[str] | Iterator[str]) -> Markup:
    parts = [f'<svg class="plot" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" aria-label="{escape(label)}">']
    for tick in scale.ticks:
        y, kind = scale.y(tick), "zero" if tick == 0 and scale.zero else "grid"
        parts.append(f'<path class="{kind}" d="M{LEFT:.0f} {y:.1f}H{WIDTH - RIGHT:.0f}"/>')
        parts.append(f'<text class="end" x="{LEFT - 8:.0f}" y="{y + 4:.1f}">{escape(shown(tick))}</text>')
    parts += marks
    parts += _dates(scale)
    return Markup("".join([*parts, "</svg>"]))


def _dates(scale: Scale) -> list[str]:
    ends = [scale.points[0], scale.points[-1]][: 2 if scale.last > scale.first else 1]
    places = ("start", "end") if len(ends) > 1 else ("middle",)
    shift = {"start": -WIDEST_BAR / 2, "end": WIDEST_BAR / 2, "middle": 0.0}
    return [
        f'<text class="{place}" x="{scale.x(point) + shift[place]:.1f}" y="{HEIGHT - 6:.0f}">{escape(point.ds)}</text>'
        for point, place in zip(ends, places, strict=True)
    ]
