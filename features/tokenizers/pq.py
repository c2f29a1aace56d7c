"""Product quantisation: parts of a vector get their codes apart, so that all of them can be told at once (RPG)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from features.quantiser import Codebooks, fit_residual_kmeans
from features.tokenizers.base import Codes, Float32, Int32, Levels, Seed, TokenInputs, Tokenizer
from features.tokenizers.ties import Ties
from schemas.errors import DataError


class ProductQuantiser(Tokenizer):
    """k-means in each of L parts of R(x - mean); R are principal axes, dealt out so that parts vary alike (OPQ).

    No level is coarser than another: a prefix says as much of an item as any other codes of it.
    """

    source: ClassVar[str] = "Jegou et al., PAMI 2011; Ge et al., CVPR 2013 (OPQ); Hou et al., KDD 2025 (RPG)"
    reads_text: ClassVar[bool] = True

    def __init__(self, *, levels: Levels = 4, size: Codes = 256, seed: Seed = 0, ties: Ties = "extra") -> None:
        super().__init__()
        self.levels, self.size, self.seed, self.ties = levels, size, seed, ties

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(self.arrays[f"centres.{level}"]) for level in range(self.levels))

    def encode(self, inputs: TokenInputs) -> Int32:
        parts = self._parts(self._filled(inputs))
        codes = [self._book(level).encode(part)[:, 0] for level, part in enumerate(parts)]
        return np.stack(codes, axis=1).astype(np.int32)

    def last_distances(self, inputs: TokenInputs) -> Float32:
        part, book = self._parts(self._filled(inputs))[-1], self._book(self.levels - 1)
        centre = book.mean + book.centres[0]
        squared = np.square(part).sum(axis=1)[:, None] - 2 * part @ centre.T + np.square(centre).sum(axis=1)
        return np.asarray(np.maximum(squared, 0), dtype=np.float32)

    def _fit(self, inputs: TokenInputs) -> None:
        x = inputs.x[inputs.present].astype(np.float64)
        if x.shape[1] < self.levels:
            raise DataError(f"pq: {x.shape[1]} dimensions cannot be cut into {self.levels} parts; use fewer levels")
        mean = x.mean(axis=0)
        variance, axes = np.linalg.eigh((x - mean).T @ (x - mean) / len(x))
        self.arrays |= {"mean": mean.astype(np.float32), "axes": axes.astype(np.float32)}
        self.arrays["part"] = dealt_out(variance, self.levels)
        for level, part in enumerate(self._parts(inputs.x[inputs.present])):
            book = fit_residual_kmeans(part, 1, self.size, self.seed + level)
            self.arrays |= {f"centre.{level}": book.mean, f"centres.{level}": book.centres[0]}

    def _filled(self, inputs: TokenInputs) -> Float32:
        """The vector of every item, the mean where it has none."""
        return np.where(inputs.present[:, None], inputs.x, self.arrays["mean"])

    def _parts(self, x: Float32) -> list[Float32]:
        turned = _rotated(x - self.arrays["mean"], self.arrays["axes"])
        return [np.ascontiguousarray(turned[:, self.arrays["part"] == level]) for level in range(self.levels)]

    def _book(self, level: int) -> Codebooks:
        return Codebooks(self.arrays[f"centre.{level}"], (self.arrays[f"centres.{level}"],))


def dealt_out(variance: NDArray[np.float64], parts: int) -> NDArray[np.int64]:
    """The part of each axis [D]: the largest variance first, each to the part whose product is smallest yet.

    Parts are of equal numbers of axes, or one more. Ge et al., section 3.2.
    """
    limit, found = -(-len(variance) // parts), np.empty(len(variance), dtype=np.int64)
    product, count = np.zeros(parts), np.zeros(parts, dtype=np.int64)
    scaled = np.log(np.maximum(variance, 1e-12) / max(float(variance.min()), 1e-12))  # none is negative
    for axis in np.argsort(-variance, kind="stable"):
        part = int(np.where(count < limit, product, np.inf).argmin())
        found[axis], product[part], count[part] = part, product[part] + scaled[axis] + 1e-9, count[part] + 1
    return found


def _rotated(x: Float32, axes: Float32) -> Float32:
    """Rows x [N, D] on the axes, in blocks of one shape: a row must not depend on those that come with it."""
    found = np.empty_like(x)
    block = np.zeros((1024, x.shape[1]), dtype=np.float32)
    for start in range(0, len(x), len(block)):
        rows = x[start : start + len(block)]
        block[: len(rows)] = rows
        found[start : start + len(block)] = (block @ axes)[: len(rows)]
    return found
