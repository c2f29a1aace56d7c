"""Prompts that one token answers and prompts that a ranking answers, as recommenders ask them."""

from __future__ import annotations

import json

from language_models.first_token import FirstToken, first_token_schema, read_first_token
from language_models.judging import Question
from schemas.errors import AnswerError
from schemas.records import Prompt

GOTHIC = {"title": "Carmilla", "genre": "Gothic horror"}
COOKING = {"title": "Cooking for two", "genre": "Household"}
SEA = {"title": "Horror at sea", "genre": "Adventure"}
HISTORY = ({"title": "Dracula", "genre": "Gothic horror"}, {"title": "The Vampyre", "genre": "Gothic horror"})
LETTERS = ("A", "B", "C")
CHOICE = "Choose out of the candidates. Answer with the letter alone."
VERDICT = "Would the user like the candidate? Answer with one word, Yes or No."


def shown(*candidates: dict[str, str], history=HISTORY) -> str:
    """A user message with a history and lettered candidates."""
    options = [{"option": letter, **item} for letter, item in zip(LETTERS, candidates, strict=False)]
    return f"HISTORY:\n{json.dumps(list(history))}\nCANDIDATES:\n{json.dumps(options)}"


def choice_prompt(*candidates: dict[str, str], id: str = "u1", likeliest: int = 20) -> Prompt:
    schema = first_token_schema(LETTERS, likeliest)
    return Prompt("list", "1", "user", id, CHOICE, shown(*candidates), schema)


def verdict_prompt(candidate: dict[str, str], id: str = "u1", history=HISTORY) -> Prompt:
    user = f"HISTORY:\n{json.dumps(list(history))}\nCANDIDATE:\n{json.dumps(candidate)}"
    return Prompt("point", "1", "user", id, VERDICT, user, first_token_schema(("Yes", "No")))


def asked(prompt: Prompt) -> Question:
    """A question whose answer must be one of its options, or have log-probabilities of some."""
    options = prompt.answer_schema["enum"]

    def check(text: str) -> FirstToken:
        first = read_first_token(text)
        if first.chosen(options) is None and not first.of(options):
            raise AnswerError("no_option", f"expected one of {', '.join(options)}, found {first.answer}")
        return first

    return Question(prompt, check)
