"""Ridge regression in closed form; its strength is the one that generalised cross-validation likes best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

ROWS_AT_ONCE = 65536
STRENGTHS = tuple(10.0 ** (half / 2) for half in range(4, -13, -1))  # times the largest eigenvalue: 100 down to 1e-6


@dataclass(frozen=True)
class Ridge:
    """y = mean_y + (x - mean_x) W."""

    mean_x: Tensor  # float64 [D]
    mean_y: Tensor  # float64 [d]
    weight: Tensor  # float64 [D, d]
    strength: float  # lambda, in units of the largest eigenvalue of the scatter of x

    def predict(self, x: Tensor, rows: Tensor) -> Tensor:
        """Give float32 [n, d] of the rows int64 [n] of x [N, D]."""
        return torch.cat([((block - self.mean_x) @ self.weight + self.mean_y).float() for block in _blocks(x, rows)])


def fit_ridge(x: Tensor, y: Tensor, rows: Tensor) -> Ridge:
    """Fit y [N, d] to x [N, D] on the rows int64 [n], n >= 1, with an intercept that is not shrunk.

    All d columns share one strength. Of 17, 100 to 1e-6 times the largest eigenvalue of the centred X'X, it is the one
    with the smallest RSS / (n - df)^2, where df counts the intercept (Golub, Heath and Wahba, Technometrics 1979), and
    of equal ones the largest. The largest give nearly the mean of y: what x that says nothing of y deserves.
    """
    mean_x, mean_y = _mean(x, rows), _mean(y, rows)
    scatter, product = mean_x.new_zeros(len(mean_x), len(mean_x)), mean_x.new_zeros(len(mean_x), len(mean_y))
    square = 0.0
    for block, target in zip(_blocks(x, rows), _blocks(y, rows), strict=True):
        centred, values = block - mean_x, target - mean_y
        scatter, product = scatter + centred.T @ centred, product + centred.T @ values
        square += float(values.square().sum())
    eigen, basis = torch.linalg.eigh(scatter)
    eigen = eigen.clamp(min=0.0)
    turned = basis.T @ product  # [D, d]
    largest = float(eigen[-1]) + torch.finfo(eigen.dtype).tiny
    strength = min(STRENGTHS, key=lambda each: _gcv(eigen, turned, square, len(rows), each * largest))
    weight = basis @ (turned / (eigen + strength * largest)[:, None])
    return Ridge(mean_x, mean_y, weight, strength)


def _gcv(eigen: Tensor, turned: Tensor, square: float, n: int, strength: float) -> float:
    """RSS / (n - df)^2; infinite where no degree of freedom is left."""
    shrunk = 1 / (eigen + strength)
    free = n - 1 - float((eigen * shrunk).sum())
    if free < 1e-6 * n:
        return float("inf")
    rss = square - float((turned.square() * (2 * shrunk - eigen * shrunk.square())[:, None]).sum())
    return max(rss, 0.0) / free**2


def _mean(x: Tensor, rows: Tensor) -> Tensor:
    total: Tensor = torch.stack([block.sum(dim=0) for block in _blocks(x, rows)]).sum(dim=0)
    return total / len(rows)


def _blocks(x: Tensor, rows: Tensor) -> Iterator[Tensor]:
    """The rows in float64, a block at a time: text of a million nodes is not copied."""
    return (x.index_select(0, block).double() for block in torch.split(rows, ROWS_AT_ONCE))
