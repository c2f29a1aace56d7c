"""Small prompts for tests of everything that comes after a recipe."""

from __future__ import annotations

from language_models.judging import Question
from schemas.errors import AnswerError
from schemas.records import Prompt

SCHEMA = {
    "type": "object",
    "properties": {"summarization": {"type": "string"}, "reasoning": {"type": "string", "default": ""}},
    "required": ["summarization"],
}


def make_prompt(id: str, user: str | None = None) -> Prompt:
    text = user if user is not None else f'{{"title": "Book {id}"}}'
    return Prompt("rlmrec.item", "1", "item", id, "Describe. Answer in JSON.", text, SCHEMA)


def make_question(id: str, user: str | None = None) -> Question:
    """A question whose answer must not be the word `bad`."""
    return Question(make_prompt(id, user), refuse_bad)


def refuse_bad(text: str) -> None:
    if text == "bad":
        raise AnswerError("schema", "expected something good, found bad")
