"""Yes or no: log-odds over all spellings, the word alone where there are none, and one question per candidate."""

import math

import numpy as np
import pytest

from language_models.engines import make_engine
from language_models.first_token import FirstToken
from language_models.ledger import Ledger
from recommenders.prompted.asker import Asker
from recommenders.prompted.llm_pointwise import SURE, by_odds, by_word
from schemas.errors import AnswerError, ConfigError
from schemas.sections import Llm
from tests.support.simulator import simulator
from tests.support.themed import USERS, fitted, found_first, lists, prompted, themed


@pytest.fixture(scope="module")
def corpus():
    return themed()


@pytest.mark.parametrize("logprobs", ["auto", "never"])
def test_a_rule_in_the_words_is_found_and_lost_with_the_history(corpus, logprobs):
    assert found_first(fitted(corpus, "llm_pointwise", logprobs=logprobs), corpus, others=9) > 0.9
    for probe in ("fake_history", "no_history"):
        assert found_first(fitted(corpus, "llm_pointwise", logprobs=logprobs, probe=probe), corpus, others=9) < 0.4


def test_at_an_endpoint_one_token_for_every_candidate(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    with simulator("--price-input", "2", "--price-output", "8") as endpoint, Ledger(tmp_path / "ledger") as ledger:
        llm = Llm(engine="openai", model="simulated", base_url=endpoint.url, usd_per_million_input=2.0)
        llm = llm.model_copy(update={"usd_per_million_output": 8.0})
        made = fitted(corpus, "llm_pointwise", Asker(llm, make_engine(llm), ledger), logprobs="required")
        assert found_first(made, corpus, others=4) > 0.9
        stats = endpoint.stats()
        assert stats["paid"] == stats["output_tokens"] == made.told["questions"] == 5 * USERS
        assert made.told["text_alone"] == 0
        assert made.told["cost_usd"] == pytest.approx(stats["cost_usd"])
        scores = made.scores(np.arange(2), np.array([[0, 12, 24, -1], [0, 12, 24, 36]]))
        assert len(set(scores.ravel().tolist())) > 2  # log-odds, not words
        assert scores[0, 3] == 0


def test_an_endpoint_without_log_probabilities_is_no_answer_where_they_are_required(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    script = ("--logprobs", "ignored")
    with simulator(*script) as endpoint, Ledger(tmp_path / "ledger") as ledger:
        llm = Llm(engine="openai", model="simulated", base_url=endpoint.url)
        asker = Asker(llm, make_engine(llm), ledger)
        strict = fitted(corpus, "llm_pointwise", asker, logprobs="required")
        plain = strict.retriever.recommend(np.arange(4), 5, lists(corpus, 4)).item
        assert np.array_equal(strict.recommend(np.arange(4), 5, lists(corpus, 4)).item, plain)
        assert strict.told["unparsable"] == 20
        lenient = fitted(corpus, "llm_pointwise", asker)
        assert found_first(lenient, corpus, others=4) > 0.9
        assert lenient.told["text_alone"] == 5 * USERS


def test_log_odds_sum_all_spellings():
    text = FirstToken("Yes", {"Yes": math.log(0.5), "yes": math.log(0.1), "No": math.log(0.2), "NO": math.log(0.1)})
    assert by_odds(text.to_text()) == pytest.approx(math.log(0.6 / 0.3), abs=1e-5)
    absent = FirstToken("Yes", {"Yes": -0.1, "Well": -4.0})
    assert by_odds(absent.to_text()) == pytest.approx(3.9)
    assert by_odds(FirstToken("no").to_text()) == -SURE
    assert by_word('{"answer": "yes"}') == SURE
    for wrong in (FirstToken("Maybe"), FirstToken("Maybe", {"Maybe": -0.1})):
        with pytest.raises(AnswerError, match="expected Yes or No"):
            by_odds(wrong.to_text())
    with pytest.raises(AnswerError, match="log-probabilities"):
        by_odds(FirstToken("Yes").to_text(), alone=False)


def test_a_candidate_without_a_readable_answer_comes_last(corpus):
    made = fitted(corpus, "llm_pointwise")
    assert made.score(0, np.arange(4), [-2.0, None, -3.0, None]).tolist() == [-2, -4, -3, -4]


def test_an_engine_that_gives_none_is_refused_where_they_are_required():
    with pytest.raises(ConfigError, match="logprobs"):
        prompted("llm_pointwise", logprobs="required")
    with pytest.raises(ConfigError, match="recorded"):
        prompted("llm_pointwise", Llm(engine="recorded", answers="a.parquet"))
