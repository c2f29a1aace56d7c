"""What the charts of the page show, worked out from the report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from markupsafe import Markup

from pipelines.report.charts import Curve, curve_chart, finite, lift_chart, limits_of, nights_chart
from pipelines.report.night_charts import bars_chart, lifts_chart
from pipelines.report.sections import Row, drawable, metric_name, ordered, rank, rows


class Panel(NamedTuple):
    """Training of one model."""

    name: str
    runs: list[Row]  # one per seed
    seconds: float | None  # mean over seeds
    chart: Markup


def lifts(report: Row, metric: str) -> Markup | None:
    """The lift chart in one metric, models in the table's order; None where nothing can be drawn."""
    baseline = report.get("baseline")
    controls = {row["name"] for row in ordered(report) if row.get("control_of")}
    chosen = [row for row in drawable(report) if (row.get("metric"), row.get("baseline")) == (metric, baseline)]
    if not chosen:
        return None
    words = "; ".join(
        f"{row['name']} {row['difference']:+.4f}, from {row['low']:+.4f} to {row['high']:+.4f}" for row in chosen
    )
    axis = f"difference in {metric_name(metric)} from {baseline}"
    return lift_chart(chosen, controls, axis, f"Lift with 95 % intervals, {axis}: {words}")


def panels(report: Row) -> list[Panel]:
    """A training curve per model, in the table's order; a model without epochs, such as popularity, has none."""
    order = [row["name"] for row in ordered(report)]
    runs: dict[str, list[Row]] = {}
    for run in rows(report, "models"):
        if run.get("name") and _curve(run):
            runs.setdefault(run["name"], []).append(run)
    curves = {name: [curve for run in group if (curve := _curve(run))] for name, group in runs.items()}
    reference = _mean(max(curve.values) for curve in curves.get(str(report.get("baseline")), []))
    limits = limits_of([curve for group in curves.values() for curve in group], reference)
    metric = metric_name(str(report.get("selection") or "recall@20"))
    bests = {name: ", ".join(f"{max(curve.values):.4f}" for curve in group) for name, group in curves.items()}
    labels = {name: f"{name}: validation {metric} by epoch, a line per seed; best {bests[name]}" for name in curves}
    names = sorted(runs, key=lambda name: rank(name, order))
    drawn = {name: curve_chart(curves[name], limits, reference, "epoch", labels[name]) for name in names}
    return [Panel(name, runs[name], _mean(run.get("seconds") for run in runs[name]), drawn[name]) for name in names]


def over_nights(report: Row) -> list[tuple[str, Markup]]:
    """A chart of coverage and near-duplicates per field of prose that was measured on several nights."""
    found: dict[str, list[Row]] = {}
    for row in (report.get("answers") or {}).get("nights") or []:
        if finite(row.get("coverage")) and finite(row.get("near_duplicates")) and row.get("ds"):
            found.setdefault(f"{row.get('recipe')}/{row.get('field')}", []).append(row)
    return [(name, _nights_of(name, nights)) for name, nights in found.items() if len(nights) > 1]


def night_by_night(report: Row) -> list[tuple[str, Markup]]:
    """What the nights up to this one have cost (calls where they were free), and the lift of the best model of each."""
    nights = [row for row in rows(report, "nights") if row.get("ds")]
    if len(nights) < 2:
        return []
    dates, paid = [str(row["ds"]) for row in nights], [_number(row.get("cost_usd")) for row in nights]
    name, axis, bars = ("Cost", "US dollars a night", paid)
    if not any(paid):
        name, axis, bars = ("Calls", "calls a night; they were free", [_number(row.get("calls")) for row in nights])
    charts = [(name, bars_chart(dates, bars, axis, f"{axis}, {len(nights)} nights; last: {bars[-1]:,.4g}"))]
    lifts = [row["lift"] if _drawable(row.get("lift")) else None for row in nights]
    if (last := next(filter(None, reversed(lifts)), None)) is not None:
        axis = f"difference in {metric_name(str(nights[-1].get('metric')))} from {last.get('baseline')}"
        label = f"Lift of the best model by night, {axis}; last: {last['difference']:+.4f}"
        charts.append(("Lift of the best model", lifts_chart(dates, lifts, axis, label)))
    return charts


def _drawable(lift: Row | None) -> bool:
    return lift is not None and all(finite(lift.get(key)) for key in ("difference", "low", "high"))


def _number(value: object) -> float:
    return float(value) if finite(value) else 0.0


def _nights_of(name: str, nights: list[Row]) -> Markup:
    lines = {each.replace("_", "-"): [row[each] for row in nights] for each in ("coverage", "near_duplicates")}
    last = ", ".join(f"{line} {values[-1]:.1%}" for line, values in lines.items())
    return nights_chart([str(row["ds"]) for row in nights], lines, f"{name} over {len(nights)} nights; last: {last}")


def _curve(run: Row) -> Curve | None:
    points = [(entry.get("epoch"), entry.get("valid")) for entry in run.get("history") or []]
    drawn = [(float(epoch), float(value)) for epoch, value in points if finite(epoch) and finite(value)]
    return Curve(*(list(column) for column in zip(*drawn, strict=True))) if drawn else None


def _mean(values: Iterable[object]) -> float | None:
    numbers = [value for value in values if finite(value)]
    return sum(numbers) / len(numbers) if numbers else None
