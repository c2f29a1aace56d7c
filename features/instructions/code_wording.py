"""How LC-Rec words its tasks between titles, texts and semantic ids (Zheng et al. 2024, arXiv 2311.09049).

Every task has several instructions; `draw` picks one for an example, and without it the first is taken, as at scoring.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.codes import END
from features.instructions.messages import Worded, quoted

Draw = np.random.Generator | None

NEXT_CODES = (
    "The user has taken the {noun}s with these codes, oldest first. Give the codes of the next {noun}.",
    "Continue this list of {noun}s, written as codes, by one {noun}. Answer only with its codes.",
    "Which {noun} comes after these in the user's history? Items are written as codes; answer with codes.",
)
TITLE_TO_CODES = (
    "Give the codes of the {noun} with this title.",
    "Write this {noun} as codes.",
)
CODES_TO_TITLE = (
    "Give the title of the {noun} with these codes.",
    "Which {noun} do these codes stand for? Answer only with its title.",
)
TITLES_TO_NEXT_CODES = (
    "The user has taken the {noun}s with these titles, oldest first. Give the codes of the next {noun}.",
    "Continue this list of titles by one {noun}. Answer only with its codes.",
)
CODES_TO_NEXT_TITLE = (
    "The user has taken the {noun}s with these codes, oldest first. Give the title of the next {noun}.",
    "Continue this list of {noun}s, written as codes, by one {noun}. Answer only with its title.",
)
SEARCH = (
    "Give the codes of the {noun} that fits what the user is looking for.",
    "The user says what {noun} is wanted. Find it, and answer only with its codes.",
)
PREFERENCE = (
    "The user has taken the {noun}s with these codes, oldest first. Describe what the user likes.",
    "Tell from this history, written as codes, what kind of {noun} the user prefers.",
)


def next_codes(history_codes: Sequence[str], *, noun: str = "item", draw: Draw = None) -> Worded:
    """Sequential recommendation; answer: the codes of the next item."""
    return _one(NEXT_CODES, _line(history_codes), noun, draw)


def title_to_codes(title: str, *, noun: str = "item", draw: Draw = None) -> Worded:
    """Mutual alignment; answer: the item's codes."""
    return _one(TITLE_TO_CODES, quoted(title), noun, draw)


def codes_to_title(codes: str, *, noun: str = "item", draw: Draw = None) -> Worded:
    """Mutual alignment; answer: the item's title."""
    return _one(CODES_TO_TITLE, codes, noun, draw)


def titles_to_next_codes(history: Sequence[str], *, noun: str = "item", draw: Draw = None) -> Worded:
    """Asymmetric prediction; answer: the codes of the next item."""
    return _one(TITLES_TO_NEXT_CODES, _line([quoted(title) for title in history]), noun, draw)


def codes_to_next_title(history_codes: Sequence[str], *, noun: str = "item", draw: Draw = None) -> Worded:
    """Asymmetric prediction; answer: the title of the next item."""
    return _one(CODES_TO_NEXT_TITLE, _line(history_codes), noun, draw)


def search(intention: str, history_codes: Sequence[str] = (), *, noun: str = "item", draw: Draw = None) -> Worded:
    """Search by an intention, personalised where a history is given; answer: the codes of the item that is wanted."""
    known = [f"History: {_line(history_codes)}"] if history_codes else []
    return _one(SEARCH, "\n".join([*known, f"Wanted: {quoted(intention)}"]), noun, draw)


def preference(history_codes: Sequence[str], *, noun: str = "item", draw: Draw = None) -> Worded:
    """Preference inference; answer: the text of a recipe about the user."""
    return _one(PREFERENCE, _line(history_codes), noun, draw)


def code_text(codes: Sequence[int]) -> str:
    """The codes of an item as tokens, level by level: `<a_12><b_7>`; what fills a shorter tuple is left out."""
    return "".join(f"<{_level(level)}_{code}>" for level, code in enumerate(codes) if code != END)


def _level(level: int) -> str:
    """The letters of a level: a to z, then aa, ab, ..."""
    letter = chr(ord("a") + level % 26)
    return letter if level < 26 else _level(level // 26 - 1) + letter


def _line(parts: Sequence[str]) -> str:
    return ", ".join(parts) or "none"


def _one(templates: Sequence[str], user: str, noun: str, draw: Draw) -> Worded:
    chosen = 0 if draw is None else int(draw.integers(len(templates)))
    return Worded(templates[chosen].format(noun=noun), user, chosen)
