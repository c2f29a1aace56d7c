"""Residual k-means: vectors become short tuples of codes, coarse first (RQ-KMeans, after TIGER, arXiv 2305.05065)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from schemas.errors import DataError

Vectors = NDArray[np.float32]
Codes = NDArray[np.int16]

LARGEST = 2**15 - 1  # codes of one level at most: they are int16
BLOCK = 1024
ITERATIONS = 25
ROWS_PER_CODE = 64  # more rows hardly move a centre: a larger table is fitted on a sample


@dataclass(frozen=True)
class Codebooks:
    """Centres of L levels; level l quantises what the levels before it leave of a vector minus the mean."""

    mean: Vectors  # [D]
    centres: tuple[Vectors, ...]  # L of [K_l, D]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codes of each level: [L]."""
        return tuple(map(len, self.centres))

    def encode(self, x: NDArray[np.floating]) -> Codes:
        """Codes int16 [N, L] of vectors [N, D]; a row's codes do not depend on the rows that come with it."""
        codes = np.empty((len(x), len(self.centres)), dtype=np.int16)
        for start in range(0, len(x), BLOCK):
            residual = x[start : start + BLOCK].astype(np.float32) - self.mean
            for level, centre in enumerate(self.centres):
                code, _ = _nearest(residual, centre)
                residual -= centre[code]
                codes[start : start + BLOCK, level] = code
        return codes

    def decode(self, codes: Codes) -> Vectors:
        """Vectors float32 [N, D] that stand for codes [N, L'], L' <= L: the mean and the centres of those levels."""
        x = np.repeat(self.mean[None], len(codes), axis=0)
        for centre, code in zip(self.centres, codes.T, strict=False):
            x += centre[code]
        return x

    def errors(self, x: NDArray[np.floating], codes: Codes) -> tuple[float, ...]:
        """Squared distance of x [N, D] from what its codes [N, L] stand for, mean over rows, after each level: [L]."""
        total = np.zeros(len(self.centres))
        for start in range(0, len(x), BLOCK):
            block, of_block = x[start : start + BLOCK], codes[start : start + BLOCK]
            for level in range(len(total)):
                total[level] += np.square(block - self.decode(of_block[:, : level + 1]), dtype=np.float64).sum()
        return tuple((total / max(len(x), 1)).tolist())


@dataclass(frozen=True)
class CodeReport:
    """Whether codes tell rows apart: what a codebook's health is judged by."""

    used: tuple[float, ...]  # [L] share of a level's codes that some row has
    perplexity: tuple[float, ...]  # [L] exp of the entropy of a level's codes: that many equally frequent ones
    distinct: int  # tuples
    largest: int  # rows of the most frequent tuple
    collisions: float  # share of rows whose tuple another row has too
    errors: tuple[float, ...] = ()  # [L] squared distance left after each level, mean over rows


def fit_residual_kmeans(x: NDArray[np.floating], levels: int, size: int, seed: int) -> Codebooks:
    """Fit `levels` codebooks of at most `size` codes to vectors x [N, D], N > 0, by k-means++ and Lloyd's iterations.

    A level has fewer codes where fewer distinct rows are left; every code is one that some fitted row has. The same x,
    options and seed give the same codebooks. Raises DataError where a value is not finite.
    """
    assert len(x) and levels > 0 and 0 < size <= LARGEST, "checked by the options of those who call"  # noqa: PT018
    generator = np.random.default_rng(seed)
    rows = _sample(x, size * ROWS_PER_CODE, generator)
    if not np.isfinite(rows).all():
        raise DataError("quantiser: expected finite vectors, found NaN or infinity")
    mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    residual = rows - mean
    centres = []
    for _ in range(levels):
        centre, code = lloyd(residual, _seeds(residual, size, generator))
        residual -= centre[code]
        centres.append(centre)
    return Codebooks(mean, tuple(centres))


def lloyd(x: Vectors, centre: Vectors) -> tuple[Vectors, NDArray[np.intp]]:
    """Move centres [K, D] to the means of their rows x [N, D] until none changes its centre, 25 times at most.

    Returns centres [K', D], of which every one has rows, and the code of each row [N].
    """
    before = None
    for _ in range(ITERATIONS):
        code, distance = _nearest(x, centre)
        if before is not None and np.array_equal(code, before):
            break
        centre, before = _moved(x, code, distance, len(centre)), code
    code, _ = _nearest(x, centre)
    used, code = np.unique(code, return_inverse=True)
    return centre[used], code


def usage(codes: Codes, sizes: tuple[int, ...], errors: tuple[float, ...] = ()) -> CodeReport:
    """Describe codes [N, L] of codebooks of `sizes` [L]."""
    counts = [np.bincount(code, minlength=size) for code, size in zip(codes.T, sizes, strict=True)]
    _, group = np.unique(codes, axis=0, return_counts=True)
    return CodeReport(
        used=tuple(float((count > 0).mean()) for count in counts),
        perplexity=tuple(map(_perplexity, counts)),
        distinct=len(group),
        largest=int(group.max(initial=0)),
        collisions=float(group[group > 1].sum() / max(len(codes), 1)),
        errors=errors,
    )


def _sample(x: NDArray[np.floating], limit: int, generator: np.random.Generator) -> Vectors:
    if len(x) > limit:
        x = x[np.sort(generator.choice(len(x), limit, replace=False))]
    return x.astype(np.float32, copy=False)


def _seeds(x: Vectors, size: int, generator: np.random.Generator) -> Vectors:
    """Greedy k-means++ (Arthur and Vassilvitskii, SODA 2007): distinct rows, each the best of a few that are drawn.

    They are drawn by their squared distance from the seeds before, and the best is nearest to the rows left.
    """
    x = x[_distinct(x)]
    length = np.einsum("nd,nd->n", x, x)
    chosen = [int(generator.integers(len(x)))]
    distance = _distances(x, length, chosen)[:, 0]
    for _ in range(1, min(size, len(x))):
        reach = np.cumsum(distance, dtype=np.float64)
        if not reach[-1] > 0:
            break
        drawn = np.searchsorted(reach, generator.random(2 + int(np.log(size))) * reach[-1], side="right")
        left = np.minimum(distance[:, None], _distances(x, length, drawn))  # [N, drawn]
        best = int(left.sum(axis=0).argmin())
        distance = left[:, best]
        chosen.append(int(drawn[best]))
    return x[chosen]


def _distances(x: Vectors, length: Vectors, seeds: Sequence[int] | NDArray[np.intp]) -> Vectors:
    """Squared distances of all rows from some: [N, S]; that of a row from itself is zero without rounding."""
    distance = np.maximum(length[:, None] - 2 * (x @ x[seeds].T) + length[seeds], 0)
    distance[seeds, np.arange(len(seeds))] = 0
    return distance


def _distinct(x: Vectors) -> NDArray[np.intp]:
    """One row number for each distinct row of x [N, D], ascending."""
    rows = np.ascontiguousarray(x + 0.0)  # -0.0 has other bytes than 0.0
    _, first = np.unique(rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).ravel(), return_index=True)
    return np.sort(first)


def _moved(x: Vectors, code: NDArray[np.intp], distance: Vectors, size: int) -> Vectors:
    """The mean of each code's rows; a code without rows goes to a row that is far from its centre."""
    of_code = csr_matrix((np.ones(len(x)), code, np.arange(len(x) + 1)), shape=(len(x), size)).T.tocsr()
    count = np.diff(of_code.indptr)
    centre = np.asarray(of_code @ x / np.maximum(count, 1)[:, None], dtype=np.float32)  # summed in float64
    dead = np.flatnonzero(count == 0)
    centre[dead] = x[np.argsort(-distance, kind="stable")[: len(dead)]]
    return centre


def _nearest(x: Vectors, centre: Vectors) -> tuple[NDArray[np.intp], Vectors]:
    """The nearest centre of each row and the squared distance: [N] each.

    Products of one shape, whatever N: others could round differently, and a row's code would depend on its company.
    """
    code, distance = np.empty(len(x), dtype=np.intp), np.empty(len(x), dtype=np.float32)
    half = np.einsum("kd,kd->k", centre, centre) / 2
    block = np.zeros((BLOCK, x.shape[1]), dtype=np.float32)
    for start in range(0, len(x), BLOCK):
        rows = x[start : start + BLOCK]
        block[: len(rows)] = rows
        score = half - block @ centre.T  # [BLOCK, K], half the squared distance without the row's length
        code[start : start + BLOCK] = score.argmin(axis=1)[: len(rows)]
        least = score.min(axis=1)[: len(rows)]
        distance[start : start + BLOCK] = 2 * least + np.einsum("nd,nd->n", rows, rows)
    return code, distance


def _perplexity(count: NDArray[np.int64]) -> float:
    share = count[count > 0] / max(count.sum(), 1)
    return float(np.exp(-(share * np.log(share)).sum()))
