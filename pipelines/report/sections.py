"""What each section of the page says, worked out from the report; every part of the report may be missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pipelines.report.charts import finite

Row = Mapping[str, Any]
METRICS = {"recall": "Recall", "ndcg": "NDCG", "hr": "HR", "mrr": "MRR", "coverage": "Coverage"}
METRICS |= {"ndcg_retrieved_ideal": "NDCG, retrieved ideal"}
MOST_EXAMPLES = 12  # of answers, for each measure
SLICES = ("cold", "warm", "tail", "head", "few", "many")  # the order shown, by first word


class Verdict(NamedTuple):
    """The night in one line: the model best on validation and its lift on test."""

    model: str
    test: Row  # metric -> {"mean", "std"}
    lift: Row | None  # interval against the baseline, None where there is none
    outcome: str  # baseline, unmeasured, better, worse or unclear


class Reader(NamedTuple):
    """One user with the lists that the models made."""

    id: str
    history: Sequence[str]
    lists: list[Row]  # model, items


class Answers(NamedTuple):
    """The section on the quality of the answers."""

    fields: list[Row]  # recipe, kind, field, measures
    drifting: list[Row]  # those of the fields that are compared with an earlier night
    over: int  # figures above their threshold
    examples: Mapping[str, list[Row]]  # by measure
    compared_with: str | None


def rows(report: Row, key: str) -> list[Row]:
    """A list of the report; empty where it is missing or null."""
    return list(report.get(key) or [])


def ordered(report: Row) -> list[Row]:
    """The summary's rows with every control directly under its model, controls without a model last."""
    summary = [row for row in rows(report, "summary") if row.get("name")]
    names = {row["name"] for row in summary if not row.get("control_of")}
    found: list[Row] = []
    for row in summary:
        if not row.get("control_of"):
            found += [row, *(other for other in summary if other.get("control_of") == row["name"])]
    return found + [row for row in summary if row.get("control_of") and row["control_of"] not in names]


def told_by_objectives(report: Row) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Model, objective and its figures (such as the use of AutoGraph's codes), of the first seed of each model."""
    told, seen = list[tuple[str, str, list[tuple[str, str]]]](), set[str]()
    for model in rows(report, "models"):
        figures = model.get("report") or {}
        if figures and model["name"] not in seen:
            seen.add(model["name"])
            told += [
                (model["name"], name, [(key, _figures(value)) for key, value in each.items()])
                for name, each in figures.items()
            ]
    return told


def verdict(report: Row) -> Verdict | None:
    """None where no model was trained."""
    name = report.get("selected")
    chosen = next((row for row in ordered(report) if row["name"] == name), None)
    if name is None or chosen is None:
        return None
    lift = lift_of(report, name)
    outcome = "baseline" if name == report.get("baseline") else outcome_of(lift)
    return Verdict(name, chosen.get("test") or {}, lift, outcome)


def outcome_of(lift: Row | None) -> str:
    """Whether a 95 % interval lies above zero (better), below it (worse) or across (unclear)."""
    if lift is None:
        return "unmeasured"
    return "better" if lift["low"] > 0 else "worse" if lift["high"] < 0 else "unclear"


def lift_of(report: Row, name: str) -> Row | None:
    """The model's interval against the baseline in the headline metric."""
    metric, baseline = headline(report), report.get("baseline")
    return next(
        (
            row
            for row in drawable(report)
            if (row["name"], row.get("metric"), row.get("baseline")) == (name, metric, baseline)
        ),
        None,
    )


def headline(report: Row) -> str:
    """The metric of the verdict: recall@20 where there are intervals for it, else what the models were chosen by."""
    metrics = [str(row.get("metric")) for row in drawable(report)]
    chosen = str(report.get("selection") or "recall@20")
    return "recall@20" if "recall@20" in metrics or chosen not in metrics else chosen


def drawable(report: Row) -> list[Row]:
    """The intervals that are numbers, the baseline's first, by metric, models in the table's order."""
    needed, baseline = ("difference", "low", "high"), report.get("baseline")
    found = [
        row for row in rows(report, "intervals") if row.get("name") and all(finite(row.get(key)) for key in needed)
    ]
    metrics, order = [row.get("metric") for row in found], [row["name"] for row in ordered(report)]
    return sorted(
        found,
        key=lambda row: (row.get("baseline") != baseline, metrics.index(row.get("metric")), rank(row["name"], order)),
    )


def metrics_of(entries: Iterable[Row], part: str) -> list[str]:
    """The metrics that any entry has under `part`, by cut-off from high to low, then in the order of METRICS."""
    found = {metric for entry in entries for metric in entry.get(part) or {}}
    return sorted(found, key=lambda metric: (-cut_off(metric), rank(metric.partition("@")[0], tuple(METRICS)), metric))


def cut_off(metric: str) -> int:
    """The k of `recall@k`; 0 where there is none."""
    k = metric.partition("@")[2]
    return int(k) if k.isascii() and k.isdigit() else 0


def is_best(summary: Sequence[Row], row: Row, part: str, metric: str) -> bool:
    """Whether a row has the highest mean of a column; more coverage is not better, so there is no best in it."""
    means = [((other.get(part) or {}).get(metric) or {}).get("mean") for other in [row, *summary]]
    best = max((mean for mean in means if finite(mean)), default=None)
    return best is not None and means[0] == best and not metric.startswith("coverage")


def slices_of(summary: Sequence[Row], wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Slice name -> its `metrics`, the wanted ones or else the first two, and `users`, on how many it is measured."""
    names = {name for row in summary for name in row.get("slices") or {}}
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(names, key=lambda name: (rank(name.partition(" ")[0], SLICES), name)):
        parts = [(row.get("slices") or {}).get(name) or {} for row in summary]
        keys = metrics_of([{"slice": {key: 0 for key in part if "@" in key}} for part in parts], "slice")
        shown = [key for key in keys if key in wanted] or keys[:2]
        found[name] = {"metrics": shown, "users": next((part["users"] for part in parts if "users" in part), None)}
    return found


def answers(report: Row) -> Answers:
    """The quality of the answers: fields that are measured, how many figures are over, and examples by measure."""
    found: Row = report.get("answers") or {}
    fields = [row for row in found.get("fields") or [] if row.get("recipe")]
    figures = [figure for row in fields for figure in (row.get("measures") or {}).values()]
    examples: dict[str, list[Row]] = {}
    for row in sorted(found.get("examples") or [], key=lambda row: -(row.get("size") or 0)):
        examples.setdefault(str(row.get("measure")), []).append(row)
    return Answers(
        fields,
        [row for row in fields if "text_change" in (row.get("measures") or {})],
        sum(bool(figure.get("over")) for figure in figures),
        {measure: each[:MOST_EXAMPLES] for measure, each in examples.items()},
        found.get("compared_with"),
    )


def readers(report: Row) -> list[Reader]:
    """The recommendations by user, every model's list side by side."""
    found: dict[str, Reader] = {}
    for row in rows(report, "recommendations"):
        reader = found.setdefault(
            str(row.get("user_id")), Reader(str(row.get("user_id")), row.get("history") or [], [])
        )
        reader.lists.append({"model": row.get("model"), "items": row.get("items") or []})
    return list(found.values())


def makeup(report: Row, name: str) -> str:
    """What a model is made of in a few words: recommender or backbone, loss, objectives, text, control."""
    model = next((run for run in rows(report, "models") if run.get("name") == name), {})
    features: Row = model.get("features") or {}
    parts = [model.get("backbone") or model.get("recommender"), model.get("loss"), *(model.get("objectives") or [])]
    texts = {kind: features.get(kind) for kind in ("item", "user") if features.get("item")}
    parts += [f"{kind} text: {_listed(source)}" for kind, source in texts.items() if source]
    parts += [f"edges: {_listed(features['edges'])}"] if features.get("edges") else []
    parts += [f"adaptor: {features['adaptor']['name']}"] if features.get("adaptor") else []
    parts += [f"pca {features['pca']}"] if features.get("pca") else []
    parts += [f"{model['control']} text rows"] if model.get("control") not in (None, "none") else []
    return " · ".join(str(part) for part in parts if part)


def metric_name(metric: str) -> str:
    """`ndcg@20` as the field writes it: `NDCG@20`."""
    kind, at, k = metric.partition("@")
    return METRICS.get(kind, kind) + at + k


def rank(name: str, order: Sequence[str]) -> int:
    """The place of a name in an order; after all others where it is not in it."""
    return list(order).index(name) if name in order else len(order)


def _listed(source: Any) -> str:
    return source if isinstance(source, str) else " + ".join(map(str, source))


def _figures(value: Any) -> str:
    values = value if isinstance(value, list | tuple) else [value]
    return ", ".join(f"{each:.4g}" if isinstance(each, int | float) else str(each) for each in values)
