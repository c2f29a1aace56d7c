"""Item-to-item neighbours: the k items that a recommender holds nearest to an item, exact, block by block."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.ranking import chunks, join, top_k
from evaluation.recommendations import Recommendations
from recommenders.base import Recommender
from schemas.errors import DataError

SCORES_AT_ONCE = 2**24  # 64 MiB of float32 scores


def neighbours(
    recommender: Recommender, items: NDArray[np.int64], k: int, scores_at_once: int = SCORES_AT_ONCE
) -> Recommendations:
    """Give the k nearest others of some items [B]: `item` [B, k] and `score` [B, k], best first; `user` are the items.

    Scores are cosines of the item vectors, or the item's row of the kernel. Only scores above zero make neighbours:
    what a model knows nothing of has none. Fewer than k are padded with -1 and -inf. Raises DataError where the
    recommender compares no items.
    """
    if recommender.compares is None:
        raise DataError(f"{recommender.name}: compares no items; ask a model with item vectors or a kernel")
    parts, size = [], max(1, scores_at_once // recommender.between(items[:1]).shape[1])
    for rows in chunks(len(items), size):
        some = items[rows]
        scores = recommender.between(some)  # [B, I]
        scores[np.arange(len(some)), some] = -np.inf
        scores[scores <= 0] = -np.inf
        parts.append(top_k(torch.from_numpy(scores), some, None, k))
    return join(parts, k)
