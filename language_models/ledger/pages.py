"""The rows of a SQLite file page by page, past any that is damaged (SQLite: database file format, sections 1 to 2).

A row is told to be of a table by the types of its columns, which no two tables of the ledger share; so the rows are
found though the pages above them, or the schema, cannot be read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

Value = None | int | float | str | bytes
# table -> its columns: t text, f number, . the row's own number; capital letters may be null
SHAPES = {
    "instructions": "ttt",
    "templates": ".ttttttt",
    "states": ".ttttTffffffftfF",
    "prompts": ".ttf",
    "answers": ".fftttfffftff",
    "calibration": "ttff",
    "facts": "tt",
    "batches": ".ttttttfTTFt",
    "budget": "tffff",
}
KINDS: dict[str, tuple[type, ...]] = {".": (type(None),), "t": (str,), "f": (int, float)}
KINDS |= {letter.upper(): (*KINDS[letter], type(None)) for letter in "tf"}
LEAF = 0x0D
PAGE = 4096  # SQLite's default, where the header is gone
MAGIC = b"SQLite format 3\0"
INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # serial type -> bytes


class Pages:
    """A database file without its write-ahead log."""

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        self.has_header = self.content.startswith(MAGIC)
        size = int.from_bytes(self.content[16:18], "big") if self.has_header else PAGE
        self.size = 65536 if size == 1 else size
        if self.size < 512 or self.size & (self.size - 1):
            self.size = PAGE
        self.usable = self.size - (self.content[20] if self.has_header else 0)

    @property
    def version(self) -> int | None:
        """The `user_version`; None where the header is gone."""
        return int.from_bytes(self.content[60:64], "big") if self.has_header else None

    def rows(self) -> Iterator[tuple[str, tuple[Value, ...]]]:
        """Table and values of every row that can be read; a row's own number stands in its place."""
        free = self._free()
        for number in range(1, len(self.content) // self.size + 1):
            page, start = self.page(number), 100 if number == 1 else 0
            if number not in free and page[start] == LEAF:
                yield from self._leaf(page, start)

    def page(self, number: int) -> bytes:
        """One page, counted from 1; empty where there is none."""
        return self.content[(number - 1) * self.size : number * self.size]

    def _leaf(self, page: bytes, start: int) -> Iterator[tuple[str, tuple[Value, ...]]]:
        cells = int.from_bytes(page[start + 3 : start + 5], "big")
        for cell in range(min(cells, self.size // 4)):
            place = start + 8 + 2 * cell
            try:
                row, values = self._cell(page, int.from_bytes(page[place : place + 2], "big"))
            except (IndexError, ValueError, struct.error):
                continue
            for table, shape in SHAPES.items():
                if _fits(values, shape):
                    yield (
                        table,
                        tuple(row if letter == "." else each for letter, each in zip(shape, values, strict=True)),
                    )

    def _cell(self, page: bytes, place: int) -> tuple[int, list[Value]]:
        """The row number and the values of a cell. Raises IndexError or ValueError where it is none."""
        length, place = _varint(page, place)
        row, place = _varint(page, place)
        local = self._local(length)
        payload = page[place : place + local]
        if local < length:
            payload += self._overflow(int.from_bytes(page[place + local : place + local + 4], "big"), length - local)
        if len(payload) != length:
            raise ValueError("cut off")
        return row, _record(payload)

    def _local(self, length: int) -> int:
        """How much of a payload lies in its own page."""
        most, least = self.usable - 35, (self.usable - 12) * 32 // 255 - 23
        if length <= most:
            return length
        kept = least + (length - least) % (self.usable - 4)
        return kept if kept <= most else least

    def _overflow(self, number: int, length: int) -> bytes:
        if length > len(self.content):
            raise ValueError("longer than the file")
        found = b""
        while number and len(found) < length:
            page = self.page(number)
            found += page[4 : self.usable]
            number = int.from_bytes(page[:4], "big")
        return found[:length]

    def _free(self) -> set[int]:
        """Pages that hold nothing any more."""
        trunk, free = int.from_bytes(self.content[32:36], "big") if self.has_header else 0, set[int]()
        while trunk and trunk not in free and (page := self.page(trunk)):
            count = min(int.from_bytes(page[4:8], "big"), self.size // 4 - 2)
            free |= {trunk, *struct.unpack(f">{count}I", page[8 : 8 + 4 * count])}
            trunk = int.from_bytes(page[:4], "big")
        return free


def _record(payload: bytes) -> list[Value]:
    """The values of a record. Raises ValueError where its header does not agree with its length."""
    end, place = _varint(payload, 0)
    types = []
    while place < end:
        kind, place = _varint(payload, place)
        types.append(kind)
    values: list[Value] = []
    for kind in types:
        value, place = _value(payload, kind, place)
        values.append(value)
    if place != len(payload):
        raise ValueError("header and length do not agree")
    return values


def _value(payload: bytes, kind: int, place: int) -> tuple[Value, int]:
    if kind == 0:
        return None, place
    if kind in INTEGERS:
        end = place + INTEGERS[kind]
        return int.from_bytes(payload[place:end], "big", signed=True), end
    if kind == 7:
        return float(struct.unpack(">d", payload[place : place + 8])[0]), place + 8
    if kind in (8, 9):
        return kind - 8, place
    if kind < 12:
        raise ValueError("no such type")
    end = place + (kind - 12) // 2
    return (payload[place:end].decode() if kind % 2 else payload[place:end]), end


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where what follows begins."""
    value = 0
    for read in range(8):
        byte = content[place + read]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + read + 1
    return value << 8 | content[place + 8], place + 9


def _fits(values: Sequence[Value], shape: str) -> bool:
    return len(values) == len(shape) and all(
        isinstance(each, KINDS[letter]) for each, letter in zip(values, shape, strict=True)
    )
