"""The leading singular vectors of the normalised train matrix: what spectral starts and low-pass filters share."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import svds

Float64 = NDArray[np.float64]
AT_LEAST = 128
OVERSAMPLED, POWER_STEPS = 32, 5
DENSE = 1_000_000  # entries up to which a matrix is decomposed whole
_LATEST: dict[tuple[str, int], tuple[Float64, Float64, Float64]] = {}


def singular_vectors(by_user: csr_matrix, rank: int) -> tuple[Float64, Float64, Float64]:
    """Left [U, rank], values [rank] descending and right [rank, I] of D_u^-1/2 R D_i^-1/2.

    `by_user`: R [U, I]; `rank` is below its smaller side. Those of the latest matrix are remembered, and at least 128
    are computed: a search asks for them again and again, and gets the same numbers in whatever order it asks.
    """
    digest = hashlib.sha256(str(by_user.shape).encode() + by_user.indptr.tobytes() + by_user.indices.tobytes())
    place = digest.hexdigest(), min(max(rank, AT_LEAST), min(by_user.shape) - 1)
    if place not in _LATEST:
        found = _leading(_normalised(by_user), place[1])
        _LATEST.clear()
        _LATEST[place] = found
    left, values, right = _LATEST[place]
    return left[:, :rank], values[:rank], right[:rank]


def _leading(matrix: csr_matrix, rank: int) -> tuple[Float64, Float64, Float64]:
    """The leading singular triplets: left [U, rank], values [rank], right [rank, I].

    Small matrices are decomposed whole: the iteration may meet an invariant subspace there, and then draws at random.
    Hundreds of triplets come from a randomised range (Halko et al., SIAM Review 2011), several times faster: the last
    of them are less exact, the first ones are the same.
    """
    if matrix.shape[0] * matrix.shape[1] > DENSE and rank > AT_LEAST:
        from sklearn.utils.extmath import randomized_svd  # a second that only this case waits for

        some = matrix.astype(np.float32)
        settings: dict[str, Any] = {"power_iteration_normalizer": "QR", "n_iter": POWER_STEPS, "random_state": 0}
        left, values, right = randomized_svd(some, rank, n_oversamples=OVERSAMPLED, **settings)
        return left.astype(np.float64), values.astype(np.float64), right.astype(np.float64)
    if matrix.shape[0] * matrix.shape[1] > DENSE:
        left, values, right = svds(matrix, k=rank, v0=np.ones(min(matrix.shape)), solver="arpack")
        order = np.argsort(-values, kind="stable")
        return left[:, order], values[order], right[order]
    left, values, right = np.linalg.svd(matrix.toarray(), full_matrices=False)
    return left[:, :rank], values[:rank], right[:rank]


def _normalised(by_user: csr_matrix) -> csr_matrix:
    """D_u^-1/2 R D_i^-1/2 of R [U, I]; rows and columns without an entry stay empty."""
    user, item = np.diff(by_user.indptr), np.bincount(by_user.indices, minlength=by_user.shape[1])
    scales = [diags(1.0 / np.sqrt(np.maximum(degree, 1))) for degree in (user, item)]
    return csr_matrix(scales[0] @ by_user.astype(np.float64) @ scales[1])
