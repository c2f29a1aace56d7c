"""The two messages that a language model is asked with, and titles and texts as they stand in them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from features.recipes.reading import clean

SLOT, USER_SLOT = "<item>", "<user>"  # where a vector takes the place of a token; never in a title
_RESERVED = re.compile(r"<(?:item|user|[a-z]{1,2}_\d+)>")  # slots and code tokens


@dataclass(frozen=True)
class Worded:
    """What is asked: the instruction, and the data it is about."""

    system: str
    user: str
    template: int = 0  # which of several instructions it is


def plain(text: str) -> str:
    """A title or text as prompts and answers show it: one line, no control characters, no double quotes, no slots."""
    return clean(_RESERVED.sub(" ", text).replace('"', "'"))


def quoted(text: str, slot: bool = False) -> str:
    """A title or text between quotes, with a slot behind it where a vector is put in."""
    return f'"{plain(text)}"{SLOT if slot else ""}'
