"""Titles of the catalogue that stand in an answer and stood nowhere in its prompt: what a model knew or made up."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from features.grounding import natural, normalised

FEWEST_WORDS, FEWEST_CHARACTERS = 2, 8  # of a title that is looked for: 'It' stands in every second answer
LONG = 4  # letters from which a word of a title has a capital wherever titles have any
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class TitleIndex:
    """Titles by their first two words, so that a text of n words takes n look-ups, whatever the catalogue's size."""

    _by_start: dict[tuple[str, ...], list[tuple[str, ...]]] = field(default_factory=dict)

    @classmethod
    def of(cls, titles: Iterable[str]) -> TitleIndex:
        """Of titles in any spelling; those of fewer than two words or eight characters are left out."""
        found: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
        for title in titles:
            name = normalised(title)
            words = tuple(_WORD.findall(name))
            if len(words) >= FEWEST_WORDS and len(name) >= FEWEST_CHARACTERS:
                found.setdefault(words[:FEWEST_WORDS], set()).add(words)
        return cls({start: sorted(names, key=len, reverse=True) for start, names in found.items()})

    def titles_in(self, text: str) -> list[str]:
        """The titles in a text, normalised, from left to right, none inside another.

        Titles are written with capitals: 'coming home' is none, 'Coming Home' is one.
        """
        written = _words(text)
        words = tuple(word.casefold() for word in written)
        found, place = list[str](), 0
        while place < len(words) - 1:
            starts = self._by_start.get(words[place : place + FEWEST_WORDS], ())
            title = next((each for each in starts if words[place : place + len(each)] == each), ())
            if title and all(map(_as_in_a_title, written[place : place + len(title)])):
                found.append(" ".join(title))
                place += len(title)
            else:
                place += 1
        return found


def unknown_titles(text: str, index: TitleIndex, shown: Callable[[], Iterable[str]]) -> list[str]:
    """The titles in a text, each once, that stand in none of the `plain` texts shown in its prompt.

    Those are read only where a title is found. A part of a shown title is known as well: who was shown 'Dune: Messiah'
    may speak of Dune.
    """
    found = dict.fromkeys(index.titles_in(text))
    seen = "|".join(shown()) if found else ""
    return [title for title in found if f" {title} " not in seen]


def plain(text: str) -> str:
    """A text that was shown, as `unknown_titles` looks into it: folded words with a space on both sides."""
    return f" {' '.join(_words(natural(text))).casefold()} "


def _words(text: str) -> list[str]:
    """Words without accents and signs, as written otherwise."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return _WORD.findall(plain)


def _as_in_a_title(word: str) -> bool:
    return len(word) < LONG or not word[0].islower()
