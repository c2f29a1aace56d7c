import copy
import html
import json
import math
import random
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from pipelines.report import charts, sections
from pipelines.report.html import dollars, duration, link, number, probability, render

SECTIONS = ["models", "lift", "training", "slices", "generation", "answers", "gates", "profiles"]
SECTIONS += ["recommendations", "seconds", "provenance"]
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}</style></svg>$\\frac{a}{0}$\x00中\u202e"
INLINE = {"a", "b", "code", "span", "strong", "time"}
VOID = {"meta", "link", "br", "img", "input", "hr"}
TITLES = ["Dracula", "The Turn of the Screw", "Frankenstein; or, The Modern Prometheus", "The Moonstone"]
TITLES += ["The Hound of the Baskervilles", "Carmilla", "The Woman in White", "Jane Eyre", "Wuthering Heights"]
TITLES += ["The Strange Case of Dr Jekyll and Mr Hyde", "The Picture of Dorian Gray", "The Castle of Otranto"]
READ = ["Northanger Abbey", "The Mysteries of Udolpho", "The Monk", "Vathek"]
# name, control_of, recommender, backbone, objectives, text, recall@20, epochs
MODELS: list[tuple[str, str | None, str, str | None, list[str], dict[str, str] | None, float, int]] = [
    ("lightgcn", None, "graph", "lightgcn", [], None, 0.1612, 60),
    ("lightgcn+con", None, "graph", "lightgcn", ["rlmrec_con"], {"item": "rlmrec.item/summarization"}, 0.1703, 70),
    ("alpharec", None, "graph", "alpharec", [], {"item": "rlmrec.item/summarization", "user": "mean"}, 0.1788, 45),
    ("popularity", None, "popularity", None, [], None, 0.0741, 0),
    ("text_match", None, "text_match", None, [], {"item": "title+author", "user": "mean"}, 0.0968, 0),
    ("alpharec-shuffled", "alpharec", "graph", "alpharec", [], {"item": "rlmrec.item/summarization"}, 0.1334, 40),
    ("lightgcn+con-shuffled", "lightgcn+con", "graph", "lightgcn", ["rlmrec_con"], {"item": "title"}, 0.1620, 60),
]
# name, share of the recall over all, users
SLICES = [("cold items", 0.3, 112), ("warm items", 1.05, 1391), ("tail items", 0.6, 704), ("head items", 1.2, 1222)]
SLICES += [("few interactions", 0.8, 700), ("many interactions", 1.1, 691)]
SHARES = {"recall@5": 0.42, "recall@10": 0.67, "recall@20": 1, "ndcg@5": 0.38, "ndcg@10": 0.46, "ndcg@20": 0.57}
SHARES |= {"hr@20": 1.9, "mrr@20": 0.66, "coverage@20": 3.1}


def scored(recall: float, rng: random.Random) -> dict[str, float]:
    return {metric: recall * share + rng.gauss(0, 0.0012) for metric, share in SHARES.items()}


def means(parts: list[dict[str, Any]]) -> dict[str, Any]:
    columns = {metric: [part[metric] for part in parts] for metric in parts[0] if "@" in metric}
    spread = {metric: (sum(column) / len(column), max(column) - min(column)) for metric, column in columns.items()}
    return {metric: {"mean": mean, "std": width / 2} for metric, (mean, width) in spread.items()}


def trained(model: tuple[Any, ...], seed: int, rng: random.Random) -> dict[str, Any]:
    name, control_of, recommender, backbone, objectives, features, recall, epochs = model
    slices = {
        key: {"recall@20": recall * share + rng.gauss(0, 0.002), "ndcg@20": recall * share * 0.5, "users": users}
        for key, share, users in SLICES
    }
    rise = {epoch: recall * (1 - math.exp(-epoch / 12)) + rng.gauss(0, 1e-3) for epoch in range(5, epochs + 1, 5)}
    history = [{"epoch": epoch, "loss": 0.7 * math.exp(-epoch / 25), "valid": valid} for epoch, valid in rise.items()]
    return {
        "name": name, "seed": seed, "control_of": control_of, "recommender": recommender, "backbone": backbone,
        "loss": "bpr" if backbone == "lightgcn" else "infonce" if backbone else None, "objectives": objectives,
        "features": features, "control": "shuffled" if control_of else "none", "valid": scored(recall * 1.04, rng),
        "test": scored(recall, rng), "slices": slices, "best_epoch": max(rise, key=rise.__getitem__, default=0),
        "epochs": epochs,
        "seconds": 0.07 * epochs + 0.1, "history": history,
    }  # fmt: skip


def summed(runs: list[dict[str, Any]]) -> dict[str, Any]:
    first = runs[0]
    slices = {
        key: {**means([run["slices"][key] for run in runs]), "users": part["users"]}
        for key, part in first["slices"].items()
    }
    parts = {part: means([run[part] for run in runs]) for part in ("valid", "test")}
    return {"name": first["name"], "control_of": first["control_of"], "seeds": len(runs), **parts, "slices": slices}


def interval(name: str, metric: str, difference: float, baseline: str = "lightgcn") -> dict[str, Any]:
    low, high = difference - 0.0061, difference + 0.0059
    p = 0.0001 if low > 0 or high < 0 else 0.31
    return {"name": name, "baseline": baseline, "metric": metric, "difference": difference, "low": low, "high": high,
            "relative": difference / 0.1612, "p": p, "users": 1391}  # fmt: skip


def recipe(name: str, kind: str, entities: int, rejected: int) -> dict[str, Any]:
    return {"name": name, "kind": kind, "entities": entities, "prompts": entities, "asked": entities, "cached": 0,
            "rejected": rejected, "profiles": entities - rejected, "coverage": 1 - rejected / entities,
            "input_tokens": entities * 311, "output_tokens": entities * 96, "cost_usd": 0.0}  # fmt: skip


def gate(table: str, failing: bool = False) -> dict[str, Any]:
    results = [
        ("expect_column_values_to_not_be_null", "text", "0 of 1,897 null", "at least 99 %", True),
        ("expect_column_value_lengths_to_be_between", "text", "min 41, max 618", "10 to 4000", True),
        ("expect_compound_columns_to_be_unique", "kind, id, recipe, field", "0 duplicates", "unique", True),
        (
            "expect_coverage_of_asked_entities",
            "id",
            "99.8 %" if not failing else "71.2 %",
            "at least 90 %",
            not failing,
        ),
    ]
    keys = ("expectation", "column", "observed", "expected", "success")
    found = [dict(zip(keys, result, strict=True)) for result in results]
    return {"table": table, "success": not failing, "data_docs": "data_docs/index.html", "results": found}


def figure(value: float, allowed: float | None = None, detail: str = "") -> dict[str, Any]:
    return {"value": value, "allowed": allowed, "over": allowed is not None and value > allowed, "detail": detail}


def measured() -> dict[str, Any]:
    """Answers of two fields on three nights: one generic text for most users, and books that nobody was shown."""
    user = {"asked": figure(1500), "texts": figure(1497), "coverage": figure(0.998)}
    user |= {"near_duplicates": figure(0.91, 0.2, "3 clusters"), "largest_cluster": figure(0.83, 1.0)}
    user |= {"other_language": figure(0.004, 0.1), "language.en": figure(0.99), "language.it": figure(0.004)}
    user |= {"words_median": figure(31), "words_p5": figure(20), "words_p95": figure(44), "over_limit": figure(0.02)}
    user |= {"unknown_items": figure(0.125, 0.2), "text_change": figure(0.93, None, "since 2026-11-15")}
    user |= {"word_drift": figure(0.61, 0.5), "length_drift": figure(0.07, 0.5), "coverage_drop": figure(0.0, 0.1)}
    item = {"asked": figure(400), "texts": figure(400), "coverage": figure(1.0), "near_duplicates": figure(0.01, 0.2)}
    about = {"recipe": "rlmrec.user", "kind": "user", "field": "summarization"}
    text = "This reader enjoys stories with strong characters and a good plot."
    examples = [
        {**about, "measure": "near_duplicates", "rank": 1, "said": "", "size": 1242, "ids": ["r1", "r2"], "text": text},
        {**about, "measure": "unknown_items", "rank": 1, "said": "jane eyre", "size": 1, "ids": ["r9"], "text": text},
    ]
    nights = [{"ds": ds, "recipe": "rlmrec.user", "field": "summarization", "coverage": 0.99, "near_duplicates": share}
              for ds, share in (("2026-11-08", 0.02), ("2026-11-15", 0.03), ("2026-11-22", 0.91))]  # fmt: skip
    fields = [{**about, "measures": user},
              {"recipe": "rlmrec.item", "kind": "item", "field": "summarization", "measures": item}]  # fmt: skip
    return {"compared_with": "2026-11-15", "fields": fields, "examples": examples, "nights": nights}


def example() -> dict[str, Any]:
    rng = random.Random(7)
    seeds = {model[0]: (1,) if model[7] == 0 else (1, 2, 3) for model in MODELS}
    runs = [trained(model, seed, rng) for model in MODELS for seed in seeds[model[0]]]
    others = [(model[0], model[6] - 0.1612) for model in MODELS if model[0] != "lightgcn"]
    intervals = [interval(name, "recall@20", difference) for name, difference in others]
    intervals += [interval(name, "ndcg@20", difference * 0.57) for name, difference in others]
    intervals += [interval("alpharec", "recall@20", 0.0454, "alpharec-shuffled")]
    items = [
        {"item_id": f"b{place:03d}", "title": title, "score": 2.91 - 0.17 * place} for place, title in enumerate(TITLES)
    ]
    text = (
        "Readers who like slow dread, old houses and letters found in drawers will enjoy this book: it is told in "
        "diaries and rewards patience. Those who want quick action may find the first chapters long."
    )
    book = {"title": "Dracula", "author": "Bram Stoker", "year": "1897", "subjects": "Horror tales; Vampires"}
    profile = {"field": "summarization", "text": text, "model": "offline"}
    minilm = "summarization@all-MiniLM-L6-v2"
    rejects = [("empty_field", 2, "user r0412: summarization is empty"), ("truncated", 1, "user r1033: 600 tokens")]
    return {
        "name": "sample", "ds": "2026-11-22", "simulated": True, "run_file": "infra/runs/sample.toml",
        "version": "0.1.0",
        "data": {"users": 1500, "items": 400, "interactions": 22000, "notes": ["7 interactions were dropped"]},
        "split": {"rule": "time", "split_id": "ab12f09c77d1e3b4", "train": 17600, "valid": 2200, "test": 2200,
                  "users_without_train": 3, "items_without_train": 5},
        "generation": {"engine": "offline", "model": "offline",
                       "recipes": [recipe("rlmrec.item", "item", 400, 0), recipe("rlmrec.user", "user", 1500, 3)]},
        "answers": measured(),
        "rejects": [{"step": "generate", "reason": reason, "count": count, "example": example}
                    for reason, count, example in rejects],
        "gates": [gate("profiles"), gate("embeddings")],
        "embeddings": [
            {"kind": "item", "source": f"rlmrec.item/{minilm}", "rows": 400, "missing": 0, "dim": 384},
            {"kind": "user", "source": f"rlmrec.user/{minilm}", "rows": 1497, "missing": 3, "dim": 384}],
        "semantic_ids": [
            {"name": "rq", "tokenizer": "rq_kmeans", "items": 400, "new": 12, "collisions": 0.131,
             "report": {"used": [1.0, 0.5], "purity": [0.28, 0.04]}},
            {"name": "none", "tokenizer": "random", "items": 400, "new": 400, "collisions": 0.0,
             "report": {"used": [1.0], "purity": None}}],
        "baseline": "lightgcn", "selection": "recall@20", "selected": "alpharec", "models": runs,
        "summary": [summed([run for run in runs if run["name"] == model[0]]) for model in MODELS],
        "intervals": intervals,
        "profiles": [
            {"kind": "item", "id": "b001", "recipe": "rlmrec.item", **profile, "source": book, "history": []},
            {"kind": "user", "id": "r0001", "recipe": "rlmrec.user", **profile, "source": {}, "history": TITLES * 2}],
        "recommendations": [{"user_id": user, "model": model, "history": READ, "items": items}
                            for user in ("r0001", "r0002") for model in ("alpharec", "lightgcn")],
        "seconds": {"ingest": 0.21, "split": 0.12, "plan": 0.4, "generate": 1.9, "encode": 14.6, "materialize": 1.3,
                    "train": 46.8, "evaluate": 3.2, "recommend": 0.5, "report": 1.1},
        "asked": 1900, "cached": 0, "rejected": 3, "encoded": 2297, "cost_usd": 0.0,
        "tables": [{"name": "profiles", "version": 0, "rows": 1897},
                   {"name": "embeddings", "version": 0, "rows": 2297}],
    }  # fmt: skip


class Page(HTMLParser):
    """Checks nesting, and keeps ids, visible text and every attribute that could fetch or run something."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.cells: list[list[str]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in INLINE:
            self.text.append(" ")
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element at {self.getpos()}"

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text.append(data)
        if self.cells and ("td" in self.open or "th" in self.open):
            self.cells[-1][-1] += data

    def row(self, start: str) -> list[str]:
        """The first table row whose first cell starts so, white space folded."""
        folded = [[" ".join(cell.split()) for cell in row] for row in self.cells]
        return next(row for row in folded if row and row[0].startswith(start))

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


def hostile(value: Any, key: str = "") -> Any:
    """The report with every text replaced; names that sections are joined by are replaced alike, so they still join."""
    if isinstance(value, dict):
        return {
            name: part if name in ("ds", "selection", "metric") else hostile(part, name) for name, part in value.items()
        }
    if isinstance(value, list):
        return [hostile(part, key) for part in value]
    return HOSTILE + value if isinstance(value, str) else value


def outside(page: Page) -> list[tuple[str, str]]:
    """What the page would fetch, run or leave for: anything but links to its own sections and plain relative paths."""
    links = [
        (name, value)
        for name, value in page.attributes
        if name in ("src", "href", "srcset", "action", "data", "xlink:href")
    ]
    handlers = [(name, value) for name, value in page.attributes if name.startswith("on")]
    safe = re.compile(r"#[\w-]+|data:,|[\w./-]+")
    return handlers + [(name, value) for name, value in links if not safe.fullmatch(value)]


def without(report: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key not in keys}


@pytest.fixture(scope="module")
def rendered() -> str:
    return render(example())


def test_every_section_has_a_heading_and_is_linked(rendered):
    page = Page(rendered)
    assert [id for id in page.ids if id in SECTIONS] == SECTIONS
    assert page.tags.count("h1") == 1
    assert page.tags.count("h2") == len(SECTIONS)
    assert all(("href", f"#{id}") in page.attributes for id in SECTIONS)
    assert len(page.ids) == len(set(page.ids)), "an id is used twice"


def test_tables_have_captions_and_scopes_and_charts_a_label(rendered):
    page = Page(rendered)
    assert page.tags.count("table") == page.tags.count("caption") > 8
    assert "<th>" not in rendered
    assert (
        rendered.count("<svg ") == rendered.count('role="img" aria-label="') == 2 + 5 + 1
    )  # lifts, models with epochs, and a field over the nights


def test_verdict_says_model_metrics_lift_interval_and_significance(rendered):
    report = example()
    test = next(row for row in report["summary"] if row["name"] == "alpharec")["test"]
    words = Page(rendered).words
    assert f"alpharec is best on validation. On test: Recall@20 {test['recall@20']['mean']:.4f}" in words
    assert f"NDCG@20 {test['ndcg@20']['mean']:.4f}" in words
    assert "lift over lightgcn +0.0176 Recall@20 (+10.9 %), 95 % interval +0.0115 to +0.0235, significant." in words


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"intervals": [interval("alpharec", "recall@20", 0.001)]}, "−0.0051 to +0.0069, not significant."),
        ({"intervals": [interval("alpharec", "recall@20", -0.02)]}, "−0.0261 to −0.0141, significantly worse."),
        ({"intervals": [interval("alpharec", "recall@20", math.nan)]}, "Its lift over lightgcn was not measured."),
        ({"intervals": None}, "Its lift over lightgcn was not measured."),
        ({"selected": "lightgcn"}, "It is the baseline itself"),
        ({"selected": None}, "No model was trained in this run."),
        ({"summary": []}, "No model was trained in this run."),
    ],
)  # fmt: skip
def test_verdict_in_other_nights(changes, expected):
    assert expected in Page(render({**example(), **changes})).words


def test_verdict_follows_the_metric_that_models_were_chosen_by_when_recall_has_no_interval():
    words = Page(
        render({**example(), "selection": "ndcg@10", "intervals": [interval("alpharec", "ndcg@10", 0.02)]})
    ).words
    assert "lift over lightgcn +0.0200 NDCG@10" in words


def test_key_numbers(rendered):
    words = Page(rendered).words
    assert "Asked 1,900 Cached 0 Rejected 3 Texts encoded 2,297 Cost $0.00 Time 70.1 s" in words


def test_comparison_has_mean_deviation_and_lift_and_controls_stand_under_their_model(rendered):
    page = Page(rendered)
    summary = next(row for row in example()["summary"] if row["name"] == "lightgcn+con")
    valid = summary["valid"]["recall@20"]
    row = page.row("lightgcn+con")
    assert row[1] == f"{valid['mean']:.4f}± {valid['std']:.4f}"
    assert row[-1] == "+0.0091+0.0030 to +0.0150"
    firsts = [cells[0].split()[0] for cells in page.cells if cells and cells[0].split()]
    assert firsts[firsts.index("alpharec") + 1] == "alpharec-shuffled"
    assert "control of alpharec" in page.row("alpharec-shuffled")[0]
    assert "±" not in page.row("popularity")[1]  # one seed has no deviation


def test_ordered_keeps_controls_whose_model_is_not_there():
    names = [("a-control", "a"), ("lost", "gone"), ("b", None), ("a", None)]
    report = {"summary": [{"name": name, "control_of": other} for name, other in names]}
    assert [row["name"] for row in sections.ordered(report)] == ["b", "a", "a-control", "lost"]


def test_best_of_a_column_is_the_highest_mean_but_coverage_has_none():
    low, high = ({"test": {"recall@20": {"mean": mean}, "coverage@20": {"mean": mean}}} for mean in (0.1, 0.2))
    broken = {"test": {"recall@20": {"mean": math.nan}}}
    assert [sections.is_best([low, high, broken], row, "test", "recall@20") for row in (low, high, broken)] == [
        False,
        True,
        False,
    ]
    assert not sections.is_best([low, high], high, "test", "coverage@20")


def test_slices_are_in_a_fixed_order_and_show_two_metrics():
    scores = {metric: {"mean": 0.1} for metric in ("mrr@20", "recall@20", "ndcg@20", "recall@5")}
    summary = [{"slices": {name: {**scores, "users": 7} for name in ("few x", "other", "tail", "cold items")}}]
    found = sections.slices_of(summary, ["recall@20", "ndcg@20"])
    assert list(found) == ["cold items", "tail", "few x", "other"]
    assert found["tail"] == {"metrics": ["recall@20", "ndcg@20"], "users": 7}
    assert sections.slices_of(summary, ["hr@5"])["tail"]["metrics"] == ["recall@20", "ndcg@20"]


def test_slices_profiles_gates_rejects_and_lists_are_shown(rendered):
    words = Page(rendered).words
    for expected in [
        "cold items 112 users", "tail items 704 users", "many interactions 691 users", "99.8 %",
        "user r0412: summarization is empty",
        "✓ pass column values to not be null text at least 99 % 0 of 1,897 null", "All 8 data expectations passed.",
        "title Dracula author Bram Stoker", "slow dread, old houses", "and 12 more", "The Castle of Otranto",
        "Dracula 2.91", "infra/runs/sample.toml", "ab12f09c77d1e3b4", "rlmrec.item/summarization@all-MiniLM-L6-v2",
        "17,600 train, 2,200 valid, 2,200 test", "7 interactions were dropped", "train 46.8",
    ]:  # fmt: skip
        assert expected in words, expected


def test_list_stops_at_ten(rendered):
    assert f"{TITLES[9]} 1.38" in Page(rendered).words
    assert f"{TITLES[10]} 1.21" not in Page(rendered).words


def test_simulated_is_said_where_readers_are_shown_and_only_then(rendered):
    assert Page(rendered).words.count("Simulated reader") >= 6
    plain = render({**example(), "simulated": False})
    assert "imulated" not in Page(plain).words
    assert "User r0001" in Page(plain).words


def test_semantic_ids_are_shown_with_what_is_known_of_them(rendered):
    page = Page(rendered)
    shown = [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in page.row("rq")]
    assert shown[1:] == ["rq_kmeans", "400", "12", "100.0 % 50.0 %", "13.1 %", "28.0 % 4.0 %"]
    assert page.row("none")[-1] == ""


def test_failed_gate_is_said_at_the_top():
    words = Page(render({**example(), "gates": [gate("profiles", failing=True), gate("embeddings")]})).words
    top, _, rest = words.partition("Asked")
    assert "1 of 8 data expectations failed; the version before stays live of profiles" in top
    assert "✗ fail coverage of asked entities id at least 90 % 71.2 %" in rest


def test_edges_generated_items_partitions_and_what_objectives_say_are_shown():
    report = copy.deepcopy(example())
    report["generation"] |= {
        "edges": [{"recipe": "llmrec.edges", "liked": 1200, "disliked": 1199, "users": 1200}],
        "generated": [{"recipe": "once.generate", "status": "fuzzy", "count": 50, "share": 0.25}],
        "partitions": [{"recipe": "liber.partition", "partitions": 1047, "users": 612, "longest": 10}],
    }
    report["models"][0] |= {
        "report": {"autograph": {"user.used": [1.0, 0.5], "user.largest": 6}},
        "features": {"item": ["title", "kar.item/summary"], "user": "mean", "edges": ["llmrec.edges"], "pca": 64},
    }
    page = render(report)
    for said in ("2,399", "fuzzy in the catalogue", "25.0", "at most 10 per user", "user.used", "1, 0.5"):
        assert said in page, said
    assert "item text: title + kar.item/summary · user text: mean · edges: llmrec.edges · pca 64" in page


def test_quality_of_answers_shows_every_field_and_marks_what_is_over(rendered):
    page = Page(rendered)
    row = page.row("rlmrec.usersummarization")
    assert row[:4] == ["rlmrec.usersummarization", "99.8 %1,497 of 1,500", "✗ 91.0 %≤ 20.0 %", "83.0 %≤ 100.0 %"]
    assert row[4:] == ["en 99.0 %, it 0.4 %", "0.4 %≤ 10.0 %", "3120 to 44", "2.0 %", "12.5 %≤ 20.0 %"]
    assert page.row("rlmrec.itemsummarization")[2:] == ["1.0 %≤ 20.0 %", *["–"] * 6]
    drift = next(cells for cells in page.cells if cells[-1] == "since 2026-11-15")
    assert [" ".join(cell.split()) for cell in drift[1:5]] == [
        "93.0 %",
        "0.0 %≤ 10.0 %",
        "7.0 %≤ 50.0 %",
        "✗ 0.61≤ 0.50",
    ]
    assert "2 figures above the threshold" in page.words
    assert "1,242 r1, r2, … This reader enjoys stories" in page.words
    assert "jane eyre 1 r9 This reader" in page.words
    assert "rlmrec.user/summarization over 3 nights; last: coverage 99.0%, near-duplicates 91.0%" in rendered


def test_a_first_night_has_nothing_to_compare_with_and_no_chart():
    report = example()
    report["answers"] |= {"compared_with": None, "nights": report["answers"]["nights"][-1:]}
    page = render(report)
    assert "There is no earlier night to compare with." in Page(page).words
    assert page.count("<svg ") == 2 + 5


def test_hostile_text_is_shown_and_never_runs():
    report = hostile(example())
    report["gates"][0]["data_docs"] = "java\tscript:alert(1)"
    report["gates"][1]["data_docs"] = "//evil.example/x"
    text = render(report)
    page = Page(text)
    assert not {"script", "iframe", "object", "img"} & set(page.tags)
    assert outside(page) == []
    assert "alert(1)</script>" not in text
    assert page.words.count("<script>alert(1)</script><img src=x onerror=alert(2)>") > 50
    assert "{{ 7*7 }}" in page.words
    assert text.count("<svg ") == 2 + 5 + 1  # the charts are drawn with the hostile names as well
    assert text.count("</style>") == 1


def test_a_title_cannot_turn_the_direction_of_our_own_words():
    text = render(hostile(example()))
    assert not {"\u202e", "\x00"} & set(text)
    assert "line one\nline two" in render({"name": "n", "ds": "d", "profiles": [{"text": "line one\nline two"}]})


def test_half_a_surrogate_pair_can_be_written():
    profile = {"kind": "item", "id": "b1", "text": "torn \ud83d emoji"}
    assert "torn ? emoji" in render({"name": "n", "ds": "2026-11-22", "profiles": [profile]}).encode().decode()


@pytest.mark.parametrize("key", sorted(set(example()) - {"name", "ds"}))
def test_any_part_may_be_missing_or_empty(key):
    whole = example()
    small = {**whole, "models": [without(run, "history") for run in whole["models"]]}  # fewer charts: it is fast
    small["intervals"] = [row for row in whole["intervals"] if row["metric"] == "recall@20"]
    for report in (without(small, key), {**small, key: type(whole[key])()}):
        assert [id for id in Page(render(report)).ids if id in SECTIONS] == SECTIONS


def test_every_part_may_be_null():
    page = Page(render({**dict.fromkeys(example()), "name": "n", "ds": "d"}))
    assert page.words == Page(render({"name": "n", "ds": "d"})).words


def test_nothing_but_a_name_renders_with_a_sentence_per_section():
    page = Page(render({"name": "night-one", "ds": "2026-11-22"}))
    for expected in ["No model was trained", "No intervals", "No slices", "No recipe ran", "Nothing was rejected",
                     "No answers were measured",
                     "No table was checked", "No profiles", "No recommendations", "No times"]:  # fmt: skip
        assert expected in page.words, expected
    assert "Asked – Cached – Rejected – Texts encoded – Cost – Time –" in page.words


def test_rows_with_missing_fields_render():
    rows = {"models": [{}], "summary": [{}, {"name": "m"}, {"name": "n", "slices": {"cold": None}}], "intervals": [{}]}
    rows |= {"answers": {"fields": [{}, {"recipe": "r"}], "examples": [{}], "nights": [{}]}}
    empty = ("rejects", "gates", "embeddings", "semantic_ids", "profiles", "recommendations", "tables")
    rows |= {key: [{}] for key in empty}
    page = Page(render({"name": "n", "ds": "d", "generation": {"recipes": [{}]}, "selected": "m", **rows}))
    assert page.row("m")[1:] == ["–", "–"]


def test_name_and_ds_are_needed():
    with pytest.raises(KeyError, match="ds"):
        render({"name": "sample"})


def test_page_needs_nothing_from_outside(rendered):
    page = Page(rendered)
    assert outside(page) == []
    assert not re.search(r"https?:|@import|url\((?!#)", rendered)
    assert "script" not in page.tags


def test_same_report_same_bytes(rendered):
    assert render(copy.deepcopy(example())) == rendered
    assert render(json.loads(json.dumps(example()))) == rendered


def test_charts_take_their_colours_from_the_page(rendered):
    drawn = "".join(re.findall(r"<svg .*?</svg>", rendered, flags=re.DOTALL))
    assert re.findall(r"#[0-9a-fA-F]{6}\b", drawn) == []
    assert "currentColor" in drawn
    assert "var(--accent)" in drawn
    assert ">lightgcn+con</text>" in drawn  # text stays text


def test_lift_chart_marks_controls_and_intervals_across_zero():
    rows = [
        interval("better", "recall@20", 0.02),
        interval("unclear", "recall@20", 0.0),
        interval("control", "recall@20", 0.02),
    ]
    drawn = charts.lift_chart(rows, {"control"}, "difference", "label")
    uses = re.findall(r'<use [^>]*style="fill: ([^;]*); stroke: ([^;]*); stroke-width: 1.6"', drawn)
    assert uses == [("var(--accent)",) * 2, ("var(--muted)",) * 2, ("var(--paper)", "var(--accent)")]


def test_curve_skips_what_is_no_number():
    history = [{"epoch": 1, "valid": None}, {"epoch": 2, "valid": 0.1}, {"epoch": 3, "valid": math.nan}, {"epoch": 4}]
    page = render({"name": "n", "ds": "d", "models": [{"name": "m", "history": history}]})
    assert page.count("<svg ") == 1
    assert "nan" not in "".join(re.findall(r"<svg .*?</svg>", page, flags=re.DOTALL))


def test_importing_and_rendering_nothing_draws_without_matplotlib():
    code = """
import sys
from pipelines.report.html import render
print("jinja2" in sys.modules)
render({"name": "n", "ds": "d"})
print("matplotlib" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (number("{:+.4f}")(-0.01), "−0.0100"),
        (number("{:,.0f}")(None), "–"),
        (number("{:,.0f}")(True), "–"),
        (number("{:.1f} %", 100)(0.998), "99.8 %"),
        (probability(0.0004), "<0.001"),
        (probability(0.05), "0.050"),
        (dollars(0.004), "$0.0040"),
        (dollars(1234.5), "$1,234.50"),
        (duration(99.94), "99.9\N{NO-BREAK SPACE}s"),
        (duration(125.4), "2 min 05 s"),
        (link("data_docs/index.html"), "data_docs/index.html"),
        (link("javascript:alert(1)"), None),
        (link("//host/x"), None),
        (link(None), None),
    ],
)
def test_filters(written, expected):
    assert written == expected


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"]
MEASURE = """<!DOCTYPE html><iframe id="page" style="border: 0; width: 390px; height: 844px" srcdoc="{page}"></iframe>
<p id="result"></p><script>
document.getElementById("page").onload = (event) => {{
  const inner = event.target.contentDocument.documentElement;
  document.getElementById("result").textContent = `width ${{inner.scrollWidth}} of ${{inner.clientWidth}}`;
}};
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open the page with")
@pytest.mark.parametrize(
    "report", [example(), hostile(example()), {"name": "n", "ds": "d"}], ids=["real", "hostile", "empty"]
)
def test_page_in_a_browser_has_no_console_error_and_fits_a_phone(report, tmp_path):
    file = tmp_path / "phone.html"
    file.write_text(MEASURE.format(page=html.escape(render(report))), encoding="utf-8")
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "width 390 of 390" in done.stdout or "width 375 of 375" in done.stdout  # 15 px of scroll bar on some systems
    assert "CONSOLE" not in done.stderr
