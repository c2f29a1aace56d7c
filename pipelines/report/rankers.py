"""What the page says of the ranking of given candidates and of language models that rank; all of it may be missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from markupsafe import Markup

from pipelines.report.charts import finite, place_chart
from pipelines.report.sections import Row, rank, rows

PHASES = {"valid": "validation", "test": "test, full ranking", "candidates": "test, given candidates"}
NONE_ALLOWED = 0.05  # share of what a model named that may be in no catalogue
STATUSES = ("index", "exact", "normalised", "contained", "fuzzy", "embedding", "none")  # the order shown
PROBES = {  # what a model says of itself -> its heading
    "position_bias": "Order kept",
    "answers_follow_prompt": "Answers follow order",
    "first_by_place_p": "Places alike, p",
    "popularity_top1": "Popularity of the first",
    "popularity_top5": "of the first five",
    "popularity_candidates": "of all",
}
SHOWN = (  # in a column, a table or a chart
    *("users", "asked", "cached", "unanswered", "unparsable", "cost_usd", "expected_cost_per_1000_users"),
    *("cost_per_1000_users", "grounding", "first_by_place", *PROBES),
)


class Lists(NamedTuple):
    """The table of the ranking of given candidates."""

    columns: list[tuple[str, str]]  # metric as stored, its heading
    rows: list[Row]  # name, control_of, seeds, metrics, popularity
    lift: Mapping[str, Row | None]  # model -> its interval in the headline metric
    headline: str  # as stored
    alone: list[tuple[str, str]]  # the metrics of users whose truth was retrieved; empty where all were


class Said(NamedTuple):
    """What one model said of itself in one phase."""

    name: str  # with the seed where there are several
    phase: str
    told: Row
    grounding: list[tuple[str, int, float]]  # status, entries, share
    unknown: float | None  # share of entries that are in no catalogue
    others: str  # what has no column


def lists(report: Row, tables_order: list[str]) -> Lists | None:
    """None where no lists were ranked; models in the order of the other tables."""
    found: Row = report.get("candidates") or {}
    summary = [row for row in found.get("summary") or [] if row.get("name")]
    summary = sorted(summary, key=lambda row: rank(str(row.get("name")), tables_order))
    tag, ks = found.get("tag"), [k for k in found.get("ks") or [] if isinstance(k, int)]
    if not summary or not tag or not ks:
        return None
    names = [f"hr@{k}({tag})" for k in ks]
    names += [f"ndcg@{k}({tag})" for k in ks if k > 1]  # of the first place it is HR@1
    measured = {name for row in summary for name in row.get("metrics") or {}}
    columns = [(name, listed_name(name)) for name in (*names, f"mrr({tag})") if name in measured]
    alone = [(f"{name[:-1]}, retrieved alone)", title) for name, title in columns]
    headline = next(
        (name for name, _ in reversed(columns) if name.startswith("ndcg")), columns[0][0] if columns else ""
    )
    lifts = _lifts(report, found, headline)
    by_model = {str(row["name"]): lifts.get(str(row["name"])) for row in summary}
    return Lists(columns, summary, by_model, headline, [c for c in alone if c[0] in measured])


def listed_name(metric: str) -> str:
    """`ndcg@5(+19)` as the field writes it: `NDCG@5(+19)`."""
    name, bracket, tag = metric.partition("(")
    return name.upper() + bracket + tag


def said(report: Row) -> list[Said]:
    """A row per model, seed and phase that asked anything, in the order they were recorded."""
    told = [row for row in rows(report, "told") if row.get("name")]
    several = len({row.get("seed") for row in told}) > 1
    return [
        _said(f"{row['name']}, seed {row.get('seed')}" if several else str(row["name"]), title, row[phase])
        for row in told
        for phase, title in PHASES.items()
        if row.get(phase)
    ]


def places(report: Row) -> list[tuple[str, Markup]]:
    """Charts per model: its metric by the place at which the truth was shown, and which places it puts first."""
    found: Row = report.get("candidates") or {}
    drawn = [_by_place_of_truth(row) for row in found.get("results") or []]
    return [chart for chart in (*drawn, *map(_first_places, said(report))) if chart is not None]


def _by_place_of_truth(row: Row) -> tuple[str, Markup] | None:
    shown = [point for point in row.get("places") or [] if finite(point.get("mrr")) and point.get("users")]
    if len(shown) < 2:
        return None
    words = "; ".join(f"{point['shown']}: {point['mrr']:.3f} of {point['users']} users" for point in shown)
    title = f"{row.get('name')}, seed {row.get('seed')}: MRR by place of the truth"
    names, values = [str(point["shown"]) for point in shown], [float(point["mrr"]) for point in shown]
    return title, place_chart(names, values, "place of the truth as shown", f"{title}: {words}")


def _first_places(row: Said) -> tuple[str, Markup] | None:
    shares = [share for share in row.told.get("first_by_place") or [] if finite(share)]
    if len(shares) < 2:
        return None
    words = "; ".join(f"{place}: {share:.1%}" for place, share in enumerate(shares, 1))
    title = f"{row.name}, {row.phase}: answers by the place put first"
    names = [str(place) if place % 5 == 0 or len(shares) < 8 else "" for place in range(1, len(shares) + 1)]
    return title, place_chart(names, shares, "place as shown of what is put first", f"{title}: {words}")


def _lifts(report: Row, found: Row, headline: str) -> dict[str, Row]:
    wanted = (headline, report.get("baseline"))
    return {
        str(row.get("name")): row
        for row in found.get("intervals") or []
        if (row.get("metric"), row.get("baseline")) == wanted
        and all(finite(row.get(key)) for key in ("difference", "low", "high"))
    }


def _said(name: str, phase: str, told: Row) -> Said:
    counts = {status: count for status, count in (told.get("grounding") or {}).items() if finite(count)}
    total = sum(counts.values())
    order = sorted(counts, key=lambda status: rank(status, STATUSES))
    grounding = [(status, int(counts[status]), counts[status] / total) for status in order if total]
    unknown = counts.get("none", 0) / total if total else None
    return Said(name, phase, told, grounding, unknown, ", ".join(_flat(told.items())))


def _flat(told: Iterable[tuple[str, Any]]) -> list[str]:
    """What has no column, as words; counts of one kind in brackets."""
    found = []
    for key, value in told:
        if key in SHOWN or value in (None, {}, 0):
            continue
        inner = f" ({', '.join(_flat(value.items()))})" if isinstance(value, Mapping) else f" {_figure(value)}"
        found.append(key.replace("_", " ") + inner)
    return found


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
