"""What a tokenizer is: it is fitted to a catalogue once, and gives any item its short tuple of codes from then on."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from features.corpus import Part
from features.quantiser import LARGEST
from features.tokenizers.ties import Ties, settle
from schemas.errors import DataError, StoreError

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

Levels = Annotated[int, Field(gt=0, le=64, description="codes of an item, before ties are told apart")]
Size = Annotated[int, Field(gt=1, le=LARGEST)]
Codes = Annotated[Size, Field(description="codes that a level has")]
Clusters = Annotated[Size, Field(description="parts that a cluster is split into")]
Count = Annotated[int, Field(gt=0)]
Largest = Annotated[Count, Field(description="items of a cluster that is not split again, at most")]
Seed = Annotated[int, Field(ge=0, description="of whatever is drawn")]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
ARRAYS, ABOUT = "tokenizer.safetensors", "tokenizer.json"


@dataclass(frozen=True)
class TokenInputs:
    """What tokenizers read of N items; a row is an item everywhere, also in the edges of `train`."""

    items: pl.DataFrame  # id and text columns
    x: Float32  # [N, D] text vectors; D = 0 where no text is quantised
    present: NDArray[np.bool_]  # [N] whether an item has a vector
    train: Part | None = None
    collaborative: Float32 | None = None  # [N, d] made of train alone; a zero row where train does not know the item

    @property
    def ids(self) -> list[str]:
        """The items' ids, in row order."""
        return self.items["id"].to_list()

    def sorted(self) -> TokenInputs:
        """The same in the order of ids: what is made of it does not depend on the order that it came in."""
        order = self.items["id"].arg_sort().to_numpy()
        if np.array_equal(order, np.arange(len(order))):
            return self
        place = np.argsort(order)
        train = self.train and replace(self.train, edges=np.stack([self.train.edges[0], place[self.train.edges[1]]]))
        collaborative = None if self.collaborative is None else self.collaborative[order]
        return TokenInputs(self.items[order.tolist()], self.x[order], self.present[order], train, collaborative)

    def without_vectors(self) -> TokenInputs:
        """The same without text vectors."""
        return replace(self, x=self.x[:, :0], present=np.zeros_like(self.present))

    def hash(self, columns: tuple[str, ...], reads_train: bool) -> str:
        """A hash of the ids, the vectors, these columns, and of train where it is read; rows in the order of ids."""
        rows = self.sorted()
        told = hashlib.sha256(json.dumps(rows.ids).encode())
        told.update(f"{rows.x.shape}".encode() + np.ascontiguousarray(rows.x, "<f4").tobytes() + rows.present.tobytes())
        for column in columns:
            told.update(json.dumps(rows.items[column].to_list(), default=str).encode())
        if reads_train and rows.train is not None:
            told.update(np.ascontiguousarray(rows.train.edges, "<i8").tobytes())
            told.update(np.ascontiguousarray(rows.train.time, "<i8").tobytes())
        return told.hexdigest()


class Tokenizer(ABC):
    """Items become tuples of codes. Options of the run file are the keyword-only parameters of the constructor.

    What was learned stands in `arrays` and `about`, which `save` writes. Codes of `encode` may be those of several
    items; `unique` tells them apart.
    """

    source: ClassVar[str]  # paper, or what it stands for
    reads_text: ClassVar[bool] = False  # vectors of the entry's texts
    reads_train: ClassVar[bool] = False
    one_vocabulary: ClassVar[bool] = False  # whether a code means the same on every level
    ties: Ties = "extra"

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self.about: dict[str, Any] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the items table that are read as they are."""
        return ()

    @property
    def collaborative(self) -> int | None:
        """Width of the collaborative vectors that `fit` wants; None where it wants none."""
        return None

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, ...]:
        """Codes of each level of `encode`: [L]."""

    def fit(self, inputs: TokenInputs) -> None:
        """Learn from a catalogue, whatever the order of its rows. Raises DataError where something is missing."""
        self._check(inputs)
        self.arrays, self.about = {}, {}
        self._fit(inputs.sorted())

    @abstractmethod
    def encode(self, inputs: TokenInputs) -> Int32:
        """Codes int32 [N, L] of every item, known or new, in row order; nothing is learned."""

    def unique(self, inputs: TokenInputs, codes: Int32, new: Int64, taken: Int32) -> Int32:
        """Distinct codes [len(new), L'] of the rows `new` of codes [N, L], none of them in `taken` [M, L'].

        `inputs` is in the order of ids. Raises DataError where there is no room for another item.
        """
        distance = None if self.ties == "extra" else self.last_distances(inputs)[new]
        return settle(codes[new], taken, self.ties, distance)

    def last_distances(self, inputs: TokenInputs) -> Float32:
        """How far every item is from each code of the last level, given its other codes: [N, K]."""
        raise NotImplementedError(f"{type(self).__name__}: codes have no distances")

    def save(self, folder: Path) -> None:
        """Write what was learned, as safetensors and JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: np.ascontiguousarray(array) for name, array in self.arrays.items()}, folder / ARRAYS)
        (folder / ABOUT).write_text(json.dumps(self.about, ensure_ascii=False), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read what `save` wrote. Raises StoreError where that cannot be read."""
        try:
            self.arrays = load_file(folder / ARRAYS)
            self.about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError, SafetensorError) as error:
            raise StoreError(f"{folder}: no fitted tokenizer that can be read ({error}); set refit = true") from None

    @abstractmethod
    def _fit(self, inputs: TokenInputs) -> None:
        """Fill `arrays` and `about` from inputs in the order of ids."""

    def _check(self, inputs: TokenInputs) -> None:
        name = type(self).__name__
        if not inputs.items.height:
            raise DataError(f"{name}: expected items, found none")
        if self.reads_text and not inputs.present.any():
            raise DataError(f"{name}: expected text vectors, found none; name a text under semantic_ids.item")
        if not np.isfinite(inputs.x).all():
            bad = inputs.ids[int(np.flatnonzero(~np.isfinite(inputs.x).all(axis=1))[0])]
            raise DataError(f"{name}: item {bad!r}: expected finite vectors, found NaN or infinity")
        if self.reads_train and inputs.train is None:
            raise DataError(f"{name}: expected the train part, found none")
        for column in self.columns:
            if column not in inputs.items.columns:
                raise DataError(f"{name}: items: no column {column!r}; there are {', '.join(inputs.items.columns)}")
