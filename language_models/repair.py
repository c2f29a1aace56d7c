"""The JSON objects in a model's answer: those that stand there, then those that only small repairs keep from standing.

Repaired: trailing commas, comments, Python's literals and quotes, typographic quotes, brackets that are missing at the
end. No value is made up or cut short: a member that is not certainly whole is left out, with all that follows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.records import JSON

DEEPEST = 64  # nested deeper than this, an answer is no answer
LITERALS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_GAP = re.compile(r"(?:\s++|(?://|#(?=\s))[^\n]*+|/\*(?:[^*]++|\*(?!/))*+(?:\*/|\Z))*+")
_CLOSING = {'"': '"', "'": "'", "“": "“”", "”": "“”", "‘": "‘’", "’": "‘’"}  # by what a string may open with
_STRING = {
    opening: re.compile(rf"{opening}([^{closing}\\]*+(?:\\.[^{closing}\\]*+)*+)[{closing}]", re.DOTALL)
    for opening, closing in _CLOSING.items()
}
_KEY = "|".join(string.pattern for string in _STRING.values())
_OPENING = re.compile(rf"\{{(?=\s*+(?:(?:{_KEY})\s*+:|[}}/#]))", re.DOTALL)  # the braces that an object may open with
_ESCAPE = re.compile(r'\\.|"', re.DOTALL)
_SCALAR = re.compile(r"[-+.\w]*+")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*+)(?:\.\d++)?(?:[eE][-+]?\d++)?|NaN|-?Infinity", re.ASCII)


def objects(text: str) -> Iterator[dict[str, JSON]]:
    """The JSON objects of a text, most trusted first: as they stand, then repaired whole, then their sound beginnings.

    Fences and words around objects are passed over, and an object inside a broken one is never taken for the answer.
    Takes time in proportion to the text, whatever stands in it.
    """
    repaired: list[dict[str, JSON]] = []
    beginnings: list[dict[str, JSON]] = []
    ends: dict[int, int] | None = None
    start = 0
    while (opening := _OPENING.search(text, start)) is not None:
        reader = _Reader(text, opening.start())
        members = reader.outermost()
        start = reader.at
        if reader.broken:
            ends = _ends(text) if ends is None else ends
            start = max(start, ends.get(opening.start(), 0))
        if reader.whole and _stands(text[opening.start() : reader.at]):
            yield members
        elif reader.whole:
            repaired.append(members)
        elif members:
            beginnings.append(members)
    yield from repaired
    yield from beginnings


def _stands(text: str) -> bool:
    """Whether a text is JSON as it is, but for line breaks in its strings."""
    try:
        json.loads(text, strict=False)
    except ValueError:
        return False
    return True


def _ends(text: str) -> dict[int, int]:
    """Position of each `{` -> position behind its `}`, counted without a look at strings."""
    opened: list[int] = []
    ends: dict[int, int] = {}
    for match in re.finditer(r"[{}]", text):
        if match[0] == "{":
            opened.append(match.start())
        elif opened:
            ends[opened.pop()] = match.end()
    return ends


class _Cut(Exception):  # noqa: N818  it ends the reading, not the program
    """The text ends before the value does."""


class _Broken(Exception):  # noqa: N818
    """What stands here cannot be read."""


@dataclass
class _Reader:
    """Reads one object with the repairs, from its opening bracket on; `at` is where another may begin after it."""

    text: str
    at: int
    whole: bool = False  # nothing had to be left out
    broken: bool = False  # it was left at something unreadable, not at its end or the end of the text

    def outermost(self) -> dict[str, JSON]:
        """The members that are certainly whole."""
        inside = self.at + 1
        members: list[tuple[str, JSON]] = []
        sure = None  # of the members; None as long as no key was read: what stands here is meant as no object
        try:
            for key in self._keys():
                sure = len(members)  # with the next key read, the comma before it was no part of a text
                members.append((key, self._value(1)))
            self.whole = True
        except (_Cut, _Broken) as error:
            self.broken = isinstance(error, _Broken) and sure is not None
            if sure is None:
                self.at = inside
                self._mark()
            elif self.broken:
                del members[sure:]
        return dict(members)

    def _keys(self) -> Iterator[str]:
        """The keys of the object that opens here; the caller reads each value."""
        for _ in self._entries("}"):
            key = self._string()
            if not self._take(":"):
                raise self._unreadable()
            yield key

    def _entries(self, closing: str) -> Iterator[None]:
        """Once for each entry of the container that opens here; the end of the text after an entry closes it."""
        self.at += 1
        while not self._take(closing):
            yield
            if self._ended() or self._take(closing):
                return
            if not self._take(","):
                raise _Broken

    def _value(self, depth: int) -> JSON:
        mark = self._mark()
        if depth > DEEPEST:
            self.at = len(self.text)
            raise _Cut
        if mark == "{":
            return {key: self._value(depth + 1) for key in self._keys()}
        if mark == "[":
            return [self._value(depth + 1) for _ in self._entries("]")]
        return self._string() if mark in _STRING else self._scalar()

    def _string(self) -> str:
        mark = self._mark()
        if mark not in _STRING:
            raise self._unreadable()
        match = _STRING[mark].match(self.text, self.at)
        if match is None:
            self.at = len(self.text)
            raise _Cut
        try:
            text = str(json.loads(f'"{_ESCAPE.sub(_escape, match[1])}"', strict=False))
        except ValueError:
            raise _Broken from None
        self.at = match.end()
        return text

    def _scalar(self) -> JSON:
        match = _SCALAR.match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        if match[0] in LITERALS:
            return LITERALS[match[0]]
        if self._ended():
            raise _Cut  # perhaps the first digits of a number
        if not _NUMBER.fullmatch(match[0]):
            raise _Broken
        try:
            return json.loads(match[0])
        except ValueError:  # more digits than Python turns into a number
            raise _Broken from None

    def _mark(self) -> str:
        """The next character that is no space and no comment; empty at the end."""
        gap = _GAP.match(self.text, self.at)
        assert gap is not None
        self.at = gap.end()
        return self.text[self.at : self.at + 1]

    def _take(self, mark: str) -> bool:
        if self._mark() != mark:
            return False
        self.at += 1
        return True

    def _ended(self) -> bool:
        return not self._mark() or self.text.startswith("```", self.at)

    def _unreadable(self) -> Exception:
        return _Cut() if self._ended() else _Broken()


def _escape(match: re.Match[str]) -> str:
    """Inside a string of any quotes: what JSON's own quotes want escaped, and what they do not."""
    return {'"': '\\"', "\\'": "'"}.get(match[0], match[0])
