"""Titles that a language model wrote, looked up among those of the catalogue or of a prompt."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from rapidfuzz import fuzz, process

Status = Literal["exact", "normalised", "fuzzy", "none"]
CUTOFF = 90.0  # similarity, 0 to 100, from which a title is taken for another
_ARTICLE = re.compile(r"^(.*\S), (the|a|an|les?|la|l'|der|die|das|el|los|las|il)(?=$|\s*[(:])", re.IGNORECASE)
_SERIES_OR_YEAR = re.compile(r"\s*\([^()]*(?:#|\b(?:18|19|20)\d\d\b)[^()]*\)")
_SIGNS = re.compile(r"[^\w\s]|_")


@dataclass(frozen=True, slots=True)
class Grounded:
    """What a title is in the catalogue; `score` is 1 for equal titles and 0 for none."""

    status: Status
    id: str | None
    score: float


NOWHERE = Grounded("none", None, 0.0)


def natural(title: str) -> str:
    """A title as people say it: 'Matrix, The (1999)' is 'The Matrix (1999)' (KAR, 3.2)."""
    return _ARTICLE.sub(_in_front, title)


def normalised(title: str) -> str:
    """A title without case, accents, signs, a leading article, and what stands in brackets about series or year."""
    plain = unicodedata.normalize("NFKD", _SERIES_OR_YEAR.sub("", natural(title))).casefold()
    words = _SIGNS.sub(" ", "".join(letter for letter in plain if not unicodedata.combining(letter))).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("the", "a", "an") else words)


@dataclass(frozen=True)
class Titles:
    """Titles and the id of each. Of equal titles the first in order is taken."""

    ids: Mapping[str, str]  # title -> id

    def ground(self, title: str) -> Grounded:
        """The nearest title: equal, equal when normalised, or similar to at least 90 %."""
        if title in self.ids:
            return Grounded("exact", self.ids[title], 1.0)
        wanted = normalised(title)
        if not wanted:
            return NOWHERE
        if wanted in self._normalised:
            return Grounded("normalised", self._normalised[wanted], 1.0)
        found = process.extractOne(wanted, self._names, scorer=fuzz.ratio, score_cutoff=CUTOFF)
        return NOWHERE if found is None else Grounded("fuzzy", self._normalised[found[0]], found[1] / 100)

    @cached_property
    def _normalised(self) -> dict[str, str]:
        known: dict[str, str] = {}
        for title, id in self.ids.items():
            known.setdefault(normalised(title), id)
        known.pop("", None)
        return known

    @cached_property
    def _names(self) -> list[str]:
        return list(self._normalised)


def _in_front(found: re.Match[str]) -> str:
    article = found[2].capitalize()
    return article + ("" if article.endswith("'") else " ") + found[1]
