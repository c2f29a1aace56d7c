"""Semantic ids on the corpus's index: every item as a short tuple of codes, one tuple for one item."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.errors import DataError

Int32 = NDArray[np.int32]
END = -1  # fills the levels after the last of a shorter tuple


@dataclass(frozen=True)
class ItemCodes:
    """Codes of all items in index order. Tuples are distinct; shorter ones (titles) end with -1."""

    codes: Int32  # [I, L], coarse first
    sizes: tuple[int, ...]  # [L] codes of each level; a code is below its level's size
    source: str  # the entry of [[semantic_ids]]

    @cached_property
    def hash(self) -> str:
        """What a checkpoint remembers: the same codes in the same order of items have the same."""
        told = hashlib.sha256(f"{self.codes.shape} {self.sizes}".encode())
        told.update(np.ascontiguousarray(self.codes, dtype="<i4").tobytes())
        return told.hexdigest()

    def prefixes(self, levels: int) -> NDArray[np.int64]:
        """The number of every item's prefix of 1, 2, ... codes, from 0: [I, at most levels].

        The last level tells items apart that share all others, so it makes no prefix of its own.
        """
        most = min(levels, max(self.codes.shape[1] - 1, 1))
        found = [np.unique(self.codes[:, :level], axis=0, return_inverse=True)[1] for level in range(1, most + 1)]
        return np.stack([each.ravel() for each in found], axis=1).astype(np.int64)


def align_codes(rows: pl.DataFrame, ids: pl.Series, source: str) -> ItemCodes:
    """Put codes (columns `id`, `codes`, `sizes`) into the order of `ids`.

    Raises DataError on an item without codes, an unknown or repeated id, another number of levels, a code outside its
    level, and two items with the same codes.
    """
    if rows["id"].is_duplicated().any():
        twice = rows.filter(pl.col("id").is_duplicated())["id"][0]
        raise DataError(f"{source}: item {twice!r}: expected one tuple of codes, found several")
    unknown = rows.join(pl.DataFrame({"id": ids}), on="id", how="anti")
    if unknown.height:
        raise DataError(f"{source}: item {unknown['id'][0]!r}: has codes but is not in the items table")
    found = pl.DataFrame({"id": ids}).join(rows.select("id", "codes"), on="id", how="left", maintain_order="left")
    if found["codes"].null_count():
        missing = found.filter(pl.col("codes").is_null())["id"][0]
        raise DataError(f"{source}: item {missing!r}: has no codes; run `loregraph tokenize` again")
    sizes = _sizes(rows, source)
    if (wrong := found.filter(pl.col("codes").list.len() != len(sizes))).height:
        raise DataError(
            f"{source}: item {wrong['id'][0]!r}: expected {len(sizes)} codes, found {wrong['codes'][0].len()}"
        )
    codes = found["codes"].explode().to_numpy().reshape(len(ids), len(sizes)).astype(np.int32)
    if (outside := ((codes < END) | (codes >= np.asarray(sizes))).any(axis=1)).any():
        row = int(np.flatnonzero(outside)[0])
        raise DataError(
            f"{source}: item {ids[row]!r}: codes {codes[row].tolist()} are outside the levels {list(sizes)}"
        )
    _refuse_ties(codes, ids, source)
    return ItemCodes(codes, sizes, source)


def shuffled_codes(codes: ItemCodes, seed: int) -> ItemCodes:
    """The shuffled-profile control: the items exchange their codes at random."""
    drawn = np.random.default_rng(seed).permutation(len(codes.codes))
    return replace(codes, codes=codes.codes[drawn], source=f"shuffled({codes.source})")


def _sizes(rows: pl.DataFrame, source: str) -> tuple[int, ...]:
    sizes = rows["sizes"].unique().to_list()
    if len(sizes) != 1:
        raise DataError(f"{source}: expected one number of codes for each level, found {len(sizes)} different ones")
    return tuple(sizes[0])


def _refuse_ties(codes: Int32, ids: pl.Series, source: str) -> None:
    _, first, group = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    second = np.flatnonzero(first[group.ravel()] != np.arange(len(codes)))
    if len(second):
        one, other = ids[int(first[group.ravel()][second[0]])], ids[int(second[0])]
        found = codes[second[0]].tolist()
        raise DataError(f"{source}: items {one!r} and {other!r}: expected distinct codes, found {found} twice")
