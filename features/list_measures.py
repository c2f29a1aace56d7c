"""What the suites of published lists and codes judge; lists are counted block by block, on their way to the table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.measures import Measured
from features.table_measures import SHOWN, Findings

Int64 = NDArray[np.int64]
COUNTS = ("empty_cells", "unknown_ids", "repeated_items", "seen", "bad_scores", "bad_ranks", "unsorted")


class ListMeter:
    """Counts what is wrong with lists of `k` items each while their blocks go by; a list is in one block.

    `owners`, `items`: the ids there are. `seen`: pairs `owner row * items + item row` that no list may have, sorted.
    `personal`: [owners] whose lists must differ; nobody's where the model gives everyone the same.
    """

    def __init__(
        self,
        columns: tuple[str, str],  # of the list's owner and of what is listed
        owners: pl.Series,
        items: pl.Series,
        k: int,
        seen: Int64,
        personal: NDArray[np.bool_],
    ) -> None:
        self.columns, self.k, self.seen, self.personal = columns, k, seen, personal
        self._owners, self._items = _rows_of(owners, "owner"), _rows_of(items, "item")
        self._has = np.zeros(len(owners), dtype=bool)  # whose list has come
        self._listed = np.zeros(len(items), dtype=np.int64)  # lists that have the item
        self._compared = np.zeros(len(items), dtype=np.int64)  # of those whose lists must differ
        self._counts = dict.fromkeys(COUNTS, 0)
        self._examples: dict[str, list[str]] = {name: [] for name in COUNTS}
        self.rows = 0

    def through(self, blocks: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Give the blocks on, counted."""
        for block in blocks:
            self._add(block)
            yield block

    def measured(self, distinct_before: int | None) -> Measured:
        """The figures of all blocks; `distinct_before`: items in the lists of the night before, None: no such night."""
        found = Findings()
        found.note("rows", self.rows)
        for name in COUNTS:
            found.note(name, self._counts[name], self._examples[name])
        places = np.minimum(self.k, len(self._items) - self._seen_of_each())
        due = places > 0
        found.note("coverage", float(self._has[due].mean()) if due.any() else None)
        found.note("places", self.rows / int(places[due].sum()) if due.any() else None)
        found.note("alike", self._alike())
        distinct = int(np.count_nonzero(self._listed))
        told = [f"{distinct:,} now, {distinct_before:,} before"] if distinct_before else []
        found.note("distinct_share", distinct / distinct_before if distinct_before else None, told)
        return found.measured(self.rows)

    def _add(self, block: pl.DataFrame) -> None:
        of, listed = self.columns
        self.rows += block.height
        cells = pl.any_horizontal(pl.col(name).is_null() for name in (of, listed, "rank", "score"))
        self._count("empty_cells", block, block.select(cells).to_series())
        rows = block
        for column, ids in ((of, self._owners), (listed, self._items)):
            rows = rows.join(ids.rename({"id": column}), on=column, how="left", maintain_order="left")
        unknown = rows["owner"].is_null() | rows["item"].is_null()
        self._count("unknown_ids", rows, unknown)
        self._count("bad_scores", rows, ~rows["score"].is_finite().fill_null(True))
        known = rows.filter(~unknown).sort("owner", "rank", maintain_order=True)
        pair = pl.struct("owner", "item")
        again = known.select(~pair.is_first_distinct()).to_series() | known["owner"].is_in(self._done().implode())
        self._count("repeated_items", known, again)
        codes = known["owner"].to_numpy() * len(self._items) + known["item"].to_numpy()
        self._count("seen", known, pl.Series(_among(codes, self.seen)))
        self._count_orders(known)
        owner, item = known["owner"].to_numpy(), known["item"].to_numpy()
        self._listed += np.bincount(item, minlength=len(self._listed))
        self._compared += np.bincount(item[self.personal[owner]], minlength=len(self._compared))
        self._has[owner] = True

    def _alike(self) -> float | None:
        """Mean share of a list that is in another user's as well, above what lists drawn by chance have: 1 is one list.

        Null where fewer than two lists must differ, or where they hold the whole catalogue.
        """
        lists, places = int((self._has & self.personal).sum()), float(self._compared.sum())
        if lists < 2 or not places:
            return None
        pairs = float((self._compared * (self._compared - 1.0)).sum()) / (lists * (lists - 1))
        overlap, chance = pairs / (places / lists), places / lists / len(self._compared)
        return (overlap - chance) / (1 - chance) if chance < 1 else None

    def _count_orders(self, known: pl.DataFrame) -> None:
        """Ranks that leave a hole or are there twice, and scores that rise; `known` is sorted by owner and rank."""
        place = pl.int_range(1, pl.len() + 1).over("owner")
        wrong = known.filter(known.select(pl.col("rank") != place).to_series().fill_null(False)).unique("owner")
        self._count("bad_ranks", wrong, pl.Series([True] * wrong.height, dtype=pl.Boolean))
        rises = (pl.col("score") > pl.col("score").shift(1)).over("owner")
        worse = known.filter(known.select(rises).to_series().fill_null(False)).unique("owner")
        self._count("unsorted", worse, pl.Series([True] * worse.height, dtype=pl.Boolean))

    def _count(self, name: str, rows: pl.DataFrame, fault: pl.Series) -> None:
        bad = rows.filter(fault.fill_null(False))
        self._counts[name] += bad.height
        shown = self._examples[name]
        for owner, item in bad.select(*self.columns).head(SHOWN - len(shown)).rows():
            shown.append(f"{owner}/{item}")

    def _done(self) -> pl.Series:
        return pl.Series(np.flatnonzero(self._has), dtype=pl.Int64)

    def _seen_of_each(self) -> Int64:
        return np.bincount(self.seen // max(len(self._items), 1), minlength=len(self._has)).astype(np.int64)


def measure_codes(codes: pl.DataFrame, items: pl.Series, before: pl.DataFrame | None) -> Measured:
    """Figures of semantic ids, of the rules of `schemas.expectations.code_suite`. `before`: those of the night before.

    `codes` and `before`: name, id, fit, codes, sizes.
    """
    found, shown = Findings(), pl.format("{} {}", pl.col("name").fill_null("?"), pl.col("id").fill_null("?"))
    found.note("rows", codes.height)
    empty = pl.any_horizontal(pl.col(name).is_null() for name in ("name", "id", "codes", "sizes"))
    found.rows_where("empty_cells", codes, empty, shown)
    found.rows_where("repeated_ids", codes, ~pl.struct("name", "id").is_first_distinct(), shown)
    found.rows_where("unknown_ids", codes, ~pl.col("id").is_in(items.implode()), shown)
    wanted = codes.select(pl.col("name").drop_nulls().unique()).join(items.to_frame("id"), how="cross")
    missing = wanted.join(codes, on=["name", "id"], how="anti")
    found.rows_where("uncoded", missing, pl.lit(True), shown)
    found.rows_where("wrong_lengths", codes, pl.col("codes").list.len() != pl.col("sizes").list.len(), shown)
    whole = codes.filter(pl.col("codes").list.len() == pl.col("sizes").list.len())
    each = whole.select("name", "id", "codes", "sizes").explode("codes", "sizes")
    out = each.filter((pl.col("codes") < 0) | (pl.col("codes") >= pl.col("sizes")) | pl.col("codes").is_null())
    found.rows_where("out_of_range", out.unique(["name", "id"]), pl.lit(True), shown)
    found.rows_where("collisions", codes, ~pl.struct("name", "codes").is_first_distinct(), shown)
    old = codes.head(0) if before is None else before
    both = codes.join(old.select("name", "id", "fit", old="codes"), on=["name", "id", "fit"])
    found.rows_where("moved", both, pl.col("codes").ne_missing(pl.col("old")), shown)
    return found.measured(codes.height)


def _rows_of(ids: pl.Series, name: str) -> pl.DataFrame:
    """The ids and the row of each."""
    return pl.DataFrame({"id": ids, name: np.arange(len(ids), dtype=np.int64)})


def _among(codes: Int64, known: Int64) -> NDArray[np.bool_]:
    """Which codes are among sorted ones."""
    if not len(known):
        return np.zeros(len(codes), dtype=bool)
    place = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    return np.asarray(known[place] == codes)
