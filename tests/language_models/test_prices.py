"""Prices by model, costs worked out by hand, and a cap that holds whatever an endpoint counts."""

from collections.abc import Iterable, Iterator

import pytest

from language_models.answering import answer_all
from language_models.ledger import Ledger
from language_models.prices import Price, check_prices, cost_usd, price_of, reserve_usd
from language_models.tokens import most_tokens, prompt_tokens
from schemas.errors import BudgetError, ConfigError
from schemas.records import Completion, Prompt
from schemas.sections import Llm
from tests.support.prompts import make_prompt, make_question

PAID = Llm(engine="openai", model="m", usd_per_million_input=2.0, usd_per_million_output=10.0, max_output_tokens=1000)
OWN = """
["gpt-4o-mini"]
input = 1.0
output = 2.0
batch_output = 1.5
["house"]
input = 0
output = 0
["house-large"]
input = 3
cached_input = 1
output = 4
"""


def openai(model: str, **more: object) -> Llm:
    return Llm.model_validate({"engine": "openai", "model": model, **more})


@pytest.fixture
def own(tmp_path):
    file = tmp_path / "prices.toml"
    file.write_text(OWN, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
        ("gpt-4-0613", "gpt-4"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("gemini-2.5-flash-lite-preview-09-2025", "gemini-2.5-flash-lite"),
        ("gemini-2.5-flash-001", "gemini-2.5-flash"),
    ],
)
def test_a_dated_model_costs_what_its_model_costs(model, listed):
    assert price_of(openai(model)) == price_of(openai(listed)) is not None


@pytest.mark.parametrize("model", ["gpt-4o-nano", "gpt-4-32k", "gpt-4o-mini-audio", "my/gpt-4o", "llama-3.1-8b", "gpt"])
def test_another_model_of_a_similar_name_has_no_price(model):
    assert price_of(openai(model)) is None


def test_the_run_file_goes_before_the_users_table_and_that_before_ours(own):
    assert price_of(openai("gpt-4o-mini")) == Price(input=0.15, cached_input=0.075, output=0.60)
    assert price_of(openai("gpt-4o-mini", prices=own)) == Price(input=1.0, output=2.0, batch_output=1.5)
    assert price_of(openai("gpt-4o", prices=own)) == price_of(openai("gpt-4o")), "what it does not list is looked up"
    mixed = price_of(openai("gpt-4o-mini", prices=own, usd_per_million_input=5.0))
    assert mixed == Price(input=5.0, output=2.0, batch_output=1.5)
    assert price_of(openai("gpt-4o-mini", usd_per_million_output=0.0)) == Price(
        input=0.15, cached_input=0.075, output=0.0
    )


def test_the_longest_name_of_the_users_table_decides(own):
    assert price_of(openai("house-v2", prices=own)) == Price(input=0, output=0)
    assert price_of(openai("house-large-2026-01-01", prices=own)) == Price(input=3, cached_input=1, output=4)
    assert price_of(openai("house-small", prices=own)) is None


def test_cost_is_tokens_times_price_and_cached_tokens_have_their_own(own):
    assert cost_usd(500_000, 100_000, PAID) == pytest.approx(1.0 + 1.0)
    assert cost_usd(500_000, 0, PAID, cached_tokens=500_000) == pytest.approx(1.0), "no price of its own: as input"
    large = openai("house-large", prices=own)
    assert cost_usd(1_000_000, 100_000, large, cached_tokens=400_000) == pytest.approx(0.6 * 3 + 0.4 * 1 + 0.4)


def test_a_batch_costs_half_unless_the_table_says_otherwise(own):
    assert cost_usd(500_000, 100_000, PAID, batch=True) == pytest.approx(1.0)
    mini = openai("gpt-4o-mini", prices=own)
    assert cost_usd(1_000_000, 1_000_000, mini, batch=True) == pytest.approx(0.5 + 1.5)
    large = openai("house-large", prices=own)
    assert cost_usd(1_000_000, 0, large, cached_tokens=1_000_000, batch=True) == pytest.approx(1.0)


@pytest.mark.parametrize("engine", ["offline", "recorded", "hf"])
def test_an_engine_that_calls_nobody_costs_nothing(engine):
    free = PAID.model_copy(update={"engine": engine, "max_cost_usd": 1.0})
    assert (cost_usd(1000, 1000, free), reserve_usd(make_prompt("1"), free)) == (0.0, 0.0)
    check_prices(free)


def test_a_reservation_is_for_every_byte_and_the_longest_answer():
    prompt = make_prompt("1")
    assert reserve_usd(prompt, PAID) == pytest.approx((most_tokens(prompt) * 2.0 + 1000 * 10.0) / 1e6)
    assert reserve_usd(prompt, PAID, batch=True) == pytest.approx(reserve_usd(prompt, PAID) / 2)


def test_without_a_price_nothing_is_counted_and_a_cap_is_refused():
    unknown = openai("llama-3.1-8b")
    assert (cost_usd(10, 10, unknown), reserve_usd(make_prompt("1"), unknown)) == (0.0, 0.0)
    check_prices(unknown)
    with pytest.raises(ConfigError, match=r"llm.max_cost_usd: no price is known for model llama-3.1-8b, so the cap"):
        check_prices(unknown.model_copy(update={"max_cost_usd": 1.0}))
    check_prices(openai("llama-3.1-8b", usd_per_million_input=0, usd_per_million_output=0, max_cost_usd=1.0))
    half = openai("llama-3.1-8b", usd_per_million_output=0.1, max_cost_usd=1.0)
    check_prices(half)
    assert cost_usd(10, 10, half) == pytest.approx(1e-6), "the side that is not named is free"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["m"]\ninput = 1', "prices.toml: m: output: Field required"),
        ('["m"]\ninput = -1\noutput = 1', "prices.toml: m: input: .*greater than or equal to 0, found -1"),
        ('["m"]\ninput = "cheap"\noutput = 1', "prices.toml: m: input: .*found 'cheap'"),
        ('["m"]\ninput = nan\noutput = 1', "prices.toml: m: input: .*finite number, found nan"),
        ('["m"]\ninput = 1\noutptu = 1', "prices.toml: m: outptu: unknown, did you mean output?"),
        ("[gpt-4.1]\ninput = 1\noutput = 1", 'prices.toml: gpt-4: .*under a quoted name, such as \\["gpt-4.1"\\]'),
        ("m = 3", "prices.toml: m: expected a table of prices"),
        ("m = [", "prices.toml: not a price table in TOML"),
        (None, "prices.toml: no such price table; correct llm.prices"),
    ],
)
def test_a_price_table_that_is_wrong_names_file_model_and_field(tmp_path, text, message):
    file = tmp_path / "prices.toml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        check_prices(openai("m", prices=str(file)))


class Endpoint:
    """An engine that charges by the tokens that it counts."""

    name, model = "endpoint", "m"

    def __init__(self, llm: Llm, greedy: bool) -> None:
        self.llm, self.greedy = llm, greedy

    def key(self, prompt: Prompt) -> str:
        return prompt.key(self.model, {})

    def answer(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        for prompt in prompts:
            given = sum(len(message["content"].encode()) for message in prompt.messages()) + 50
            written = self.llm.max_output_tokens * prompt.room
            if not self.greedy:
                given, written = prompt_tokens(prompt), written // 3
            usd = cost_usd(given, written, self.llm)
            yield Completion(self.key(prompt), "good", "stop", given, written, usd, self.model, 0.0, turn=prompt.turn)


@pytest.mark.parametrize(("greedy", "usable"), [(True, 0.90), (False, 0.97)])
def test_spending_never_passes_the_cap_however_many_tokens_an_endpoint_finds(tmp_path, greedy, usable):
    llm = PAID.model_copy(update={"max_output_tokens": 200, "max_cost_usd": 0.1})
    questions = [make_question(str(n), f'{{"title": "Буря {n}", "about": "{"海" * 40}"}}') for n in range(500)]
    with Ledger(tmp_path / "ledger.sqlite", "2026-11-24") as ledger:
        with pytest.raises(BudgetError):
            answer_all(questions, Endpoint(llm, greedy), ledger, llm)
        assert usable * 0.1 <= ledger.totals().spent_usd <= 0.1
