"""Tokens of answers are those that the tokenizer gives after the prompt."""

import pytest

from language_models.tuning.answers import answer_ids, continuation
from schemas.errors import ConfigError

PROMPT = "Does she enjoy Gothic horror? Answer:\n"


def test_the_first_token_of_each_answer_follows_the_prompt(opened):
    model = opened()
    yes, no = answer_ids(model, PROMPT)
    whole = [model.encode(PROMPT + answer) for answer in ("Yes", "No")]
    assert [yes, no] == [ids[len(model.encode(PROMPT))] for ids in whole]
    letters = [chr(ord("A") + place) for place in range(20)]
    assert answer_ids(model, PROMPT, letters) == [model.encode(letter)[0] for letter in letters]


def test_in_context_an_answer_can_have_other_tokens_than_alone(opened):
    """ " Gothic" is one token of this tokenizer; "Gothic" after a space that the prompt ends with is not."""
    model = opened()
    assert len(continuation(model, "enjoy", " Gothic")) == 1
    assert continuation(model, "enjoy\n", "Gothic") == model.encode("Gothic")
    assert len(model.encode("Gothic")) > 1


def test_a_prompt_that_ends_in_the_middle_of_a_token_is_refused(opened):
    with pytest.raises(ConfigError, match=r"answer 'Gothic' after 'People who enjoy '.*move white space"):
        continuation(opened(), "People who enjoy ", "Gothic")


@pytest.mark.parametrize("answers", [("Yes", "Yes"), ("Yes", "Yet"), ("Yes", "")])
def test_answers_that_begin_alike_are_refused(opened, answers):
    with pytest.raises(ConfigError, match=r"answers: expected first tokens that differ, found 'Yes' \["):
        answer_ids(opened(), PROMPT, answers)


def test_after_a_chat_the_answer_follows_the_control_tokens(opened):
    model = opened("chat")
    chat = model.chat("Be brief.", "Emma?")
    assert answer_ids(model, chat) == [model.encode(answer)[0] for answer in ("Yes", "No")]
    assert continuation(model, chat, "Yes</s>") == [*model.encode("Yes"), *model.encode("</s>")]
    cut = model.encode("Gothic")[1:]  # begins in the middle of a word
    assert continuation(model, cut, "\nYes") == model.encode("\nYes")
