"""Token estimates and costs against numbers worked out by hand."""

import pytest

from language_models.prices import cost_usd, estimate_tokens, prompt_tokens, reserve_usd
from schemas.run import Llm
from tests.support.prompts import make_prompt

PAID = Llm(engine="openai", model="m", usd_per_million_input=2.0, usd_per_million_output=10.0, max_output_tokens=1000)


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("abcd", 1), ("abcde", 2), ("日本", 2)])
def test_four_bytes_are_a_token(text, tokens):
    assert estimate_tokens(text) == tokens


def test_cost_is_tokens_times_price():
    assert cost_usd(500_000, 100_000, PAID) == pytest.approx(1.0 + 1.0)


def test_a_reservation_allows_the_longest_answer():
    prompt = make_prompt("1")
    assert reserve_usd(prompt, PAID) == pytest.approx((prompt_tokens(prompt) * 2.0 + 1000 * 10.0) / 1e6)


@pytest.mark.parametrize("engine", ["offline", "recorded"])
def test_an_engine_that_calls_nobody_costs_nothing(engine):
    free = PAID.model_copy(update={"engine": engine})
    assert reserve_usd(make_prompt("1"), free) == 0.0
