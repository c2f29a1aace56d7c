"""What an online store is: the features of the live release by id, switched to the next release at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.views import View
from schemas.records import Kind

Value = str | NDArray[np.float32] | list[int] | list[str]
Entry = tuple[Kind, str, str, bytes]  # kind, id, name of the feature, packed value
Features = Mapping[str, Value]
ROWS_AT_ONCE = 2_000  # entries in one write: short transactions, and little in memory


@dataclass(frozen=True, slots=True)
class Fed:
    """What readers see: the number of a release and its night; `content` differs whenever what was fed does."""

    release: int
    ds: str
    content: str

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str | bytes) -> Self:
        return cls(**json.loads(text))


class OnlineStore(Protocol):
    """Features by kind and id. Readers see all of one release: the old one until the last row of the new one is there.

    One process feeds, any number read. What an ended feed has left is taken away by the next one.
    """

    def live(self) -> Fed | None:
        """What readers see; None before the first feed."""
        ...

    def feed(self, fed: Fed, entries: Iterable[Entry]) -> int:
        """Write every entry, then make them what readers see, then delete the ones before; returns how many.

        Raises StoreError where it cannot; readers then keep what they had.
        """
        ...

    def get(self, kind: Kind, id: str) -> Features:
        """Every feature of a user or item by its name; empty for one that the release does not know."""
        ...

    def get_many(self, kind: Kind, ids: Sequence[str], names: Sequence[str] | None = None) -> dict[str, Features]:
        """`get` for several, all of one release, in the order of `ids`; `names`: only these features.

        Raises StoreError where nothing was fed yet.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def entries(view: View) -> Iterator[Entry]:
    """A view as entries."""
    for id, value in view.rows.iter_rows() if view.rows["value"].dtype == pl.String else _slices(view.rows):
        if value is not None:
            yield view.kind, id, view.name, pack(value)


def pack(value: Value) -> bytes:
    """A text, vector, list of numbers or list of ids as bytes: a letter, then UTF-8, JSON or float32 LE."""
    if isinstance(value, str):
        return b"t" + value.encode()
    if isinstance(value, np.ndarray):
        return b"f" + np.asarray(value, dtype="<f4").tobytes()
    return b"j" + json.dumps(list(value), ensure_ascii=False, separators=(",", ":")).encode()


def unpack(packed: bytes) -> Value:
    """What `pack` was given; a vector as [dim] float32."""
    kind, rest = packed[:1], packed[1:]
    if kind == b"f":
        return np.frombuffer(rest, dtype="<f4").astype(np.float32)
    return rest.decode() if kind == b"t" else json.loads(rest)


def _slices(rows: pl.DataFrame) -> Iterator[tuple[str, Value]]:
    """Ids and lists; lists of floats as arrays, some rows at a time."""
    floats = rows["value"].dtype == pl.List(pl.Float32)
    for part in rows.iter_slices(ROWS_AT_ONCE):
        values = (each.to_numpy() if floats else each.to_list() for each in part["value"])
        yield from zip(part["id"], values, strict=True)
