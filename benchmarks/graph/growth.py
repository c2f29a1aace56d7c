"""growth: time and memory from 10^5 to 10^7 pairs of a synthetic graph, the exponents they grow by, and the plot.

Times are CPU seconds of one thread: what else runs on the machine must not bend the line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.child import run_json
from benchmarks.figures import Figure, at_most, stated
from benchmarks.graph.synthetic import power_law
from benchmarks.graph.turns import environment, ours, saved

SIZES = (100_000, 316_228, 1_000_000, 3_162_278, 10_000_000)
SHORT = SIZES[:3]
TIMED = 5  # steps of each size
# Time grows by more than 1: the vectors of 10^5 pairs lie in the caches, those of 10^6 and more do not.
MEASURES = {
    "step_s": ("a training step, a fiftieth of the pairs", "CPU seconds", 1.5),
    "epoch_s": ("an epoch of 50 steps, sampling included", "CPU seconds", 1.5),
    "rank_s": ("ranking 1,000 users over the whole catalogue", "CPU seconds", 1.2),
    "above_mb": ("peak of memory above the libraries", "MB", 1.1),
}  # what it is, its unit, the largest exponent
Row = Mapping[str, float]


def growth(folder: Path, sizes: Sequence[int], plot: Path | None) -> list[Figure]:
    """Every size in a process of its own; `plot` is where the picture goes."""
    rows = [measured(folder, size) for size in sizes]
    if plot is not None:
        draw(rows, plot)
    about = "LightGCN, dim 64, 3 layers, BPR; CPU seconds of one thread; users and items in Gowalla's proportion"
    listed = [stated("growth", f"{row['edges']:,} pairs", _said(row)) for row in rows]
    return [stated("growth", "synthetic power law", about), *listed, *(_figure(name, rows) for name in MEASURES)]


def measured(folder: Path, size: int) -> Row:
    """What one size takes, as `clients/growing.py` tells it."""
    part = power_law(size)
    file = saved(folder, str(size), edges=part.edges, num_users=part.num_users, num_items=part.num_items)
    found = run_json(ours("clients.growing", file, str(TIMED)), **environment(1))
    Path(file).unlink()
    return {**found, "above_mb": found["peak_mb"] - found["libraries_mb"]}


def exponent(rows: Sequence[Row], measure: str) -> float:
    """Slope of the least-squares line through the logarithms: 1 is linear growth."""
    x, y = (np.log([row[name] for row in rows]) for name in ("edges", measure))
    return float(np.polyfit(x, y, 1)[0])


def draw(rows: Sequence[Row], file: Path) -> None:
    """A panel per measure on logarithmic axes, with the fitted line, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    shown = [name for name in MEASURES if name != "step_s"]
    figure = Canvas(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, len(shown)), shown, strict=True):
        _panel(axes, rows, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110, format="png")


def _panel(axes: Any, rows: Sequence[Row], name: str) -> None:
    what, unit, _ = MEASURES[name]
    x, y = (np.array([row[each] for row in rows], dtype=float) for each in ("edges", name))
    slope, start = np.polyfit(np.log(x), np.log(y), 1)
    axes.loglog(x, np.exp(start) * x**slope, color="#b9c2c9", label=f"grows as size^{slope:.2f}")
    axes.loglog(x, y, "o", color="#1c5d99")
    axes.set(title=what, xlabel="interactions", ylabel=unit)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def _said(row: Row) -> str:
    return (
        f"{row['users']:,} users, {row['items']:,} items: step {row['step_s']:.3g} s, epoch {row['epoch_s']:.3g} s, "
        f"1,000 users ranked {row['rank_s']:.3g} s; peak {row['peak_mb']:,.0f} MB, libraries {row['libraries_mb']:,.0f}"
    )


def _figure(name: str, rows: Sequence[Row]) -> Figure:
    what, _, most = MEASURES[name]
    return at_most("growth", f"exponent: {what}", exponent(rows, name), most)
