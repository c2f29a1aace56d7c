"""The rules that give interactions their part.

| rule | part |
|---|---|
| published | the `split` column; without a valid part, a share `valid` of every user's train rows: `valid_rows` |
| time | the last share `test` of all events, before it a share `valid`; one moment is not cut in two (if there are 3) |
| ratio | shares of every user's rows, drawn at random |
| leave_one_out | a user's last event is test, the one before valid; those below `min_interactions` stay in train |
| oldest | a user's first half, at most `history` events, is train; the rest test, valid or, for most users, reserved |

`oldest` is KAR's (arXiv 2306.10933): prompts and features know train, click models learn from the reserved events;
`test` and `valid` are shares of users. `cold_items` and `cold_users` are shares of ids, drawn at random: what a rule
gave train of them becomes reserved, so that nothing is learned from it; valid and test stay as the rule has them.

Random choices order rows by a hash of seed, user and item, so they do not depend on the order of the rows. A share of a
user's rows is rounded up or down at random in proportion (2.3 rows are 3 with probability 0.3), and a user with train
rows keeps at least one.

A rule reads a user's rows together, in the column `order`, and of all rows no more than `known` says: so the rows of
some users get the same parts alone as among all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.corpus import PARTS, RESERVED
from schemas.errors import ConfigError, DataError
from schemas.sections import Split

Parts = NDArray[np.int8]  # [E] index into PARTS, RESERVED after them
Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Known:
    """What a rule must know of all rows to give some of them their part."""

    has_valid: bool = False  # published: whether the source has a valid part
    cuts: tuple[int, int] = (0, 0)  # time: the first valid row and the first test row, by `order`


def known(rows: pl.DataFrame, split: Split) -> Known:
    """What `split.rule` must know of all rows; they are in `order`. Raises ConfigError where a column is missing."""
    refuse_missing_column(rows.columns, split)
    if split.rule == "published":
        return Known(has_valid=bool((rows["split"] == "valid").any()))
    if split.rule == "time":
        moments = np.flatnonzero(np.diff(rows["timestamp"].to_numpy())) + 1
        return Known(cuts=time_cuts(moments, rows.height, split))
    return Known()


def refuse_missing_column(columns: Collection[str], split: Split) -> None:
    """Raises ConfigError where the rule needs a column that the source does not have."""
    if split.rule == "published" and "split" not in columns:
        raise ConfigError(
            "split.rule = published: the interactions have no split column; use time, ratio or leave_one_out"
        )
    if split.rule == "time" and "timestamp" not in columns:
        raise ConfigError("split.rule = time: the interactions have no timestamps; use ratio or leave_one_out")


def time_cuts(moments: Int64, height: int, split: Split) -> tuple[int, int]:
    """The first valid row and the first test row of `height` rows in order.

    `moments`: the rows at which a later moment begins, ascending. The first two and those around `wanted_cuts`, and
    around the cut that is found for test, are enough of them.
    """
    cuts = moments if len(moments) > 1 else np.arange(1, height)
    wanted_valid, wanted_test = wanted_cuts(height, split)
    test = _nearest(cuts[1:], wanted_test)
    return _nearest(cuts[cuts < test], wanted_valid), test


def wanted_cuts(height: int, split: Split) -> tuple[float, float]:
    """Where valid and test would begin if any row could be cut at."""
    return height * (1 - split.test - split.valid), height * (1 - split.test)


def hold_out(rows: pl.DataFrame, part: Parts, split: Split) -> Parts:
    """The parts after all train rows of the shares `cold_items` and `cold_users` have become reserved."""
    cold = np.zeros(rows.height, dtype=bool)
    for column, share in (("item_id", split.cold_items), ("user_id", split.cold_users)):
        if share:
            cold |= _unit(_drawn_id(rows[column], split.seed, column)) < share
    return np.where(cold & (part == PARTS.index("train")), np.int8(len(PARTS)), part)


def refuse_empty_parts(rows_of: Mapping[str, int], split: Split) -> None:
    """Raises DataError when train, valid or test has no row, with what to change; `rows_of`: part -> rows."""
    for name in PARTS:
        if not rows_of.get(name):
            found = f"found none among {sum(rows_of.values())}"
            raise DataError(
                f"split.rule = {split.rule}: expected interactions in {name}, {found}; {_ADVICE[split.rule]}"
            )


def _published(rows: pl.DataFrame, split: Split, known: Known) -> Parts:
    codes = {name: code for code, name in enumerate(PARTS)}
    part = rows["split"].replace_strict(codes, return_dtype=pl.Int8).to_numpy().copy()
    if not known.has_valid:
        train = np.flatnonzero(part == PARTS.index("train"))
        some, last = rows[train], split.valid_rows == "last"
        part[train] = _drawn(some, split.valid, 0.0, split.seed, -some["order"] if last else None)
    return part


def _by_time(rows: pl.DataFrame, _: Split, known: Known) -> Parts:
    valid, test = known.cuts
    row = rows["order"].to_numpy()
    return ((row >= valid).astype(np.int8) + (row >= test)).astype(np.int8)


def _ratio(rows: pl.DataFrame, split: Split, _: Known) -> Parts:
    return _drawn(rows, split.valid, split.test, split.seed)


def _leave_one_out(rows: pl.DataFrame, split: Split, _: Known) -> Parts:
    last = pl.int_range(pl.len()).reverse().over("user_id")  # 0 for a user's last row; rows are in order
    held = pl.when(pl.len().over("user_id") < split.min_interactions).then(0).otherwise(pl.max_horizontal(2 - last, 0))
    return rows.select(held.cast(pl.Int8)).to_series().to_numpy()


def _oldest(rows: pl.DataFrame, split: Split, _: Known) -> Parts:
    place, size = pl.int_range(pl.len()).over("user_id"), pl.len().over("user_id").cast(pl.Int64)  # rows are in order
    shown = pl.min_horizontal((size + 1) // 2, pl.lit(split.history))
    draw = pl.Series(_unit(_drawn_id(rows["user_id"], split.seed, "oldest")))
    codes = {name: pl.lit(code, dtype=pl.Int8) for code, name in enumerate((*PARTS, RESERVED))}
    later = pl.when(draw < split.test).then(codes["test"]).when(draw < split.test + split.valid).then(codes["valid"])
    part = pl.when(place < shown).then(codes["train"]).otherwise(later.otherwise(codes[RESERVED]))
    return rows.select(part).to_series().to_numpy()


def _drawn(rows: pl.DataFrame, valid: float, test: float, seed: int, first: pl.Series | None = None) -> Parts:
    """[E] parts: shares of every user's rows, drawn by hash whatever their order, or those least in `first`."""
    user, item = _id_hash(rows["user_id"]), _id_hash(rows["item_id"])
    start = _mixed(user ^ np.uint64(seed % 2**64))  # [E] one random number per user and seed
    frame = rows.select(
        "user_id",
        draw=pl.Series(_mixed(start ^ item)) if first is None else first,
        for_test=pl.Series(_unit(_mixed(start ^ np.uint64(1)))),
        for_valid=pl.Series(_unit(_mixed(start ^ np.uint64(2)))),
    )
    count = pl.len().over("user_id").cast(pl.Int64)
    rank = pl.col("draw").rank("ordinal").over("user_id").cast(pl.Int64)  # from 1
    tests = pl.min_horizontal((count * test + pl.col("for_test")).floor().cast(pl.Int64), count - 1)
    valids = pl.min_horizontal((count * valid + pl.col("for_valid")).floor().cast(pl.Int64), count - 1 - tests)
    part = pl.when(rank <= tests).then(2).when(rank <= tests + valids).then(1).otherwise(0)
    return frame.select(part.cast(pl.Int8)).to_series().to_numpy()


def _id_hash(ids: pl.Series) -> UInt64:
    """[E] a hash per id that is the same in every version of every library."""
    names = ids.unique()
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    hashes = pl.DataFrame({"id": names, "hash": np.frombuffer(digests, dtype="<u8").astype(np.uint64)})
    return pl.DataFrame({"id": ids}).join(hashes, on="id", how="left", maintain_order="left")["hash"].to_numpy()


def _drawn_id(ids: pl.Series, seed: int, purpose: str) -> UInt64:
    """[E] a random number per id, seed and purpose."""
    key = int.from_bytes(hashlib.blake2b(f"{seed} {purpose}".encode(), digest_size=8).digest(), "little")
    return _mixed(_id_hash(ids) ^ np.uint64(key))


def _mixed(x: UInt64) -> UInt64:
    """The finaliser of SplitMix64 (Steele et al., OOPSLA 2014): nearby inputs give unrelated outputs."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _unit(x: UInt64) -> NDArray[np.float64]:
    """Random bits as a number in [0, 1)."""
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _nearest(cuts: NDArray[np.int64], wanted: float) -> int:
    return int(cuts[np.abs(cuts - wanted).argmin()]) if len(cuts) else 0


_ADVICE = {
    "published": "check the split column, or raise split.valid where a valid part is cut from train",
    "time": "there are too few events; raise split.valid and split.test, or use another rule",
    "ratio": "raise split.valid and split.test, or use another rule",
    "leave_one_out": "too few users have split.min_interactions; lower it, or use another rule",
    "oldest": "there are too few users; raise split.valid and split.test, or use another rule",
}

RULES: dict[str, Callable[[pl.DataFrame, Split, Known], Parts]] = {
    "published": _published,
    "time": _by_time,
    "ratio": _ratio,
    "leave_one_out": _leave_one_out,
    "oldest": _oldest,
}
