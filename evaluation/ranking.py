"""Full ranking in blocks of users: the whole catalogue is scored, what a user already has is masked, the first k stay.

No mask or score matrix of all users and items is ever made. The k best are exact, and of equal scores the item with the
lower row number comes first, whatever the block and the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from evaluation.best import Dense, best_of
from evaluation.recommendations import Recommendations
from evaluation.tiles import Tiles, block_size

Int64 = NDArray[np.int64]
SCORES_AT_ONCE = 2**25  # 128 MiB of float32 scores


class Ranks(Protocol):
    """Anything that recommends: what the judge needs of a recommender."""

    def recommend(self, users: Int64, k: int, seen: csr_matrix | None = None) -> Recommendations:
        """Give every user the first k items that are not in his row of `seen`."""
        ...


def rank(recommender: Ranks, users: Int64, k: int, seen: csr_matrix, chunk: int = 8192) -> Recommendations:
    """Ask for `chunk` users at a time, so that memory does not grow with the number of users."""
    parts = [recommender.recommend(users[rows], k, seen) for rows in chunks(len(users), chunk)]
    return join(parts, k)


def rank_among(
    recommender: Ranks, users: Int64, k: int, seen: csr_matrix, inside: NDArray[np.bool_], chunk: int = 512
) -> Recommendations:
    """The same with the items of a slice [I] as the only candidates; all others are masked, `chunk` users at a time.

    `users` are ascending.
    """
    parts = []
    for rows in chunks(len(users), chunk):
        hidden = csr_matrix(seen[users[rows]].toarray() | ~inside)  # [B, I]
        some = users[rows]
        count = np.zeros(seen.shape[0], dtype=np.int64)
        count[some] = np.diff(hidden.indptr)
        mask = csr_matrix((hidden.data, hidden.indices, np.concatenate([[0], np.cumsum(count)])), shape=seen.shape)
        parts.append(recommender.recommend(some, k, mask))
    return join(parts, k)


def rank_vectors(
    user: Tensor, item: Tensor, users: Int64, k: int, seen: csr_matrix, scores_at_once: int = SCORES_AT_ONCE
) -> Recommendations:
    """Rank by inner product, on the device of the vectors.

    `user` [U, d] and `item` [I, d] float32; `users` [B] rows of `user`; `seen` [U, I] is masked.
    `scores_at_once` bounds memory.
    """
    parts, size = [], block_size(len(item), scores_at_once, user.device)
    with torch.no_grad():  # into one buffer, which autograd could not follow
        scores = Tiles(item, min(size, len(users)))
        for rows in chunks(len(users), size):
            scores.fill(user[torch.from_numpy(users[rows]).to(user.device)])
            scores.mask(*_places(seen, users[rows], user.device))
            parts.append(_recommended(users[rows], *best_of(scores, min(k, len(item)), len(item)), k))
    return join(parts, k)


def top_k(scores: Tensor, users: Int64, seen: csr_matrix | None, k: int) -> Recommendations:
    """Take the k best items of every row of `scores` [B, I], which is overwritten where `seen` masks.

    `seen`: [U, I] with sorted rows, indexed by `users` [B]. Equal scores are in the order of items. Rows with fewer
    than k items left are padded with -1 and -inf. Raises DataError on NaN scores, which would come out on top.
    """
    if seen is not None:
        scores[_places(seen, users, scores.device)] = -torch.inf
    items = scores.shape[1]
    return _recommended(users, *best_of(Dense(scores), min(k, items), items), k)


def entries(matrix: csr_matrix, users: Int64) -> tuple[Int64, Int64]:
    """Positions of the entries of some rows of a CSR matrix: number within `users` [M], and column [M]."""
    begin = matrix.indptr[users].astype(np.int64)
    count = matrix.indptr[users + 1].astype(np.int64) - begin
    row = np.repeat(np.arange(len(users), dtype=np.int64), count)
    first = np.repeat(begin - (np.cumsum(count) - count), count)  # place of a row's first entry, less those before it
    return row, matrix.indices[first + np.arange(len(row), dtype=np.int64)].astype(np.int64)


def chunks(total: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size` that cover `total`."""
    return (slice(start, start + size) for start in range(0, total, size))


def join(parts: list[Recommendations], k: int) -> Recommendations:
    """Recommendations of several groups of users as one; of nobody where there are no parts."""
    if not parts:
        return Recommendations(np.zeros(0, np.int64), np.zeros((0, k), np.int64), np.zeros((0, k), np.float32))
    return Recommendations(
        np.concatenate([part.user for part in parts]),
        np.concatenate([part.item for part in parts]),
        np.concatenate([part.score for part in parts]),
    )


def _places(seen: csr_matrix, users: Int64, device: torch.device) -> tuple[Tensor, Tensor]:
    row, column = entries(seen, users)
    return torch.from_numpy(row).to(device), torch.from_numpy(column).to(device)


def _recommended(users: Int64, best: Tensor, item: Tensor, k: int) -> Recommendations:
    """Scores and columns [B, at most k] as recommendations: what is -inf is no item, and missing columns are padded."""
    item = item.masked_fill(best == -torch.inf, -1)
    missing = ((0, 0), (0, k - item.shape[1]))
    columns = np.pad(item.cpu().numpy(), missing, constant_values=-1)
    return Recommendations(users, columns, np.pad(best.float().cpu().numpy(), missing, constant_values=-np.inf))
