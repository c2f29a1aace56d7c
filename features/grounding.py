"""Titles that a language model wrote, looked up among those of the catalogue or of a prompt."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

Status = Literal["exact", "index", "normalised", "contained", "fuzzy", "embedding", "none"]
STATUSES: tuple[Status, ...] = get_args(Status)  # in the order in which they are tried
Embed = Callable[[Sequence[str]], NDArray[np.float32]]  # texts -> [N, d], rows of unit length
CUTOFF = 90.0  # similarity, 0 to 100, from which a title is taken for another
MARGIN = 5.0  # by which it is nearer than the runner-up
RIVALS = 10  # similar titles that are looked at
SHORTEST = 4  # letters of a title of one word that may be found inside another text
LONGEST = 40  # words of a title that may be found inside another text
LIMIT = 0.05  # share of titles that are none of the catalogue's, above which people are told
_ARTICLE = re.compile(r"^(.*\S), (the|a|an|les?|la|l'|der|die|das|el|los|las|il)(?=$|\s*[(:])", re.IGNORECASE)
_SERIES_OR_YEAR = re.compile(r"\s*\([^()]*(?:#|\b(?:18|19|20)\d\d\b)[^()]*\)")
_YEAR = re.compile(r"\([^()]*?\b((?:18|19|20)\d\d)\b[^()]*\)|\b((?:18|19|20)\d\d)\W*$")
_SIGNS = re.compile(r"[^\w\s]|_")
_INDEX = re.compile(r"\s*+[\[(#]?\s*+(\d{1,4})\s*+[\])]?[.:]?\s*+", re.ASCII)
_NUMBERING = re.compile(r"\s*+(?:[-*•]\s|\[\d{1,4}\]|\(\d{1,4}\)|#?\d{1,4}[.):])\s*+(?=\S)", re.ASCII)
_PART = re.compile(r"\d{1,2}|[ivx]{2,}|[vx]")  # a word that says which part of a series a title is


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


def histogram(grounded: Iterable[Grounded]) -> dict[Status, int]:
    """How many titles have which status, in the order in which the statuses are tried; those that occur."""
    counts = Counter(found.status for found in grounded)
    return {status: counts[status] for status in STATUSES if counts[status]}


def alarm(counts: Mapping[Status, int], limit: float = LIMIT) -> str | None:
    """A sentence for people where more than `limit` of the titles are none of the catalogue's; else None."""
    none, total = counts.get("none", 0), sum(counts.values())
    if none <= limit * total:
        return None
    return (
        f"{none} of {total} titles ({none / total:.1%}) are none of those that were to choose from; at most "
        f"{limit:.0%} were expected: read some answers, and compare how they write titles with how the prompt does"
    )


@dataclass(frozen=True)
class Titles:
    """Titles and the id of each, as one would look them up by hand: what is certain first.

    Tried in this order: the very title; its number, where `order` names the ids as they were shown; equal when
    normalised; the only one that stands in the text, or that the text stands in, as whole words (with `order` alone:
    it says that there is nothing else to choose from, while a whole catalogue has a title for every other word; of
    4,134 recorded answers for goodreads 1,330 would be found so, 'The Book Thief' as 'The Thief'); similar to at least
    90 % and by 5 % more than the runner-up; nearest by `embed`, with a cosine of at least `nearest` and by `apart` more
    than the runner-up. Of titles that are equal when normalised the year decides, else the first is taken. The part of
    a series is no slip of the pen: 'Toy Story 2' is not found as 'Toy Story', nor 'Alien' as 'Aliens'.
    """

    ids: Mapping[str, str]  # title -> id
    order: Sequence[str] = ()  # ids of what there is to choose from, as 1, 2, 3, ... stand for them
    embed: Embed | None = None
    nearest: float = 0.8
    apart: float = 0.05

    def ground(self, title: str) -> Grounded:
        """The title's place in the catalogue, or `NOWHERE`."""
        return self.ground_all([title])[0]

    def ground_all(self, titles: Sequence[str]) -> list[Grounded]:
        """As `ground` for each, with one call of `embed` for those that no word finds."""
        found = [self._by_words(title) for title in titles]
        left = [at for at, each in enumerate(found) if each is NOWHERE and normalised(titles[at])]
        if self.embed is not None and left and self.ids:
            for at, each in zip(left, self._by_vector([titles[at] for at in left], self.embed), strict=True):
                found[at] = each
        return found

    def _by_words(self, title: str) -> Grounded:
        if title in self.ids:
            return Grounded("exact", self.ids[title], 1.0)
        if (index := _INDEX.fullmatch(title)) and 1 <= int(index[1]) <= len(self.order):
            return Grounded("index", self.order[int(index[1]) - 1], 1.0)
        bare = _NUMBERING.sub("", title, count=1) if _NUMBERING.match(title) else title
        if bare in self.ids:
            return Grounded("exact", self.ids[bare], 1.0)
        for said in dict.fromkeys((title, bare)):
            if (name := normalised(said)) in self._named:
                return self._found("normalised", name, title, 1.0)
        inside = self._inside(normalised(bare), title) if self.order else None
        return inside or self._similar(normalised(bare), title)

    def _found(self, status: Status, name: str, title: str, score: float) -> Grounded:
        """Of the titles of a name the one of the year that was said, else one without a year, else the first."""
        by_year, year = self._named[name], _year(title)
        first = next(iter(by_year.values()))
        return Grounded(status, first if year is None else by_year.get(year, by_year.get(None, first)), score)

    def _inside(self, said: str, title: str) -> Grounded | None:
        """The only title that the text holds, titles within titles aside, or else the only one that holds the text."""
        words = said.split()
        held = {run for run in self._runs(words) if run in self._named and _long_enough(run)}
        outer = [name for name in held if not any(_holds(other, name) for other in held if other != name)]
        if not held and _long_enough(said):
            rarest = min((self._holding.get(word, []) for word in words), key=len, default=[])
            outer = [name for name in rarest if _holds(name, said)]
        if len(outer) != 1:
            return None
        [name] = outer
        return self._found("contained", name, title, min(len(name), len(said)) / max(len(name), len(said)))

    def _similar(self, said: str, title: str) -> Grounded:
        near = process.extract(said, self._names, scorer=fuzz.ratio, score_cutoff=CUTOFF - MARGIN, limit=RIVALS)
        rivals = [(name, score) for name, score, _ in near if not _other_title(said, name)]
        if not said or not rivals or rivals[0][1] < CUTOFF:
            return NOWHERE
        if len(rivals) > 1 and rivals[0][1] - rivals[1][1] < MARGIN:
            return NOWHERE
        return self._found("fuzzy", rivals[0][0], title, rivals[0][1] / 100)

    def _by_vector(self, titles: Sequence[str], embed: Embed) -> Iterator[Grounded]:
        ids = list(self.ids.values())
        for cosine in embed(titles) @ self._vectors.T:  # [T]
            best, score = ids[int(cosine.argmax())], float(cosine.max())
            others = cosine[[id != best for id in ids]]
            sure = score >= self.nearest and score - float(others.max(initial=-1.0)) >= self.apart
            yield Grounded("embedding", best, min(score, 1.0)) if sure else NOWHERE

    def _runs(self, words: Sequence[str]) -> Iterator[str]:
        for start in range(len(words)):
            for end in range(start + 1, min(len(words), start + self._longest) + 1):
                if end == len(words) or not _PART.fullmatch(words[end]):
                    yield " ".join(words[start:end])

    @cached_property
    def _named(self) -> dict[str, dict[int | None, str]]:
        """Normalised title -> year, where it has one -> id; the first of equals."""
        named: dict[str, dict[int | None, str]] = {}
        for title, id in self.ids.items():
            if name := normalised(title):
                named.setdefault(name, {}).setdefault(_year(title), id)
        return named

    @cached_property
    def _names(self) -> list[str]:
        return list(self._named)

    @cached_property
    def _holding(self) -> dict[str, list[str]]:
        """Word -> normalised titles with that word."""
        holding: dict[str, list[str]] = {}
        for name in self._names:
            for word in set(name.split()):
                holding.setdefault(word, []).append(name)
        return holding

    @cached_property
    def _longest(self) -> int:
        return min(LONGEST, max((name.count(" ") + 1 for name in self._names), default=0))

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        """[T, d]."""
        assert self.embed is not None
        return self.embed(list(self.ids))


def _year(title: str) -> int | None:
    """The last year in brackets, or at the end."""
    found = [bracketed or last for bracketed, last in _YEAR.findall(title)]
    return int(found[-1]) if found else None


def _long_enough(name: str) -> bool:
    return " " in name or len(name) >= SHORTEST


def _holds(text: str, part: str) -> bool:
    """Whether the words of `part` stand in the text, and no number of a part follows them."""
    _, found, after = f" {text} ".partition(f" {part} ")
    return bool(found) and not _PART.fullmatch(after.partition(" ")[0])


def _other_title(one: str, other: str) -> bool:
    """Whether two similar titles differ in more than letters: in a number, or as one and many do."""
    numbers = [[word for word in text.split() if word.isdigit() or _PART.fullmatch(word)] for text in (one, other)]
    return numbers[0] != numbers[1] or _singular(one) == _singular(other)


def _singular(text: str) -> list[str]:
    return [word.removesuffix("s") for word in text.split()]


def _in_front(found: re.Match[str]) -> str:
    article = found[2].capitalize()
    return article + ("" if article.endswith("'") else " ") + found[1]
