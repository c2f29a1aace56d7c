"""Which examples of a plan are made, where not all of them are wanted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]


def drawn(plan: Int64, weights: Sequence[float], examples: int, seed: int) -> Int64:
    """So many rows of a plan ([N, 2]: task, about), in their order; all of them where `examples` is 0 or not less.

    As evenly over the tasks as their weights (1 where there is none) and numbers allow, uniformly within each.
    """
    if not examples or examples >= len(plan):
        return plan
    tasks, counts = np.unique(plan[:, 0], return_counts=True)
    weight = np.array([weights[task] if task < len(weights) else 1.0 for task in tasks.tolist()])
    draw = np.random.default_rng([seed, examples])
    chosen = [
        draw.choice(np.flatnonzero(plan[:, 0] == task), size=quota, replace=False)
        for task, quota in zip(tasks, shares(counts.astype(np.int64), weight, examples), strict=True)
    ]
    kept: Int64 = plan[np.sort(np.concatenate(chosen))]
    return kept


def shares(counts: Int64, weights: NDArray[np.float64], wanted: int) -> list[int]:
    """How many each of some tasks gives of `wanted`: in proportion to its weight, and never more than it has."""
    given = np.zeros_like(counts)
    while (left := wanted - int(given.sum())) > 0 and (live := np.where(given < counts, weights, 0.0)).any():
        want = left * live / live.sum()
        more = np.minimum(np.floor(want).astype(np.int64), counts - given)
        if not more.any():  # fewer are left than there are tasks: one each, the heaviest first
            more[np.argsort(-want, kind="stable")[: min(left, int((live > 0).sum()))]] = 1
        given = given + more
    return [int(each) for each in given]
