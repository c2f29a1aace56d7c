"""lift.svg: what a text adds against what it costs, with intervals, in the look of the report."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.report.charts import ACCENT, INK, LINE, MUTED, PAPER, STYLE

LIGHT = {INK: "#1d2226", LINE: "#dedfda", MUTED: "#5d666f", ACCENT: "#1c5d99", PAPER: "#fdfdfb"}  # as the page's
WIDTH, HEIGHT = 760.0, 440.0
APART, NEAR = 11.0, 60.0  # points of nearly one cost stand so far apart, and labels so near would overlap
LINE_HEIGHT = 13.0
Point = Mapping[str, Any]


def lift_svg(points: Sequence[Point]) -> str:
    """`points` have `name`, `cost` (US dollars per 1,000 users), `difference`, `low`, `high`, and `title` (hollow)."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({**STYLE, "svg.hashsalt": "lift"}):
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), facecolor=PAPER, dpi=72)
        axes = figure.add_axes((0.13, 0.13, 0.84, 0.83))
        _frame(axes, points)
        _draw(axes, sorted(points, key=lambda point: (point["cost"], point["name"])))
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    drawn = file.getvalue()
    for stand_in, colour in LIGHT.items():
        drawn = drawn.replace(stand_in, colour)
    return drawn


def _frame(axes: Any, points: Sequence[Point]) -> None:
    axes.set_facecolor(PAPER)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.yaxis.grid(visible=True)
    axes.axhline(0, color=MUTED, linewidth=1, dashes=(3, 3))
    costs = [point["cost"] for point in points if point["cost"] > 0]
    if costs and max(costs) > 30 * min(costs):
        axes.set_xscale("symlog", linthresh=min(costs))
    highest, lows = max(costs, default=1.0), [point[key] for point in points for key in ("low", "high")]
    axes.set_xlim(-0.06 * highest if axes.get_xscale() == "linear" else -0.3 * min(costs), 1.25 * highest)
    axes.set_ylim(*_padded(min([0.0, *lows]), max([0.0, *lows])))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:+.4g}".replace("-", "−") if value else "0")
    axes.tick_params("both", length=0, labelcolor=MUTED)
    axes.set_xlabel("US dollars per 1,000 users")
    axes.set_ylabel("Recall@20 above the same without text")


def _draw(axes: Any, points: Sequence[Point]) -> None:
    """Points of nearly one cost side by side, and their labels one below the other."""
    labels: list[tuple[float, float]] = []
    at, beside = -NEAR, 0.0
    for point in points:
        x, y = axes.transData.transform((point["cost"], point["difference"]))
        at, beside = (at, beside + APART) if x - at < APART else (x, 0.0)
        _mark(axes, point, beside)
        x, height = at + beside, y
        while any(abs(height - other) < LINE_HEIGHT and abs(x - left) < NEAR for left, other in labels):
            height += LINE_HEIGHT / 2
        labels.append((x, height))
        left = x > 0.75 * WIDTH
        offset = (beside - 8 if left else beside + 8, height - y)
        place = {"xytext": offset, "textcoords": "offset points", "fontsize": 10, "va": "center"}
        axes.annotate(point["name"], (point["cost"], point["difference"]), ha="right" if left else "left", **place)


def _mark(axes: Any, point: Point, beside: float) -> None:
    from matplotlib.transforms import ScaledTranslation

    colour = ACCENT if point["low"] > 0 else MUTED
    moved = axes.transData + ScaledTranslation(beside / 72, 0, axes.figure.dpi_scale_trans)
    line = {"color": colour, "transform": moved}
    axes.plot([point["cost"]] * 2, [point["low"], point["high"]], linewidth=2, solid_capstyle="round", **line)
    fill = {"markerfacecolor": PAPER if point["title"] else colour, "markeredgecolor": colour, "markeredgewidth": 1.6}
    axes.plot(point["cost"], point["difference"], "o", markersize=7, **fill, **line)


def _padded(low: float, high: float) -> tuple[float, float]:
    space = max(0.08 * (high - low), 1e-4)
    return low - space, high + space
