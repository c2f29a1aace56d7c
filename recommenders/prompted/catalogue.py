"""A whole catalogue's titles, looked up by edit distance, with the year as a second key (arXiv 2308.10053, section 3).

Short titles are near to everything ("It", "Up"): a fifth of their letters may differ and no more than two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from features.grounding import NOWHERE, Grounded, normalised

FARTHEST, SHARE = 2, 0.2  # letters that may differ: at most so many, and at most such a part of the title
YEARS_APART = 1  # release years differ by country
NEIGHBOURS = 8  # nearest names that are tried until the year fits
SHORTEST = 4  # letters of a title of one word that is looked for in running text
_LAST_BRACKETS = re.compile(r"(?<=\S)\s*\([^()]*\)\s*$")  # what tells equal titles apart: an author, a brand
_YEAR = re.compile(r"\((?:[^()]*\D)?((?:18|19|20)\d\d)\)?[^()]*\)?\s*$")


class Catalogue:
    """Titles by row; ids of what is found are rows, as text."""

    def __init__(self, titles: Sequence[str]) -> None:
        self.titles = titles

    def ground(self, said: str) -> Grounded:
        """The title that is meant: equal, equal when normalised, or two letters away at most; another year is none."""
        if (row := self._exact.get(said)) is not None:
            return Grounded("exact", str(row), 1.0)
        name, year = normalised(said), year_of(said)
        most = min(FARTHEST, int(SHARE * len(name)))
        if not name:
            return NOWHERE
        near = process.extract(name, self._names, scorer=Levenshtein.distance, score_cutoff=most, limit=NEIGHBOURS)
        for found, distance, _ in sorted(near, key=lambda each: each[1]):
            if (row := self._of_year(found, year)) is not None:
                return Grounded("fuzzy" if distance else "normalised", str(row), 1 - distance / len(name))
        return NOWHERE

    def mentioned(self, text: str) -> list[int]:
        """Rows of the titles that stand in a text as whole words, in order; a title within a longer one does not count.

        Of titles that differ in the year alone, the one whose year the text has, else all.
        """
        words, found, start = normalised_words(text), list[int](), 0
        while start < len(words):
            runs = range(min(self._longest, len(words) - start), 0, -1)
            size = next((n for n in runs if self._stands(" ".join(words[start : start + n]))), 0)
            if size:
                found += self._meant(" ".join(words[start : start + size]), text)
            start += size or 1
        return list(dict.fromkeys(found))

    def _of_year(self, name: str, year: int | None) -> int | None:
        """The row of a name: of the year that was said or, where none was or the title has none, the first."""
        rows = self._by_name[name]
        if year is None:
            return rows[0][1]
        dated = [(abs(own - year), row) for own, row in rows if own is not None]
        if dated and min(dated)[0] <= YEARS_APART:
            return min(dated)[1]
        return next((row for own, row in rows if own is None), None)

    def _meant(self, name: str, text: str) -> list[int]:
        rows = self._by_name[name]
        dated = [row for own, row in rows if own is not None and str(own) in text]
        return dated or [row for _, row in rows]

    def _stands(self, name: str) -> bool:
        return name in self._by_name and (" " in name or len(name) >= SHORTEST)

    @cached_property
    def _exact(self) -> dict[str, int]:
        return {title: row for row, title in reversed(list(enumerate(self.titles)))}

    @cached_property
    def _by_name(self) -> dict[str, list[tuple[int | None, int]]]:
        """Normalised title -> year and row of every item of that name, with or without what stands in last brackets."""
        named: dict[str, list[tuple[int | None, int]]] = {}
        for row, title in enumerate(self.titles):
            for name in dict.fromkeys((normalised(title), normalised(_LAST_BRACKETS.sub("", title)))):
                named.setdefault(name, []).append((year_of(title), row))
        named.pop("", None)
        return named

    @cached_property
    def _names(self) -> list[str]:
        return list(self._by_name)

    @cached_property
    def _longest(self) -> int:
        return max((name.count(" ") + 1 for name in self._names), default=0)


def year_of(title: str) -> int | None:
    """The year in the brackets at the end."""
    found = _YEAR.search(title)
    return int(found[1]) if found else None


def normalised_words(text: str) -> list[str]:
    """The words of a running text as `normalised` has those of titles; articles stay."""
    return normalised("x " + text).split()[1:]
