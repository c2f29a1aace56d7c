"""InstructRec's grid of instructions: what is told of the user, what is told of the wish, what is to be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from features.instructions.messages import Worded, quoted
from features.instructions.wording import NO, YES, known_of, next_title, pick_title, yes_no

PREFERENCES = ("none", "titles", "profile")  # P0 to P2
INTENTIONS = ("none", "vague", "specific")  # I0 to I2
TASKS = ("yes_no", "pairwise", "title", "rank")  # T0 to T3


@dataclass(frozen=True)
class Cell:
    """One combination of the three."""

    preference: int
    intention: int
    task: int

    @property
    def name(self) -> str:
        return f"P{self.preference} I{self.intention} T{self.task}"


CELLS = tuple(
    Cell(preference, intention, task)
    for preference in range(len(PREFERENCES))
    for intention in range(len(INTENTIONS))
    for task in range(len(TASKS))
    if preference or intention  # of nobody and nothing there is nothing to say
)


def worded(
    cell: Cell, history: Sequence[str], profile: str | None, wish: str, offered: Sequence[str], noun: str
) -> Worded:
    """A cell's question about some titles: one for yes or no, two or more to choose from, none where one is written.

    Without an intention it is worded as other papers word it; with one it is a search.
    """
    shown = history if PREFERENCES[cell.preference] == "titles" else None
    profile = profile if PREFERENCES[cell.preference] == "profile" else None
    if cell.intention:
        return _search(cell, [*known_of(shown, profile), f"Wanted: {wish}"], offered, noun)
    if TASKS[cell.task] == "yes_no":
        return yes_no(shown, offered[0], noun=noun, profile=profile)
    if TASKS[cell.task] == "title":
        return next_title(shown, noun=noun, profile=profile)
    return pick_title(shown, offered, noun=noun, profile=profile)


def _search(cell: Cell, told: list[str], offered: Sequence[str], noun: str) -> Worded:
    if TASKS[cell.task] == "yes_no":
        system = f"Decide whether a {noun} is what the user is looking for. Answer only {YES} or {NO}."
        return Worded(system, "\n".join([*told, f"Is it {quoted(offered[0])}?"]))
    if TASKS[cell.task] == "title":
        system = f"Name the {noun} that the user is looking for. Answer only with its title."
        return Worded(system, "\n".join([*told, f"Wanted {noun}:"]))
    system = f"Choose the {noun} that the user is looking for among the candidates. Answer only with its title."
    return Worded(system, "\n".join([*told, "Candidates:", *map(quoted, offered)]))
