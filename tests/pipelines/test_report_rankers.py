"""The report's sections on given candidates and on language models that rank, from reports that are made up."""

import copy
import math

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from pipelines.report import rankers
from pipelines.report.html import render
from tests.pipelines.test_report_html import Page, example, hostile, outside, without

METRICS = {"hr@1(top20)": 0.2, "hr@5(top20)": 0.4, "ndcg@1(top20)": 0.2, "ndcg@5(top20)": 0.31, "mrr(top20)": 0.3}
ALONE = {f"{name[:-1]}, retrieved alone)": 2 * value for name, value in METRICS.items()}
PLACES = [{"shown": "1", "mrr": 0.9, "users": 11}, {"shown": "2", "mrr": 0.1, "users": 9}]
TOLD = {
    "users": 200, "fallback_users": 3, "questions": 600, "asked": 590, "cached": 10, "unanswered": 2, "unparsable": 4,
    "cost_usd": 0.42, "expected_cost_per_1000_users": 2.05, "cost_per_1000_users": 2.1,
    "reasons": {"no_json": 4, "refused": 2}, "grounding": {"index": 900, "fuzzy": 40, "none": 60},
    "first_by_place": [0.7, 0.2, 0.1], "first_by_place_p": 0.0001, "position_bias": 0.41, "answers_follow_prompt": 0.5,
    "popularity_top1": 0.8, "popularity_top5": 0.7, "popularity_candidates": 0.5,
}  # fmt: skip


def spread(values):
    return {name: {"mean": value, "std": 0.01} for name, value in values.items()}


def row(name, control_of=None):
    popularity = spread({"first": 31.0, "candidates": 12.5})
    metrics = {**spread({**METRICS, **ALONE}), "retrieved(top20)": {"mean": 0.5, "std": 0.0}}
    return {"name": name, "control_of": control_of, "seeds": 1, "metrics": metrics, "popularity": popularity}


def judged():
    interval = {"baseline": "lightgcn", "metric": "ndcg@5(top20)", "difference": 0.03, "low": 0.01, "high": 0.05}
    candidates = {
        "label": "top 20 of lightgcn, truth not inserted", "tag": "top20", "ks": [1, 5], "users": 200,
        "retrieved": 0.5, "length": 20, "summary": [row("popularity"), row("alpharec"), row("lightgcn")],
        "intervals": [{"name": "alpharec", **interval}],
        "results": [{"name": "alpharec", "seed": 1, "places": PLACES}, {"name": "popularity", "seed": 1}],
    }  # fmt: skip
    told = [{"name": "alpharec", "seed": 1, "valid": {}, "test": TOLD, "candidates": TOLD}]
    return {**example(), "candidates": candidates, "told": told}


def test_the_table_is_labelled_and_has_lift_and_popularity():
    page = Page(render(judged()))
    assert {"candidates", "rankers"} <= set(page.ids)
    words = page.words.replace("\N{NO-BREAK SPACE}", " ")
    assert "top 20 of lightgcn, truth not inserted; 200 users" in words
    assert "among the candidates of 50.0 % of them" in words
    assert "that of all candidates is 12.5" in words
    rows = [[" ".join(cell.split()) for cell in row] for row in page.cells]
    head = next(row for row in rows if "HR@1(top20)" in row)
    assert head[:-2] == ["Model", "HR@1(top20)", "HR@5(top20)", "NDCG@5(top20)", "MRR(top20)"]
    table = rows[rows.index(head) + 1 :][:3]
    assert [row[0].split()[0] for row in table] == ["lightgcn", "alpharec", "popularity"], "the order of all tables"
    assert table[1][1:] == ["0.2000", "0.4000", "0.3100", "0.3000", "+0.0300+0.0100 to +0.0500", "31.0"]
    assert table[2][-2] == "–"
    alone = next(row for row in rows[rows.index(head) + 1 :] if "HR@5(top20)" in row)
    assert rows[rows.index(alone) + 1][2] == "0.8000"


def test_a_language_models_questions_costs_and_probes_are_shown():
    page = Page(render(judged()))
    rows = [[" ".join(cell.replace("\N{NO-BREAK SPACE}", " ").split()) for cell in row] for row in page.cells]
    asked = next(row for row in rows if row[0] == "alpharectest, given candidates" and "590" in row)
    assert asked[1:9] == ["200", "590", "10", "2", "4", "$0.42", "$2.05", "$2.10"]
    assert asked[9] == "fallback users 3, questions 600, reasons (no json 4, refused 2)"
    probes = next(row for row in rows if "0.41" in row)
    assert probes[1:] == ["0.41", "0.50", "<0.001", "80.0 %", "70.0 %", "50.0 %"]
    plain, more = render(example()), render(judged())
    assert more.count("<svg ") - plain.count("<svg ") == 3, "places of the truth, and places put first in two phases"
    assert "1: 0.900 of 11 users; 2: 0.100 of 9 users" in more


@pytest.mark.parametrize(("none", "alarm"), [(60, True), (49, False)])
def test_more_than_a_twentieth_that_is_nothing_known_is_an_alarm(none, alarm):
    report = judged()
    report["told"][0]["test"] = {**TOLD, "grounding": {"index": 940, "none": none}}
    report["told"][0]["candidates"] = {}
    page = render(report)
    section = page.partition('<section id="rankers"')[2].partition("</section>")[0]
    assert ('<b class="fail">✗' in section) == alarm
    (row,) = rankers.said(report)
    assert row.grounding[-1][0] == "none"
    assert row.unknown == pytest.approx(none / (940 + none))


def test_nothing_of_it_is_there_where_nothing_was_judged():
    for report in (example(), {**example(), "candidates": {}, "told": []}, {**example(), "candidates": None}):
        page = render(report)
        assert 'id="candidates"' not in page
        assert 'id="rankers"' not in page
        assert "#candidates" not in page


def test_hostile_names_are_escaped_and_nothing_is_fetched():
    page = render(hostile(judged()))
    assert "<script>alert" not in page
    assert outside(Page(page)) == []


@pytest.mark.parametrize("part", ["label", "tag", "ks", "users", "retrieved", "summary", "intervals", "results"])
def test_parts_that_are_missing_or_no_numbers_break_nothing(part):
    report = copy.deepcopy(without(judged(), "models", "intervals", "answers"))  # fewer charts to draw
    report["candidates"] = without(report["candidates"], part)
    Page(render(report))
    report["candidates"][part] = None
    report["candidates"].setdefault("intervals", None)
    report["told"] = [{"name": "x", "seed": None, "test": {"asked": None, "grounding": {"none": math.nan}}}, {}]
    Page(render(report))


def test_seeds_are_told_apart_where_there_are_several():
    told = [{"name": "a", "seed": seed, "test": {"asked": 1}} for seed in (1, 2)]
    assert [row.name for row in rankers.said({"told": told})] == ["a, seed 1", "a, seed 2"]
