"""Do places in the prompt decide, or popularity? What LLMRank (section 3.3) measures, for every ranking that is asked.

The order shown is drawn at random, so that a model that reads the candidates puts every place first equally often.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating[Any]]
Int64 = NDArray[np.int64]


class Probes:
    """Collects answers as they are read: which place shown came first, and how far final order follows the prompt."""

    def __init__(self) -> None:
        self.first: dict[int, Int64] = {}  # candidates -> how often each place shown was answered first
        self.followed: list[float] = []  # per question: rank correlation of the order shown and the order answered
        self.kept: list[float] = []  # the same of the order that the user gets from all his answers
        self.popularity: list[tuple[float, float, float]] = []  # percentiles: top 1, top 5, all candidates

    def answer(self, places: Sequence[int], count: int) -> None:
        """One answer: places shown, best first, of `count` candidates; those not named are left out."""
        self.first.setdefault(count, np.zeros(count, dtype=np.int64))[places[0]] += 1
        if len(places) > 2:
            self.followed.append(correlation(np.asarray(places), np.arange(len(places))))

    def ranking(self, score: Float, shown: Sequence[Int64], percentile: Float) -> None:
        """A user's scores [m], the orders in which his candidates were shown, and how popular those are [m], 0 to 1."""
        order = np.argsort(-score, kind="stable")
        if len(score) > 2:
            rank = np.empty(len(order), dtype=np.int64)
            rank[order] = np.arange(len(order))
            self.kept += [correlation(rank[each], np.arange(len(each))) for each in shown]
        best = percentile[order]
        self.popularity.append((float(best[0]), float(best[:5].mean()), float(percentile.mean())))

    def to_json(self) -> dict[str, Any]:
        """`position_bias`: 1 where users get the order shown, 0 where it says nothing; see docs/llm-recommenders.md."""
        if not self.popularity:
            return {}
        top1, top5, every = np.mean(self.popularity, axis=0)
        return {
            "first_by_place": [round(share, 4) for share in self._first_shares()],
            "first_by_place_p": self._p_value(),
            "answers_follow_prompt": _mean(self.followed),
            "position_bias": _mean(self.kept),
            "popularity_top1": float(top1),
            "popularity_top5": float(top5),
            "popularity_candidates": float(every),
        }

    def _counts(self) -> Int64:
        """Of the number of candidates that most questions had."""
        return max(self.first.values(), key=lambda counts: int(counts.sum()))

    def _first_shares(self) -> list[float]:
        counts = self._counts()
        shares: list[float] = (counts / counts.sum()).tolist()
        return shares

    def _p_value(self) -> float:
        """Chi-square against equal shares; exact enough from some five answers per place on."""
        from scipy.stats import chisquare  # takes a second

        return float(chisquare(self._counts()).pvalue)


def correlation(one: Int64, other: Int64) -> float:
    """Spearman's of two rankings without ties, of three or more."""
    ranks = np.argsort(np.argsort(one)), np.argsort(np.argsort(other))
    return float(np.corrcoef(*ranks)[0, 1])


def percentiles(item: Int64, items: int) -> Float:
    """How popular every item is among all: [I], 0 the least and 1 the most; equal ones share a place."""
    degree = np.bincount(item, minlength=items)
    ordered = np.sort(degree)
    below, upto = np.searchsorted(ordered, degree, "left"), np.searchsorted(ordered, degree, "right")
    return np.asarray((below + upto - 1) / 2 / max(1, items - 1), dtype=np.float64)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
