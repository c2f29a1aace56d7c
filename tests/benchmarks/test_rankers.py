"""The rankers benchmark's own parts: the reader knows train alone, and the table and its marks read the records."""

import json

import numpy as np
import pytest

from benchmarks.rankers import nights
from benchmarks.rankers.positions import RUN, Rehearsal, compared, told_of, written
from benchmarks.rankers.reader import Reading, Shape, make_reader, make_tokenizer, texts_of, untrained, wording
from benchmarks.rankers.scenarios import SCENARIOS
from features.instructions.titles import unique_titles
from features.instructions.wording import LETTERS, pick_letter
from language_models.tuning.answers import answer_ids
from language_models.tuning.model import TunableModel
from schemas.run import load_run
from tests.support.planted import planted

SMALL = Shape(hidden=32, layers=1, heads=2, context=256, vocabulary=600)


def test_texts_are_the_histories_of_train():
    corpus = planted()
    titles = unique_titles(corpus.items)
    texts = texts_of(corpus, titles)
    assert len(texts) == corpus.num_users
    held_out = {(user, item) for part in (corpus.valid, corpus.test) for user, item in part.edges.T.tolist()}
    known = {(user, item) for user, item in corpus.train.edges.T.tolist()}
    for user, text in enumerate(texts):
        assert all(f'"{titles[item]}"' in text for owner, item in known if owner == user)
        assert not any(f'"{titles[item]}"' in text for owner, item in held_out if owner == user)


def test_a_reader_is_the_same_again_and_learns_titles(tmp_path):
    corpus, reading = planted(), Reading(epochs=4, batch_size=16, learning_rate=1e-2)
    told = [make_reader(corpus, tmp_path / name, "book", SMALL, reading) for name in "ab"]
    assert told[0]["losses"] == told[1]["losses"]
    assert told[0]["losses"][-1] < 0.8 * told[0]["losses"][0]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]


def test_a_reader_can_answer_with_every_letter(tmp_path):
    corpus = planted()
    titles = unique_titles(corpus.items)
    tokenizer = make_tokenizer([*titles, *wording(titles[:20], "book") * 50], SMALL.vocabulary)
    assert tokenizer.decode(tokenizer('Ünwörter; "A"\n\nB').input_ids) == 'Ünwörter; "A"\n\nB'
    model = TunableModel(tokenizer, untrained(len(tokenizer), SMALL), None, ())
    worded = pick_letter(titles[:3], titles[:20], noun="book")
    prompt = model.chat(worded.system, worded.user)
    assert len(set(answer_ids(model, prompt, LETTERS[:20]))) == 20
    assert len(set(answer_ids(model, prompt, ("Yes", "No")))) == 2


@pytest.fixture
def night(tmp_path):
    """The records of a night of the short run file, whose rerankers keep what they were given."""
    run = load_run(nights.RUNS / "check.toml")
    recall = {"popularity": 0.1, "item_knn": 0.3, "llmrank": 0.3, "tallrec": 0.3, "llamarec": 0.3}
    mrr = {"popularity": 0.4, "item_knn": 0.5, "llmrank": 0.2, "tallrec": 0.3, "llamarec": 0.1}
    test = dict.fromkeys((*nights.FULL, "recall@20"))
    told = {
        "users": 200,
        "drawn_from": 1500,
        "results": [
            {"name": name, "seconds": 2.0, "test": dict.fromkeys(test, value)} for name, value in recall.items()
        ],
        "intervals": [
            {"name": "tallrec", "baseline": "item_knn", "metric": "ndcg@10", "difference": -0.1, "low": -0.2, "high": 0}
        ],
        "candidates": {
            "label": "1 truth + 19 uniform negatives",
            "tag": "+19",
            "users": 200,
            "length": 20,
            "intervals": [],
            "results": [
                {"name": name, "metrics": {"mrr(+19)": value, "hr@5(+19)": 0.9}} for name, value in mrr.items()
            ],
        },
    }
    (tmp_path / "steps").mkdir()
    return run, told, {"folder": str(tmp_path)}, tmp_path / "steps" / "evaluate.json"


def test_the_table_has_every_model_and_its_marks_hold(night):
    run, told, summary, file = night
    file.write_text(json.dumps(told))
    found = {figure.what: figure for figure in nights.table(run, summary)}
    assert all(figure.passed for figure in found.values())
    assert found["tallrec"].found == "recall@10 0.3000, ndcg@10 0.3000, mrr(+19) 0.300; fitted in 2 s"
    assert "1 truth + 19 uniform negatives" in found["protocol"].found
    assert found["tallrec over item_knn, ndcg@10"].found == "-0.1000 [-0.2000, +0.0000]"


def test_a_reranker_that_loses_a_candidate_falls_short(night):
    run, told, summary, file = night
    told["results"][3]["test"]["recall@20"] = 0.295
    file.write_text(json.dumps(told))
    short = [figure.what for figure in nights.table(run, summary) if not figure.passed]
    assert short == ["tallrec: recall@20 apart from that of item_knn"]


def test_a_tuned_model_at_chance_falls_short(night):
    run, told, _, _ = night
    chance, lists = np.mean([1 / place for place in range(1, 21)]), told["candidates"]
    found = nights.above_chance(run, lists)
    assert (found.found, found.passed) == (f"{0.3 / chance:.4g}", True)
    lists["results"][3]["metrics"]["mrr(+19)"] = chance
    assert not nights.above_chance(run, lists).passed


def rehearsal(bias: float, bootstrap: int, **changed) -> Rehearsal:
    kept = bias if bootstrap == 1 else bias / 2
    told = {
        "asked": 200 * bootstrap,
        "first_by_place": [0.81 if bias else 0.05],
        "first_by_place_p": 0.0 if bias else 0.4,
        "position_bias": kept,
        "answers_follow_prompt": bias,
        "cost_per_1000_users": 1.0,
        "expected_cost_per_1000_users": 1.0,
    }
    paid, phases = 400 * bootstrap, {"valid": told, "test": told}
    given = {"users": 200, "told": phases, "paid": paid + 419, "profiles": 419, "cost": 1.0, "charged": 1.0}
    return Rehearsal(**{**given, "again": 0, "cached": 200 * bootstrap, **changed})


def test_marks_of_calls_cost_and_places():
    kept = {(bias, times): rehearsal(bias, times) for bias in (0.0, 0.8) for times in (1, 3)}
    figures = [figure for (bias, times), night in kept.items() for figure in told_of(night, bias, times)]
    assert all(figure.passed for figure in [*figures, *compared(kept)])
    for wrong in ({"paid": 820}, {"charged": 1.01}, {"again": 1}, {"cached": 199}):
        assert sum(not figure.passed for figure in told_of(rehearsal(0.0, 1, **wrong), 0.0, 1)) == 1
    assert sum(not figure.passed for figure in told_of(rehearsal(0.8, 1), 0.0, 1)) == 2  # a bias that was not planted
    kept[0.8, 3] = rehearsal(0.8, 1)
    assert [figure.passed for figure in compared(kept)] == [True, True, False]


def test_the_run_file_at_another_address(tmp_path):
    class Endpoint:
        url = "http://127.0.0.1:1/v1"

    run = load_run(written(tmp_path, Endpoint(), 3))
    assert run.llm.base_url == Endpoint.url
    assert run.models[1].options["bootstrap"] == 3
    assert run.lake == str(tmp_path / "lake")
    assert run.data.path == load_run(RUN).data.path


def test_everything_has_a_short_form():
    assert {each.name for each in SCENARIOS if each.check} == {"llmrank", "tuned"}
