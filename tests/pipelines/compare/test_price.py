"""Dollars: what was paid to the cent, else tokens at a listed price, else unknown."""

import polars as pl
import pytest

from language_models.ledger import Call, Ledger
from language_models.tokens import estimate_tokens, prompt_tokens
from pipelines.compare.cells import make_cells
from pipelines.compare.price import SAMPLE, costs, per_lift, recipes_of, total
from pipelines.night import open_night
from schemas.records import Completion, Prompt
from schemas.run import load_run
from schemas.sections import Features
from tests.support.compare_world import RUN
from tests.support.prompts import SCHEMA

DS = "2026-01-01"
READS = Features(item="rlmrec.item/summarization")
ANSWER = '{"summarization": "People who enjoy tests."}'


def prompt(n: int) -> Prompt:
    return Prompt("rlmrec.item", "1", "item", f"b{n}", "Describe the book.", f'{{"title": "Book {n}"}}', SCHEMA)


def completion(key: str, model: str, given: int, written: int, dollars: float) -> Completion:
    return Completion(key, ANSWER, "stop", given, written, dollars, model, 0.1)


@pytest.fixture
def night(tmp_path):
    """A night whose ledger has `count` answers, each of the model, tokens and dollars that `paid(n)` gives."""

    def make(paid, count=3, run=RUN, engine="openai", asked=None):
        (tmp_path / "run.toml").write_text(run)
        night = open_night(load_run(tmp_path / "run.toml"), DS)
        keys = [f"{n:064x}" for n in range(count)]
        with Ledger(night.ledger, DS) as ledger:
            ledger.lease([Call(key, prompt(n), engine, "asked-model") for n, key in enumerate(keys)])
            ledger.respond([completion(key, *paid(n)) for n, key in enumerate(keys)])
        rows = [
            {"recipe": "rlmrec.item", "version": "1", "kind": "item", "id": f"b{n}", "part": 0, "key": key}
            | {"source_ids": [], "split_id": "s", "max_time": None}
            for n, key in enumerate([*keys, *(asked or ())])
        ]
        night.publish("prompts", pl.DataFrame(rows, schema_overrides={"source_ids": pl.List(pl.String)}))
        return night

    return make


def cost(night):
    return costs(night, make_cells(night.run))["rlmrec.item"]


def test_what_was_paid_is_summed_over_all_calls(night) -> None:
    found = cost(night(lambda n: ("gpt-4o", 100, 10, 0.001 * (n + 1)), count=SAMPLE + 20))
    assert found.usd == pytest.approx(sum(0.001 * (n + 1) for n in range(SAMPLE + 20)))
    assert (found.basis, found.calls) == ("paid", SAMPLE + 20)


def test_counted_tokens_at_the_price_of_the_model_that_answered(night) -> None:
    found = cost(night(lambda n: ("gpt-4o-mini-2024-07-18", 1000, 100, 0.0)))
    assert found.usd == pytest.approx(3 * (1000 * 0.15 + 100 * 0.60) / 1e6)
    assert (found.basis, found.model, found.calls) == ("counted", "gpt-4o-mini-2024-07-18", 3)


def test_tokens_are_estimated_where_nobody_has_counted(night) -> None:
    found = cost(night(lambda n: ("gpt-4o-mini", 0, 0, 0.0), engine="recorded"))
    given = sum(prompt_tokens(prompt(n)) for n in range(3))
    assert found.usd == pytest.approx((given * 0.15 + 3 * estimate_tokens(ANSWER) * 0.60) / 1e6)
    assert found.basis == "estimated"


def test_a_sample_stands_for_all_calls(night) -> None:
    found = cost(night(lambda n: ("gpt-4o-mini", 1000, 0, 0.0), count=2 * SAMPLE))
    assert found.usd == pytest.approx(2 * SAMPLE * 1000 * 0.15 / 1e6)
    assert (found.sampled, found.calls) == (SAMPLE, 2 * SAMPLE)


def test_a_stand_in_counts_only_where_the_model_has_no_price(night) -> None:
    assert cost(night(lambda n: ("somebody's model", 1000, 0, 0.0))).model == "gpt-4o-mini"  # compare.price_model


def test_an_unknown_price_is_null_and_not_zero(night) -> None:
    made = night(lambda n: ("somebody's model", 1000, 10, 0.0), run=RUN.replace('price_model = "gpt-4o-mini"\n', ""))
    assert cost(made).usd is None
    assert total({"rlmrec.item": cost(made)}, READS) is None


def test_the_run_files_own_price_goes_first(night) -> None:
    own = "[llm]\nusd_per_million_input = 2.0\n[compare]"
    found = cost(night(lambda n: ("somebody's model", 1000, 10, 0.0), run=RUN.replace("[compare]", own)))
    assert found.usd == pytest.approx(3 * 1000 * 2.0 / 1e6)


def test_a_ledger_without_the_calls_is_unknown(night) -> None:
    assert cost(night(lambda n: ("gpt-4o-mini", 1, 1, 0.0), count=0, asked=["f" * 64])).usd is None


def test_columns_cost_nothing_and_recipes_what_they_need_as_well() -> None:
    assert total({}, Features(item="title")) == 0.0
    assert total({}, None) == 0.0
    assert recipes_of(Features(item="title", edges=("once.generate",)))[0] == "once.generate"
    assert recipes_of(Features(item="rlmrec.item/summarization", user="rlmrec.user/summarization")) == [
        "rlmrec.item",
        "rlmrec.user",
    ]


def test_dollars_of_a_point_and_none_without_a_sure_lift() -> None:
    assert per_lift(0.5, 0.02, 0.01) == pytest.approx(0.25)  # $0.50 for two points
    assert per_lift(0.5, 0.02, 0.0) is None
    assert per_lift(None, 0.02, 0.01) is None
    assert per_lift(0.0, 0.02, 0.01) == 0.0
