"""Letters: their log-probabilities order the candidates; an endpoint without any still gives the letter it wrote."""

import numpy as np
import pytest

from language_models.engines import make_engine
from language_models.first_token import FirstToken
from language_models.ledger import Ledger
from recommenders.prompted.asker import Asker
from recommenders.prompted.llm_listwise import by_letter
from schemas.errors import AnswerError, ConfigError
from schemas.sections import Llm
from tests.support.scripted_engine import ScriptedEngine
from tests.support.simulator import simulator
from tests.support.themed import USERS, fitted, found_first, lists, prompted, themed


@pytest.fixture(scope="module")
def corpus():
    return themed()


@pytest.fixture(scope="module")
def endpoint():
    with simulator("--price-input", "2", "--price-output", "8") as sim:
        yield sim


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger") as ledger:
        yield ledger


@pytest.fixture
def ask(endpoint, ledger, monkeypatch):
    """Ranks everybody at the endpoint by a script; returns the recommender, the share found first, what was counted."""
    monkeypatch.setenv("OPENAI_API_KEY", "any")

    def run(corpus, script, **options):
        endpoint.faults(script)
        endpoint.reset()
        llm = Llm(engine="openai", model="simulated", base_url=endpoint.url, usd_per_million_input=2.0)
        llm = llm.model_copy(update={"usd_per_million_output": 8.0})
        made = fitted(corpus, "llm_listwise", Asker(llm, make_engine(llm), ledger), **options)
        return made, found_first(made, corpus), endpoint.stats()

    return run


def test_at_an_endpoint_one_token_per_user_orders_all_candidates(corpus, ask):
    made, first, stats = ask(corpus, {})
    assert first > 0.9
    assert (stats["paid"], stats["output_tokens"]) == (USERS, USERS)
    assert made.told["text_alone"] == 0
    assert made.told["first_by_place_p"] > 0.001
    assert made.told["cost_usd"] == pytest.approx(stats["cost_usd"])
    again, _, stats = ask(corpus, {})
    assert (stats["paid"], again.told["cached"]) == (0, USERS)


@pytest.mark.parametrize("probe", ["fake_history", "no_history"])
def test_without_the_own_history_the_rule_is_lost(corpus, ask, probe):
    assert ask(corpus, {}, probe=probe)[1] < 0.3


@pytest.mark.parametrize("given", ["ignored", "refused"])
def test_an_endpoint_without_log_probabilities_gives_the_letter_it_wrote_and_that_is_counted(corpus, ask, given):
    made, first, _ = ask(corpus, {"logprobs": given})
    assert first > 0.9
    assert made.told["text_alone"] == USERS
    found, plain = (each.recommend(np.arange(USERS), 20, lists(corpus)).item for each in (made, made.retriever))
    for one, other in zip(found, plain, strict=True):
        assert one[1:].tolist() == [item for item in other if item != one[0]]


def test_several_orders_undo_a_letter_that_always_wins(corpus, ask):
    made, first, _ = ask(corpus, {"position_bias": 1.0})
    assert first < 0.3
    assert made.told["first_by_place"][0] == 1
    assert made.told["first_by_place_p"] < 1e-10
    assert ask(corpus, {"position_bias": 1.0}, bootstrap=3)[1] > 0.8


def test_the_order_in_words(corpus, ask):
    made, first, stats = ask(corpus, {}, answer="order")
    assert first > 0.9
    assert made.told["grounding"] == {"index": 20 * USERS}
    assert stats["output_tokens"] > 20 * USERS


def test_an_absent_letter_stands_below_the_least_likely_token_that_is_listed():
    text = FirstToken("B", {"B": -0.1, "The": -3.0, "A": -2.5}).to_text()
    assert by_letter(text, 3).score == pytest.approx([-2.5, -0.1, -3.001])
    alone = by_letter(FirstToken("B").to_text(), 3)
    assert (alone.score.tolist(), alone.text_alone) == ([0, 1, 0], True)
    with pytest.raises(AnswerError, match="expected one of"):
        by_letter(FirstToken("The").to_text(), 3)
    with pytest.raises(AnswerError, match="expected one of"):
        by_letter(FirstToken("The", {"The": -0.1}).to_text(), 3)


def test_who_gets_no_letter_keeps_the_candidates_order(corpus, ledger):
    engine = ScriptedEngine(lambda _: FirstToken("Well").to_text())
    made = fitted(corpus, "llm_listwise", Asker(Llm(), engine, ledger))
    users, mask = np.arange(USERS), lists(corpus)
    assert np.array_equal(made.recommend(users, 9, mask).item, made.retriever.recommend(users, 9, mask).item)
    assert made.told["fallback_users"] == made.told["unparsable"] == made.told["follow_ups"] == USERS


def test_what_letters_cannot_do_is_refused():
    with pytest.raises(ConfigError, match="at most 26"):
        prompted("llm_listwise", candidates=27)
    assert prompted("llm_listwise", candidates=27, answer="order").candidates == 27
    with pytest.raises(ConfigError, match="recorded"):
        prompted("llm_listwise", Llm(engine="recorded", answers="a.parquet"))
