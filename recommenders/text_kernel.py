"""What items say of each other by their texts: a sparse kernel of nearest texts, plain or as seen by behaviour."""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from features.corpus import Part
from features.table import FeatureTable
from graph_models.spectrum import singular_vectors

Float32 = NDArray[np.float32]
ROWS_AT_ONCE = 1024
AT_LEAST = 200  # neighbours that are looked for
KEPT = 2  # texts whose neighbours are remembered: as they are, and as seen by behaviour
FACTORS = 128  # dimensions of the collaborative space
TRUSTED = 20  # interactions from which a node's place in that space counts in full
_LATEST: dict[tuple[str, int], tuple[Float32, NDArray[np.int64]]] = {}


def text_kernel(table: FeatureTable, power: float, neighbours: int, normalise: bool = True) -> csr_matrix:
    """T_ij = max(0, cos(x_i, x_j))^power of every item's `neighbours` nearest texts: float32 [I, I], no diagonal.

    `normalise` divides by the roots of both sums, so that a text that is near to all others says no more than the rest.
    Rows without text are empty.
    """
    rows = np.flatnonzero(table.present)
    x = torch.from_numpy(unit(table.x[rows]))  # [P, D]
    k = min(neighbours, len(rows) - 1)
    if k < 1:
        return csr_matrix((len(table.x), len(table.x)), dtype=np.float32)
    cosine, nearest = _neighbours(x, k)
    value, column = np.maximum(cosine, 0.0) ** power, rows[nearest]  # [P, k] each
    indptr = np.zeros(len(table.x) + 1, dtype=np.int64)
    indptr[rows + 1] = k
    shape = (len(table.x), len(table.x))
    kernel = csr_matrix((value.ravel().astype(np.float32), column.ravel(), np.cumsum(indptr)), shape=shape)
    kernel.eliminate_zeros()
    return _normalised(kernel) if normalise else kernel


def behavioural(table: FeatureTable, train: Part, kind: Literal["item", "user"], l2: float) -> FeatureTable:
    """Texts as seen by behaviour: a ridge map from text to the leading singular vectors of train, x [N, k].

    It is fitted on nodes with text and train interactions, each weighted by their number up to 20, towards their unit
    row of factors; a node without interactions then stands where its text says (as EasyRec and BLaIR tune encoders,
    arXiv 2408.08821 and 2403.03952, in closed form). `l2` is the ridge.
    """
    degree = train.item_degree if kind == "item" else train.user_degree
    rank = min(FACTORS, min(train.num_users, train.num_items) // 4)
    known = table.present & (degree > 0)
    if rank < 1 or not known.any():
        return table
    weight = np.sqrt(np.minimum(degree, TRUSTED)) * known
    x = unit(table.x).astype(np.float64)
    centred = (x - x[known].mean(axis=0)) * table.present[:, None]
    scaled = centred * weight[:, None]
    gram = scaled.T @ scaled + l2 * np.eye(x.shape[1])
    target = unit(factors(train, rank)[kind]) * weight[:, None]
    mapped = (centred @ np.linalg.solve(gram, scaled.T @ target)).astype(np.float32)
    return FeatureTable(table.kind, mapped, table.present, f"behavioural({table.source})")


def factors(train: Part, rank: int) -> dict[str, NDArray[np.float64]]:
    """Singular vectors of the normalised train matrix times the roots of their values: [U, rank] and [I, rank]."""
    left, values, right = singular_vectors(train.by_user, rank)
    return {"user": left * np.sqrt(values), "item": right.T * np.sqrt(values)}


def unit(x: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows of length one; a zero row stays zero."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(length > 0, length, 1), dtype=np.float32)


def _neighbours(x: torch.Tensor, k: int) -> tuple[Float32, NDArray[np.int64]]:
    """Cosines and rows of the k nearest others of unit rows x [P, D]: [P, k] each.

    Those of the latest texts are remembered, and at least 200 are looked for: a search asks for them again and again.
    """
    at_least = min(max(k, AT_LEAST), len(x) - 1)
    place = hashlib.sha256(x.numpy().tobytes()).hexdigest(), at_least
    if place not in _LATEST:
        blocks = [_nearest(x, start, at_least) for start in range(0, len(x), ROWS_AT_ONCE)]
        while len(_LATEST) >= KEPT:
            _LATEST.pop(next(iter(_LATEST)))
        _LATEST[place] = tuple(np.concatenate(each) for each in zip(*blocks, strict=True))  # type: ignore[assignment]
    cosine, nearest = _LATEST[place]
    return cosine[:, :k], nearest[:, :k]


def _nearest(x: torch.Tensor, start: int, k: int) -> tuple[Float32, NDArray[np.int64]]:
    """Cosines and rows of the k nearest others of a block of unit rows: [B, k] each."""
    block = x[start : start + ROWS_AT_ONCE]
    cosine = block @ x.T  # [B, P]
    own = torch.arange(len(block))
    cosine[own, own + start] = -torch.inf
    value, index = cosine.topk(k, dim=1)
    return value.numpy(), index.numpy()


def _normalised(kernel: csr_matrix) -> csr_matrix:
    given, taken = (np.asarray(kernel.sum(axis=axis)).ravel() for axis in (1, 0))
    scales = [diags(1 / np.sqrt(np.where(total > 0, total, 1))) for total in (given, taken)]
    return csr_matrix(scales[0] @ kernel @ scales[1], dtype=np.float32)
