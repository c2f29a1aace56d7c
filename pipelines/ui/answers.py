"""Answers about one user or item, from every recipe, model and night, and what differs between two of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import polars as pl
from markupsafe import Markup, escape

from pipelines.report.html import visible
from pipelines.ui.shelf import Shelf
from schemas.records import Kind

NIGHTS = 30  # that answers are looked for in, the latest
WORDS = 1500  # of a text up to which differences are marked: the comparison grows with their square
COLUMNS = ["recipe", "field", "text", "key", "model"]


@dataclass(frozen=True)
class Answer:
    """A text that was published, with what the call behind it took, where that is stored."""

    ds: str
    recipe: str
    field: str
    text: str
    key: str
    model: str
    call: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """What it is chosen by."""
        return "|".join((self.ds, self.recipe, self.field, self.model))

    @property
    def label(self) -> str:
        return f"{self.ds} · {self.recipe} / {self.field} · {self.model}"

    @property
    def words(self) -> int:
        return len(self.text.split())


def answers_about(shelf: Shelf, kind: Kind, id: str) -> list[Answer]:
    """Every answer about a subject, the latest first; one that stays the same night after night stands once."""
    mine = (pl.col("kind") == kind) & (pl.col("id") == id)
    found: dict[tuple[str, str, str, str], Answer] = {}
    for ds in shelf.nights()[-NIGHTS:]:  # oldest first, so that the night it came from is kept
        rows = shelf.store.read("profiles", ds, where=mine, columns=COLUMNS) if shelf.has("profiles", ds) else None
        for row in () if rows is None else rows.sort("recipe", "field").iter_rows(named=True):
            found.setdefault((row["recipe"], row["field"], row["model"], row["text"]), Answer(ds, **row))
    return list(found.values())[::-1]


def pair_of(found: Sequence[Answer], left: str, right: str) -> tuple[Answer, Answer] | None:
    """The two that are named; else two of one recipe and field, rather of two models; None where there is only one."""
    named = {answer.name: answer for answer in found}
    if left in named and right in named:
        return named[left], named[right]
    pairs = [(old, new) for place, new in enumerate(found) for old in found[place + 1 :]]
    return max(pairs, key=_alike, default=None)


def differences(old: str, new: str) -> tuple[Markup, Markup]:
    """Both texts, escaped, what only one has inside `<del>` and `<ins>`; long ones are not compared."""
    before, after = _words(visible(old)), _words(visible(new))
    if max(len(before), len(after)) > 2 * WORDS:  # words and the spaces between them
        return escape(visible(old)), escape(visible(new))
    left, right = Markup(), Markup()
    for what, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        gone, come = "".join(before[i:j]), "".join(after[k:m])
        left += escape(gone) if what == "equal" else _wrapped("del", gone)
        right += escape(come) if what == "equal" else _wrapped("ins", come)
    return left, right


def _alike(pair: tuple[Answer, Answer]) -> tuple[bool, ...]:
    old, new = pair
    same = (old.recipe, old.field) == (new.recipe, new.field)
    return same, old.model != new.model, old.recipe != new.recipe


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|[^\s]+", text)


def _wrapped(tag: str, text: str) -> Markup:
    return Markup(f"<{tag}>{{}}</{tag}>").format(text) if text else Markup()
