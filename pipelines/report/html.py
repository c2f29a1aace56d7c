"""One self-contained HTML page from a report: nothing to fetch, nothing to run, everything from outside escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.report import figures, rankers, sections
from pipelines.report.charts import finite

NONE = "–"
SHOWN = 12  # titles of a history; the rest is counted
# Control characters but tab and newline, and those that turn the direction of the text after them, ours included.
UNSEEN = dict.fromkeys({*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)} - {9, 10})


def render(report: Mapping[str, Any]) -> str:
    """The page for a report as written to report.json.

    Only `name` and `ds` must be there; a part that is missing, null or not a number is said to be missing. Titles,
    profiles and answers are untrusted: jinja2 escapes every value, and the page forbids itself scripts and fetches.
    Histories are shown in the order given, the first 12. Raises KeyError where `name` or `ds` is missing.
    """
    from jinja2 import ChainableUndefined, Environment, FileSystemLoader

    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
        autoescape=True,
        undefined=ChainableUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(FILTERS)
    page = pages.get_template("template.html.j2").render(**view(report)).lstrip()
    return page.encode("utf-8", "replace").decode("utf-8")  # half of a surrogate pair cannot be written to a file


def visible(value: Any) -> Any:
    """A value as it is printed: text without characters that are not seen but change what is."""
    return value.translate(UNSEEN) if isinstance(value, str) else value


def view(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the template is given: the report as `r`, and what its sections work out from it."""
    summary = sections.ordered(report)
    metrics, headline = sections.metrics_of(summary, "test"), sections.headline(report)
    k = sections.cut_off(headline)
    selection = str(report.get("selection") or "recall@20")
    return {
        "r": {**report, "name": report["name"], "ds": report["ds"]},
        "reader": "Simulated reader" if report.get("simulated") else "User",
        "verdict": sections.verdict(report),
        "summary": summary,
        "makeup": {row["name"]: sections.makeup(report, row["name"]) for row in summary},
        "told": sections.told_by_objectives(report),
        "lift": {row["name"]: sections.lift_of(report, row["name"]) for row in summary},
        "outcome_of": sections.outcome_of,
        "headline": headline,
        "selection": selection,
        "columns": [("valid", selection), *(("test", metric) for metric in metrics if sections.cut_off(metric) == k)],
        "other_columns": [("test", metric) for metric in metrics if sections.cut_off(metric) != k],
        "is_best": lambda row, part, metric: sections.is_best(summary, row, part, metric),
        "charts": [chart for metric in _pair(headline) if (chart := figures.lifts(report, metric))],
        "intervals": sections.drawable(report),
        "panels": figures.panels(report),
        "slices": sections.slices_of(summary, _pair(headline)),
        "lists": rankers.lists(report, [row["name"] for row in summary]),
        "said": rankers.said(report),
        "places": rankers.places(report),
        "none_allowed": rankers.NONE_ALLOWED,
        "probes": rankers.PROBES,
        "readers": sections.readers(report),
        "answers": sections.answers(report),
        "over_nights": figures.over_nights(report),
        "night_by_night": figures.night_by_night(report),
        "checks": [result for gate in sections.rows(report, "gates") for result in gate.get("results") or []],
        "total_seconds": _total(report.get("seconds")),
        "shown": SHOWN,
    }


def _pair(headline: str) -> list[str]:
    """The headline metric and, beside a recall, the NDCG at the same cut-off."""
    return list(dict.fromkeys([headline, headline.replace("recall", "ndcg")]))


def _total(seconds: object) -> float | None:
    return (
        sum(value for value in seconds.values() if finite(value)) if isinstance(seconds, Mapping) and seconds else None
    )


def number(template: str, scale: float = 1.0) -> Callable[[object], str]:
    """A filter that writes a finite number by a format, with a real minus sign, and anything else as a dash."""

    def write(value: object) -> str:
        return template.format(value * scale).replace("-", "−") if finite(value) else NONE

    return write


def probability(value: object) -> str:
    """A p value with three decimals; below that only that it is below."""
    return "<0.001" if finite(value) and value < 0.0005 else number("{:.3f}")(value)


def dollars(value: object) -> str:
    """Cents where there are whole ones, else enough digits to see that it was not free."""
    small = finite(value) and 0 < value < 0.01
    return number("${:.4f}" if small else "${:,.2f}")(value)


def duration(value: object) -> str:
    """Seconds, or minutes and seconds from 100 seconds on."""
    if finite(value) and value >= 100:
        minutes, seconds = divmod(round(value), 60)
        return f"{minutes} min {seconds:02d} s"
    return number("{:.1f}\N{NO-BREAK SPACE}s")(value)


def expectation(name: object) -> str:
    """`expect_column_values_to_not_be_null` as words."""
    return str(name).removeprefix("expect_").replace("_", " ")


def link(place: object) -> str | None:
    """A relative or absolute path that is safe to link to; None for any address with a scheme or a host."""
    path = str(place or "")
    safe = path and not path.startswith("//") and all(letter.isalnum() or letter in "/._- =" for letter in path)
    return path if safe else None


FILTERS: dict[str, Callable[..., Any]] = {
    "metric": number("{:.4f}"),
    "signed": number("{:+.4f}"),
    "percent": number("{:.1f}\N{NO-BREAK SPACE}%", 100),
    "signed_percent": number("{:+.1f}\N{NO-BREAK SPACE}%", 100),
    "count": number("{:,.0f}"),
    "score": number("{:.2f}"),
    "seconds_of": number("{:.1f}"),
    "probability": probability,
    "dollars": dollars,
    "duration": duration,
    "expectation": expectation,
    "link": link,
    "capitalised": lambda text: text[:1].upper() + text[1:],
    "metric_name": sections.metric_name,
    "listed_name": rankers.listed_name,
}
