"""How recommenders that are language models word what they ask: pure functions from titles to two messages.

The instruction comes first and is equal for all users, then what is known of the user, then what is asked about: the
prompts of one user share all but their end. A history that is None is not shown, an empty one is said to be. Wording is
ours; each function names the papers that ask in its way.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from string import ascii_uppercase

from features.instructions.code_wording import (
    code_text,
    codes_to_next_title,
    codes_to_title,
    next_codes,
    preference,
    search,
    title_to_codes,
    titles_to_next_codes,
)
from features.instructions.messages import SLOT, USER_SLOT, Worded, plain, quoted

LETTERS = tuple(ascii_uppercase)  # of lettered candidates
YES, NO = "Yes", "No"

__all__ = [
    "LETTERS",
    "NO",
    "SLOT",
    "USER_SLOT",
    "YES",
    "Worded",
    "code_text",
    "codes_to_next_title",
    "codes_to_title",
    "known_of",
    "next_codes",
    "next_title",
    "pick_letter",
    "pick_title",
    "plain",
    "preference",
    "quoted",
    "search",
    "title_to_codes",
    "titles_to_next_codes",
    "yes_no",
]


def yes_no(  # noqa: PLR0913 -- what papers show of a user differs
    history: Sequence[str] | None,
    target: str,
    *,
    noun: str = "item",
    disliked: Sequence[str] = (),
    profile: str | None = None,
    history_slots: bool = False,
    target_slot: bool = False,
    user_slot: bool = False,
    ratings: Sequence[float | None] = (),
) -> Worded:
    """Whether the user will like the target; answer: `Yes` or `No` (TALLRec, ReLLa, CoLLM).

    `history`: titles, oldest first; with `ratings` ([len(history)], None where there is none) each is followed by its
    own and the history is no longer said to be liked (ReLLa). A slot stands after each title of the history, after the
    target, or for the user.
    """
    assert not ratings or len(ratings) == len(history or ()), "a rating or None for every title of the history"
    lines = known_of(None, profile) + ([f"User: {USER_SLOT}"] if user_slot else [])
    lines += [f"Disliked: {_listed(disliked)}"] if disliked else []
    if history is not None:
        lines += [f"{'History' if ratings else 'Liked'}, oldest first: {_listed(history, history_slots, ratings)}"]
    lines += [f"Will the user like {quoted(target, target_slot)}?"]
    system = (
        f"Decide from what is known of a user whether the user will like another {noun}. Answer only {YES} or {NO}."
    )
    return Worded(system, "\n".join(lines))


def pick_title(
    history: Sequence[str] | None,
    candidates: Sequence[str],
    *,
    noun: str = "item",
    profile: str | None = None,
    slots: bool = False,
) -> Worded:
    """Which candidate is next; answer: its title (LLaRA, S-DPO, InstructRec). With `slots` one after every title."""
    lines = [*known_of(history, profile, slots), "Candidates:", *(quoted(title, slots) for title in candidates)]
    system = f"Choose the {noun} that the user will take next among the candidates. Answer only with its title."
    return Worded(system, "\n".join(lines))


def pick_letter(
    history: Sequence[str] | None, candidates: Sequence[str], *, noun: str = "item", profile: str | None = None
) -> Worded:
    """Which candidate is next; answer: its letter, `LETTERS[place]` (LlamaRec). At most 26 candidates."""
    assert len(candidates) <= len(LETTERS), f"expected at most {len(LETTERS)} candidates, found {len(candidates)}"
    lettered = [f"({letter}) {quoted(title)}" for letter, title in zip(LETTERS, candidates, strict=False)]
    system = f"Choose the {noun} that the user will take next among the candidates. Answer only with its letter."
    return Worded(system, "\n".join([*known_of(history, profile), "Candidates:", *lettered]))


def next_title(history: Sequence[str] | None, *, noun: str = "item", profile: str | None = None) -> Worded:
    """What the user will take next, of all that there is; answer: a title (BIGRec, D3)."""
    system = f"Name the {noun} that the user will take next. Answer only with its title."
    return Worded(system, "\n".join([*known_of(history, profile), f"Next {noun}:"]))


def known_of(history: Sequence[str] | None, profile: str | None, slots: bool = False) -> list[str]:
    """What is told of a user, a line each: the text that a recipe wrote, and the titles of the history."""
    lines = [f"About the user: {quoted(profile)}"] if profile else []
    return lines if history is None else [*lines, f"History, oldest first: {_listed(history, slots)}"]


def _listed(titles: Sequence[str], slots: bool = False, ratings: Sequence[float | None] = ()) -> str:
    """Quoted titles, each with its slot and rating; `none` where there is no title."""
    said = [
        quoted(title, slots) + ("" if rating is None else f" ({rating:g})")
        for title, rating in zip_longest(titles, ratings)
    ]
    return "; ".join(said) or "none"
