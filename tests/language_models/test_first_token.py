"""One token and the likeliest ones: how they are asked for, merged, kept and read again."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from language_models.engines import make_engine
from language_models.first_token import MOST, FirstToken, first_token_schema, read_first_token
from language_models.judging import judge
from language_models.ledger import Call, Ledger
from language_models.prices import reserve_usd
from language_models.tokens import prompt_tokens
from schemas.errors import AnswerError
from schemas.records import Completion, KeyMaker
from schemas.sections import Llm
from tests.support.choices import COOKING, GOTHIC, SEA, asked, choice_prompt, verdict_prompt
from tests.support.prompts import make_prompt

TOKENS = st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), st.floats(-30, 0)))


@given(answer=st.text(st.characters(exclude_categories=["Cs"]), max_size=6), told=TOKENS)
def test_what_is_written_is_read_again(answer, told):
    first = FirstToken.of_tokens(answer, told)
    assert read_first_token(first.to_text()) == first
    assert list(first.logprobs.values()) == sorted(first.logprobs.values(), reverse=True)
    assert all(name == name.strip() != "" for name in first.logprobs)


@given(told=TOKENS)
def test_merging_keeps_the_mass_of_all_that_has_a_letter(told):
    mass = sum(math.exp(logprob) for token, logprob in told if token.strip().lstrip("▁Ġ").strip())
    kept = FirstToken.of_tokens("", told).logprobs
    assert sum(map(math.exp, kept.values())) == pytest.approx(mass, rel=1e-4, abs=1e-9)


def test_tokens_that_differ_in_spaces_alone_are_one():
    told = [
        ("Yes", math.log(0.3)),
        (" Yes", math.log(0.2)),
        ("▁No", math.log(0.1)),
        ("ĠNo", math.log(0.3)),
        ("\n", 0.0),
    ]
    first = FirstToken.of_tokens(" Yes", [*told, ("Never", -math.inf), ("Odd", math.nan)])
    assert first.answer == "Yes"
    assert {token: round(math.exp(value), 4) for token, value in first.logprobs.items()} == {"Yes": 0.5, "No": 0.4}


def test_words_match_in_any_case_and_letters_as_they_are():
    first = FirstToken("yes", {"Yes": math.log(0.25), "YES": math.log(0.25), "a": -1.0, "B": -2.0})
    assert math.exp(first.of(["Yes", "No"])["Yes"]) == pytest.approx(0.5)
    assert list(first.of(["Yes", "No"])) == ["Yes"]
    assert first.of(["A", "B"]) == {"B": -2.0}
    assert (first.chosen(["No", "Yes"]), first.chosen(["A", "B"])) == ("Yes", None)


@pytest.mark.parametrize("text", ["Yes", "{}", '{"answer": "Yes"}', '{"answer": 1, "logprobs": [1]}', "[]", ""])
def test_another_text_is_no_first_token(text):
    with pytest.raises(AnswerError, match="expected the answer and logprobs"):
        read_first_token(text)


def test_a_schema_asks_for_as_many_as_endpoints_give():
    assert first_token_schema(("Yes", "No")) is first_token_schema(("Yes", "No")), "keys are made faster so"
    assert first_token_schema(("Yes", "No"))["first_token"] == MOST
    for wrong in (0, MOST + 1):
        with pytest.raises(AssertionError, match=f"found {wrong}"):
            first_token_schema(("Yes",), wrong)


def test_the_number_of_tokens_is_part_of_every_key():
    prompts = [choice_prompt(GOTHIC, COOKING, likeliest=count) for count in (1, 5, 20)]
    make = KeyMaker("m", {"engine": "openai"})
    keys = [make(prompt) for prompt in prompts]
    assert keys == [prompt.key("m", {"engine": "openai"}) for prompt in prompts]
    assert len(set(keys)) == 3
    assert [prompt.first_token for prompt in (*prompts, make_prompt("1"))] == [1, 5, 20, 0]


def test_a_ledger_gives_the_prompt_back_as_it_was(tmp_path):
    prompt = choice_prompt(GOTHIC, COOKING, SEA, likeliest=7)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        call = Call(prompt.key("m", {}), prompt, "openai", "m")
        ledger.lease([call])
        [kept] = ledger.calls([call.key])
    assert kept.prompt == prompt
    assert kept.prompt.first_token == 7
    assert kept.prompt.key("m", {}) == call.key


def test_one_token_is_reserved_and_no_schema_is_counted():
    llm = Llm(engine="openai", model="m", max_output_tokens=500, usd_per_million_input=0, usd_per_million_output=1e6)
    prompt = verdict_prompt(GOTHIC)
    assert reserve_usd(prompt, llm) == 1.0
    assert prompt_tokens(prompt) < prompt_tokens(make_prompt("1", prompt.user))


def test_a_word_that_is_no_option_is_asked_for_once_more_without_a_word_of_json():
    def answer(text, turn):
        return Completion("k", FirstToken(text).to_text(), "stop", 1, 1, 0.0, "m", 0.0, turn=turn)

    question = asked(verdict_prompt(GOTHIC))
    follow_up = judge("k", question, [answer("The", 0)]).follow_up
    assert follow_up.first_token == MOST
    assert "no_option: expected one of Yes, No, found The" in follow_up.correction
    assert "JSON" not in follow_up.correction
    assert judge("k", question, [answer("The", 0), answer("No", 1)]).verdict.state == "parsed"


def test_the_offline_engine_gives_the_token_and_no_probabilities():
    answers = {}
    for prompt in (choice_prompt(COOKING, SEA, GOTHIC), verdict_prompt(GOTHIC), verdict_prompt(COOKING)):
        [completion] = make_engine(Llm()).answer([prompt])
        answers[prompt.user] = read_first_token(completion.text)
    assert [first.answer for first in answers.values()] == ["C", "Yes", "No"]
    assert all(first.logprobs == {} for first in answers.values())
