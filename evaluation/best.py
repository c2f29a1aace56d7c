"""The k best columns of rows of scores: exact, and of equal scores the lower column first, on every device.

`torch.topk` promises no order among equal scores, and reads every score for its heap. Rows are cut into groups of
columns instead: the k best lie in the k groups with the largest maxima, so most scores are read once and never sorted.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from schemas.errors import DataError

GROUP = 64  # columns of which only the maximum is looked at first


class Scored(Protocol):
    """Rows of scores that need not lie in memory as a matrix."""

    def candidates(self, count: int) -> tuple[Tensor, Tensor]:
        """Scores among which are the `count` best of every row, and their columns: [B, C] each."""
        ...

    def rows(self, index: Tensor) -> Tensor:
        """Whole rows [R, I] in the order of columns; what stands behind the last column is -inf."""
        ...


class Dense:
    """Scores as a matrix [B, I]."""

    def __init__(self, scores: Tensor) -> None:
        self.scores = scores

    def candidates(self, count: int) -> tuple[Tensor, Tensor]:
        scores, device = self.scores, self.scores.device
        whole = scores.shape[1] // GROUP * GROUP
        if whole < 4 * count * GROUP:  # too few groups to leave any out
            return scores, torch.arange(scores.shape[1], device=device).expand(len(scores), -1)
        maxima = torch.unflatten(scores[:, :whole], 1, (-1, GROUP)).amax(dim=2)  # [B, I / GROUP]
        groups = maxima.topk(count, dim=1, sorted=False).indices  # [B, count]
        rest = torch.arange(whole, scores.shape[1], device=device).expand(len(scores), -1)
        column = torch.cat([columns_of(groups), rest], dim=1)
        return scores.gather(1, column), column

    def rows(self, index: Tensor) -> Tensor:
        return self.scores[index]


def best_of(scores: Scored, k: int, num_columns: int) -> tuple[Tensor, Tensor]:
    """The k best scores of every row, best first, and their columns [B, k]; equal ones in the order of columns.

    A score of -inf is never in order: nothing is there. `k` is at most `num_columns`. Raises DataError on NaN.
    """
    more = min(k + 1, num_columns)  # one more, to see a tie across the end of the list
    found, column = scores.candidates(more)
    best, place = found.topk(more, dim=1)
    if best[:, :1].isnan().any():  # NaN counts as largest
        raise DataError("scores: expected numbers, found NaN; the model's vectors are not finite")
    item = column.gather(1, place)
    tied = (best[:, 1:] == best[:, :-1]) & (best[:, 1:] > -torch.inf)  # [B, more - 1]
    rows = tied.any(dim=1).nonzero()[:, 0]
    if len(rows):
        best[rows], item[rows] = _in_order(best[rows], item[rows])
        across = rows[tied[rows, k - 1 :].any(dim=1)]
        if len(across):
            best[across, :k], item[across, :k] = _lowest(scores.rows(across), best[across, k - 1 : k], k)
    return best[:, :k], item[:, :k]


def columns_of(groups: Tensor) -> Tensor:
    """The columns [B, n * GROUP] of groups [B, n]."""
    return (groups[:, :, None] * GROUP + torch.arange(GROUP, device=groups.device)).flatten(1)


def _in_order(best: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
    """Lists [R, k] sorted by score from the top, equal ones by item."""
    item, place = item.sort(dim=1)
    best, again = best.gather(1, place).sort(dim=1, descending=True, stable=True)
    return best, item.gather(1, again)


def _lowest(scores: Tensor, last: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best of rows [R, I] where the k-th score `last` [R, 1] is there more often than there is room for."""
    above, equal = scores > last, scores == last
    room = k - above.sum(dim=1, keepdim=True)
    item = (above | (equal & (equal.cumsum(dim=1) <= room))).nonzero()[:, 1].view(-1, k)
    return _in_order(scores.gather(1, item), item)
