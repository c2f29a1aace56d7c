"""Charts of a run night by night: what it has cost, and what its best model was better by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from pipelines.report.charts import ACCENT, MUTED, blank_axes, inline, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 400, 190
MARGINS = (58, 44, 12, 10)  # left, bottom, right, top


def bars_chart(nights: Sequence[str], values: Sequence[float], axis: str, label: str) -> Markup:
    """A bar per night from zero, at its date: a night that is missing is a gap. `axis` stands under the scale."""
    figure, axes, days = _by_date(nights, axis)
    axes.bar(days, values, color=ACCENT, width=0.8 * _nearest(days))
    axes.set_ylim(0, max(*values, 1e-9) * 1.08)
    return inline(figure, label)


def lifts_chart(nights: Sequence[str], lifts: Sequence[Mapping[str, Any] | None], axis: str, label: str) -> Markup:
    """A dot per night with its 95 % interval, and a line at zero; those that cross it are muted, None is a gap."""
    figure, axes, days = _by_date(nights, axis)
    axes.axhline(0, color=MUTED, linewidth=1, dashes=(3, 3))
    size = 5.5 if len(nights) <= 31 else 3.5
    for day, lift in zip(days, lifts, strict=True):
        if lift is not None:
            color = MUTED if lift["low"] <= 0 <= lift["high"] else ACCENT
            axes.plot([day, day], [lift["low"], lift["high"]], color=color, linewidth=1.4, alpha=0.45)
            axes.plot(day, lift["difference"], "o", color=color, markersize=size, markeredgewidth=0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:+.3g}".replace("-", "−") if value else "0")
    return inline(figure, label)


def _by_date(nights: Sequence[str], axis: str) -> tuple[Figure, Axes, list[int]]:
    """Empty axes from the first night to the last, and the nights as days on them."""
    days = [date.fromisoformat(ds).toordinal() for ds in nights]
    figure, axes = blank_axes(WIDTH, HEIGHT, MARGINS)
    room = 0.7 * _nearest(days)
    axes.set_xlim(days[0] - room, days[-1] + room)
    ends = [days[0], days[-1]] if len(days) > 1 else days
    axes.set_xticks(ends, [date.fromordinal(day).isoformat() for day in ends])
    axes.get_xticklabels()[0].set_horizontalalignment("left")
    axes.get_xticklabels()[-1].set_horizontalalignment("right")
    axes.tick_params("y", length=0, labelcolor=MUTED)
    axes.yaxis.grid(visible=True)
    axes.set_xlabel(short(axis, 56))
    return figure, axes, days


def _nearest(days: Sequence[int]) -> int:
    """The fewest days between two nights."""
    return min((after - before for before, after in pairwise(days)), default=1)
