"""All items of a night coded: those that were coded before keep their codes, the others get codes that are free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.tokenizers.base import Int32, TokenInputs, Tokenizer
from features.tokenizers.numbered import Numbered
from features.tokenizers.ties import groups
from schemas.errors import DataError

COLLAPSED = 256  # different vectors with the same codes: more than one further code tells apart


@dataclass(frozen=True)
class Coded:
    """Distinct codes of items in the order of their ids, and how they came about."""

    ids: list[str]
    codes: Int32  # [N, L']
    sizes: tuple[int, ...]  # [L']
    raw: Int32  # [N, L] before ties were told apart, as the tokenizer gives them tonight
    new: NDArray[np.bool_]  # [N] coded tonight for the first time


def code_items(tokenizer: Tokenizer, inputs: TokenInputs, earlier: pl.DataFrame | None = None) -> Coded:
    """Give every item its codes with a fitted tokenizer.

    `earlier`: `id` and `codes` of everything it has coded before, also what is gone: codes are never given twice.
    Raises DataError where there is no room for another item, and where codebooks have collapsed.
    """
    inputs = inputs.sorted()
    raw, ids = tokenizer.encode(inputs), inputs.ids
    before = {} if earlier is None else dict(zip(earlier["id"].to_list(), earlier["codes"].to_list(), strict=True))
    if tokenizer.reads_text:
        _refuse_collapse(tokenizer, inputs, raw)
    new = np.array([id not in before for id in ids])
    width = len(next(iter(before.values()), ())) or raw.shape[1] + 1
    taken = np.array(list(before.values()), dtype=np.int32).reshape(len(before), width)
    fresh = tokenizer.unique(inputs, raw, np.flatnonzero(new), taken)
    codes = np.empty((len(ids), fresh.shape[1]), dtype=np.int32)
    codes[new] = fresh
    codes[~new] = np.array([before[id] for id in ids if id in before], dtype=np.int32).reshape(-1, fresh.shape[1])
    raw = codes if isinstance(tokenizer, Numbered) else raw  # whose numbers of new items are known by now
    sizes = _sizes(tokenizer.sizes, taken, codes)
    return Coded(ids, codes, (max(sizes),) * len(sizes) if tokenizer.one_vocabulary else sizes, raw, new)


def _sizes(declared: tuple[int, ...], taken: Int32, codes: Int32) -> tuple[int, ...]:
    """A level has as many codes as its tokenizer says, and more where ties needed more, tonight or before."""
    needed = np.vstack([taken.reshape(-1, codes.shape[1]), codes]).max(axis=0) + 1
    said = np.zeros_like(needed)
    said[: min(len(declared), len(said))] = declared[: len(said)]
    return tuple(int(size) for size in np.maximum(needed, said))


def _refuse_collapse(tokenizer: Tokenizer, inputs: TokenInputs, raw: Int32) -> None:
    """Raise DataError where more different vectors share all their codes than a level, or COLLAPSED, has codes."""
    rows = np.flatnonzero(inputs.present)
    group = groups(raw[rows])
    most = int(np.bincount(group, minlength=1).argmax())
    limit = max(COLLAPSED, *tokenizer.sizes)
    mine = rows[group == most]
    if len(mine) > limit and (different := len(np.unique(inputs.x[mine], axis=0))) > limit:
        raise DataError(
            f"{type(tokenizer).__name__}: {different} items with different vectors share the codes "
            f"{raw[mine[0]].tolist()}: the codebooks have collapsed; train longer, or use more levels or codes"
        )
