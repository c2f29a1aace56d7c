"""Small prompts for tests of everything that comes after a recipe."""

from __future__ import annotations

from schemas.records import Prompt

SCHEMA = {
    "type": "object",
    "properties": {"summarization": {"type": "string"}, "reasoning": {"type": "string", "default": ""}},
    "required": ["summarization"],
}


def make_prompt(id: str, user: str | None = None) -> Prompt:
    text = user if user is not None else f'{{"title": "Book {id}"}}'
    return Prompt("rlmrec.item", "1", "item", id, "Describe. Answer in JSON.", text, SCHEMA)
