"""Titles that name one item each: cut to a length, and told apart by author, brand or year where they are equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import polars as pl

from features.corpus import attributes
from features.grounding import natural
from features.instructions.messages import plain
from features.recipes.base import best_title
from features.recipes.reading import clean

TELLING = ("author", "authors", "brand", "artist", "director", "store", "manufacturer", "year")  # columns, in order
UNTITLED = "untitled"


def unique_titles(items: pl.DataFrame, words: int = 12, characters: int = 60) -> list[str]:
    """A title for every row of an items table (`id`, text columns); no two are equal when case is folded.

    Each is as prompts show it (`messages.plain`), at most `words` words and about `characters` characters. Of equal
    ones a column of TELLING is put in brackets; those that are still equal are numbered in row order, `#2` from the
    second on. An item without title is `untitled #1`, ...: its id is never shown. All rows decide, so that new items of
    a later night may change the number, or add the brackets, of an earlier one.
    """
    rows = attributes(items)
    titles = [_cut(best_title(row), words, characters) for row in rows]
    for column in TELLING:
        twice = _repeated(titles)
        titles = [
            _told(title, row.get(column, "")) if title.casefold() in twice else title
            for title, row in zip(titles, rows, strict=True)
        ]
    return _numbered(titles)


def _cut(title: str | None, words: int, characters: int) -> str:
    """The title as people say it, cut; the word for none where nothing is left."""
    whole = plain(natural(title or "")).split()
    cut = clean(" ".join(whole[:words]), characters).removesuffix("…")
    return cut or UNTITLED


def _told(title: str, by: str) -> str:
    by = clean(plain(by), 30).removesuffix("…")
    return title if title == UNTITLED or not by else f"{title} ({by})"


def _repeated(titles: Sequence[str]) -> set[str]:
    counts: Mapping[str, int] = Counter(title.casefold() for title in titles)
    return {title for title, count in counts.items() if count > 1}


def _numbered(titles: Sequence[str]) -> list[str]:
    """The same with a number behind all but the first of equal ones, and behind every untitled one."""
    taken, counts, found = {title.casefold() for title in titles}, Counter[str](), list[str]()
    for title in titles:
        key, unique = title.casefold(), title
        counts[key] += 1
        if title == UNTITLED or counts[key] > 1:
            while (unique := f"{title} #{counts[key]}").casefold() in taken:
                counts[key] += 1
            taken.add(unique.casefold())
        found.append(unique)
    return found
