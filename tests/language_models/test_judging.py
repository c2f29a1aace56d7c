"""Judging: one follow-up of each kind, never two, and the same verdict after a restart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from language_models.judging import Question, judge
from schemas.errors import AnswerError
from schemas.records import Completion
from tests.support.prompts import make_prompt

PROMPT = make_prompt("1")


def check(text):
    if text == "none":
        raise AnswerError("none", "summarization is None")
    if text != "good":
        raise AnswerError("schema", f"expected good, found {text}")


def answers(*said):
    """`good` and `bad` are texts that end with `stop`; anything else is a finish reason."""
    made = [(text, "stop") if text in ("good", "bad", "none") else ("", text) for text in said]
    return [Completion("k", text, reason, 1, 1, 0.0, "m", 0.0, turn=turn) for turn, (text, reason) in enumerate(made)]


def judged(*said):
    return judge("k", Question(PROMPT, check), answers(*said))


def test_a_good_answer_is_parsed():
    assert judged("good").verdict.state == "parsed"


@pytest.mark.parametrize("reason", ["refusal", "content_filter", "missing"])
def test_a_model_that_declines_is_not_asked_again(reason):
    verdict = judged(reason).verdict
    assert (verdict.state, verdict.reason) == ("rejected", reason)


def test_an_honest_none_is_not_asked_again():
    assert judged("none").verdict.reason == "none"


def test_a_cut_off_answer_gets_twice_the_room_once():
    follow_up = judged("length").follow_up
    assert (follow_up.turn, follow_up.room, follow_up.correction) == (1, 2, "")
    assert follow_up.messages() == PROMPT.messages()
    assert judged("length", "length").verdict.reason == "truncated"
    assert judged("length", "good").verdict.state == "parsed"


def test_an_unreadable_answer_is_asked_again_once_with_what_was_wrong_and_not_with_its_text():
    follow_up = judged("bad").follow_up
    assert (follow_up.turn, follow_up.room) == (1, 1)
    [*before, last] = follow_up.messages()
    assert before == PROMPT.messages()
    assert last["role"] == "user"
    assert "schema: expected good, found bad" in last["content"]
    assert judged("bad", "bad").verdict.reason == "schema"


def test_both_kinds_of_follow_up_may_come_one_after_the_other():
    follow_up = judged("length", "bad").follow_up
    assert (follow_up.turn, follow_up.room, bool(follow_up.correction)) == (2, 2, True)
    assert judged("bad", "length").follow_up.turn == 2
    assert judged("bad", "length", "bad").verdict.reason == "schema"


def test_follow_ups_share_the_key_of_their_question():
    params = {"engine": "e"}
    assert judged("bad").follow_up.key("m", params) == PROMPT.key("m", params)
    assert make_prompt("1").key("m", params) == PROMPT.key("m", params)


@given(st.lists(st.sampled_from(["good", "bad", "none", "length", "refusal"]), min_size=4, max_size=4))
def test_at_most_three_turns_until_there_is_a_verdict(said):
    for turn in range(1, 5):
        judgement = judged(*said[:turn])
        assert (judgement.verdict is None) != (judgement.follow_up is None)
        if judgement.verdict is not None:
            break
        assert judgement.follow_up.turn == turn
    assert turn <= 3
    assert (judgement.verdict.state == "parsed") == ("good" in said[:turn])
