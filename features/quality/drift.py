"""How far tonight's texts are from those of an earlier night."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.quality.words import Int64, UInt64, split_words

WEEK = timedelta(days=7)


def earlier_night(nights: Sequence[str], ds: str) -> str | None:
    """The newest night at least seven days before `ds`, else the oldest before it; None where there is none."""
    before = [night for night in nights if night < ds]
    week_ago = [night for night in before if date.fromisoformat(night) <= date.fromisoformat(ds) - WEEK]
    return max(week_ago) if week_ago else min(before, default=None)


def text_change(now: pl.DataFrame, before: pl.DataFrame) -> float | None:
    """Share of the ids of both frames (id, text) whose text is another one; None where no id is in both."""
    both = now.join(before, on="id", suffix="_before")
    return float((both["text"] != both["text_before"]).mean()) if both.height else None  # type: ignore[arg-type]


def length_drift(now: float, before: float) -> float | None:
    """How much longer or shorter texts have become: 0.5 is half as many words again, or half of them."""
    return abs(now / before - 1) if before else None


def word_drift(now: pl.Series, before: pl.Series) -> float | None:
    """Jensen-Shannon distance (base 2, so 0 to 1) of how often each word is used; None where either has no words."""
    (words, counts), (words_before, counts_before) = _frequencies(now), _frequencies(before)
    if not len(words) or not len(words_before):
        return None
    every = np.union1d(words, words_before)
    p, q = np.zeros(len(every)), np.zeros(len(every))
    p[np.searchsorted(every, words)] = counts / counts.sum()
    q[np.searchsorted(every, words_before)] = counts_before / counts_before.sum()
    middle = (p + q) / 2
    return float(np.sqrt(max(0.0, (_divergence(p, middle) + _divergence(q, middle)) / 2)))


def _divergence(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    """Kullback-Leibler, in bits; `q` is above 0 wherever `p` is."""
    some = p > 0
    return float((p[some] * np.log2(p[some] / q[some])).sum())


def _frequencies(texts: pl.Series) -> tuple[UInt64, Int64]:
    """Every word of the texts in order of its number, and how often it stands there."""
    words, counts = np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64)
    for chunk in split_words(texts):
        new, times = np.unique(chunk.hashes, return_counts=True)
        every = np.union1d(words, new)
        sums = np.zeros(len(every), dtype=np.int64)
        sums[np.searchsorted(every, words)] += counts
        sums[np.searchsorted(every, new)] += times
        words, counts = every, sums
    return words, counts
