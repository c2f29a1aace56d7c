"""What somebody wants to see each morning: the last night in a sentence, its drift, and charts over nights."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from markupsafe import Markup

from pipelines.report.sections import metric_name, outcome_of
from pipelines.ui.plots import Point, bars, dots, line
from pipelines.watching.history import lowest_coverage

Counts = dict[str, Any]
Tone = Literal["good", "notice", "bad"]
LAST = "report"  # the step after which a night has come to its end
VECTORS = "vectors: drift"
HIGHEST = re.compile(r"highest (\S+)$")  # what a gate has observed of a figure that may only be so high
DRIFTS = {"vector_drift": "vectors", "answer_quality": "answers"}  # gate -> what it compares with the night before
OUTCOMES = {
    "better": "better than {baseline} by {by}",
    "worse": "worse than {baseline} by {by}",
    "unclear": "no clear difference from {baseline}: {by}",
}


class Verdict(NamedTuple):
    """A night in a sentence or two."""

    tone: Tone
    head: str
    words: str


class Drift(NamedTuple):
    """How far something of a night is from the night before: the highest over its sources or fields."""

    name: str
    highest: float
    allowed: str
    success: bool


class Chart(NamedTuple):
    """A drawing with what stands above it."""

    title: str
    told: str  # under the title
    drawn: Markup


def verdict(night: Counts) -> Verdict:
    """How a night went: failed, unfinished, refused, or live with what its model is worth."""
    ds, release = night["ds"], night["release"] or {}
    if night["failed"]:
        told = "; ".join(f"{step}: {error}" for step, error in night["failed"].items())
        return Verdict("bad", f"The night of {ds} failed", f"{told}. What was live before stays live.")
    if LAST not in night["steps"]:
        last = max(night["steps"], key=lambda step: night["steps"][step]["ended_at"] or 0.0, default="none")
        return Verdict("notice", f"The night of {ds} has not come to its end", f"The last step that did: {last}.")
    if release.get("outcome") == "refused":
        return Verdict("notice", f"The model of {ds} was refused", f"{release['reason']}.")
    head = f"The night of {ds} is live" if release.get("promoted") else f"The night of {ds} ended well"
    tone: Tone = "good" if not failed_gates(night) else "notice"
    return Verdict(tone, head, " ".join(filter(None, (_worth(night), _kept(release)))))


def failed_gates(night: Counts) -> list[str]:
    return [table for table, gate in night["gates"].items() if not gate["success"]]


def drifts(folder: Path) -> list[Drift]:
    """What the gates of a night have measured against the night before; nothing on the first night."""
    found = []
    for gate, of in DRIFTS.items():
        file = folder / "steps" / f"gate-{gate}.json"
        results = json.loads(file.read_bytes())["results"] if file.is_file() else []
        found += [drift for each in results if (drift := _drift(of, each)) is not None]
    return found


def charts(nights: Sequence[Counts], folder: Callable[[str], Path]) -> list[Chart]:
    """Lift, cost, coverage and drift night by night; those that fewer than two nights have are left out."""
    drawn = [_lift(nights), _cost(nights), _coverage(nights), _vectors(nights, folder)]
    return [chart for chart in drawn if chart is not None]


def _worth(night: Counts) -> str:
    if night["model"] is None or night["valid"] is None:
        return ""
    selected = f"{night['model']} was best on validation ({metric_name(night['selection'])} {night['valid']:.4f})"
    lift = night["lift"]
    if lift is None:
        return f"{selected}."
    by = f"{metric_name(night['metric'])} {_signed(lift['difference'])} on test, {interval(lift)}"
    return f"{selected}; {OUTCOMES[outcome_of(lift)].format(baseline=lift['baseline'], by=by)}."


def _kept(release: Counts) -> str:
    return f"It was not made live: {release['reason']}." if release.get("outcome") == "kept" else ""


def interval(lift: Counts) -> str:
    """The 95 % interval in words."""
    return f"95 % interval {_signed(lift['low'])} to {_signed(lift['high'])}"


def _lift(nights: Sequence[Counts]) -> Chart | None:
    shown = [night for night in nights if night["lift"]]
    points = []
    for night in shown:
        lift = night["lift"]
        words = f"{night['ds']}: {night['model']} {_signed(lift['difference'])}, {interval(lift)}"
        crosses = outcome_of(lift) == "unclear"
        points.append(Point(night["ds"], lift["difference"], words, lift["low"], lift["high"], crosses))
    if len(points) < 2:
        return None
    last = shown[-1]
    told = f"{metric_name(last['metric'])} on test minus that of {last['lift']['baseline']}, with 95 % intervals"
    return Chart("Lift of the best model", told, dots(points, _label("Lift", points), _tick_signed))


def _cost(nights: Sequence[Counts]) -> Chart | None:
    paid = any(night["cost_usd"] for night in nights)
    name, unit = ("Cost", "US dollars a night") if paid else ("Calls", "calls a night; they were free")
    points = []
    for night in nights:
        value = night["cost_usd"] if paid else night["calls"]
        told = f"US$ {value:,.4f}, {night['calls']:,} calls" if paid else f"{value:,} calls"
        points.append(Point(night["ds"], float(value), f"{night['ds']}: {told}"))
    return Chart(name, unit, bars(points, _label(name, points), _tick)) if len(points) > 1 else None


def _coverage(nights: Sequence[Counts]) -> Chart | None:
    found = [(night["ds"], low) for night in nights if (low := lowest_coverage(night)) is not None]
    points = [Point(ds, low, f"{ds}: {low:.1%}") for ds, low in found]
    told = "subjects whose answer can be read, of the recipe with the fewest"
    drawn = line(points, _label("Coverage", points), _tick_share, most=1.0) if len(points) > 1 else None
    return None if drawn is None else Chart("Coverage", told, drawn)


def _vectors(nights: Sequence[Counts], folder: Callable[[str], Path]) -> Chart | None:
    found = [(night["ds"], each) for night in nights for each in drifts(folder(night["ds"])) if each.name == VECTORS]
    points = [Point(ds, each.highest, f"{ds}: {each.highest:.4g}; {each.allowed}") for ds, each in found]
    told = "energy distance from the night before; 1 is no drift"
    drawn = line(points, _label("Drift", points), _tick) if len(points) > 1 else None
    return None if drawn is None else Chart("Drift of vectors", told, drawn)


def _drift(of: str, result: Counts) -> Drift | None:
    told = HIGHEST.search(str(result.get("observed", "")))
    if told is None or not str(result["column"]).endswith(("drift", "drop")):
        return None
    return Drift(
        f"{of}: {result['column'].replace('_', ' ')}", float(told[1]), result["expected"], bool(result["success"])
    )


def _label(name: str, points: Sequence[Point]) -> str:
    return f"{name}, {len(points)} nights; the last: {points[-1].words}" if points else name


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def _tick_signed(value: float) -> str:
    return f"{value:+.4g}".replace("-", "−") if value else "0"


def _tick(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def _tick_share(value: float) -> str:
    return f"{100 * value:.4g} %"
