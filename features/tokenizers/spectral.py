"""Clusters of items that are read together, and clusters of those: the tree of P5's collaborative indexing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, identity
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh

from features.corpus import Part
from features.quantiser import fit_residual_kmeans

Int64 = NDArray[np.int64]
DEPTH = 8  # levels of clusters at most; what is still too large then is cut in order
DENSE = 512  # rows up to which all eigenvectors are computed
LOOP = 1e-6  # weight of an item with itself: an item without company stays defined


def together(train: Part) -> csr_matrix:
    """How many users have both items in train: [I, I], without the diagonal."""
    matrix = train.by_user.astype(np.float64)
    counts = csr_matrix(matrix.T @ matrix)
    counts.setdiag(0)
    counts.eliminate_zeros()
    return counts


def cluster_paths(counts: csr_matrix, clusters: int, largest: int, seed: int) -> Int64:
    """The path [N, depth] of every item through clusters of at most `largest` items, of `clusters` a level.

    Clusters count from 1; 0 where a path has ended. An item that shares no user with another has the first code
    `clusters` + 1 and no further ones.
    """
    alone = np.diff(counts.indptr) == 0
    levels: list[Int64] = [np.where(alone, clusters + 1, 0)]
    rows = np.flatnonzero(~alone)
    if len(rows):
        _split(counts, rows, clusters, largest, seed, levels, 0)
    return np.stack(levels, axis=1)


def _split(
    counts: csr_matrix, rows: Int64, clusters: int, largest: int, seed: int, levels: list[Int64], depth: int
) -> None:
    """Write the cluster of these rows on a level, and split what is too large on the next one."""
    if depth == len(levels):
        levels.append(np.zeros(counts.shape[0], dtype=np.int64))
    last = depth == DEPTH - 1
    label = _in_order(len(rows), largest) if last else _labels(counts[rows][:, rows], clusters, seed)
    levels[depth][rows] = label + 1
    for each in np.unique(label):
        mine = rows[label == each]
        if len(mine) > largest:
            _split(counts, mine, clusters, largest, seed, levels, depth + 1)


def _labels(counts: csr_matrix, clusters: int, seed: int) -> Int64:
    """The cluster of each item of one part of the graph [n]: spectral where it hangs together.

    Else that is done to a component with more than half of the items, and all others are one further cluster; where
    none is so large, components are packed whole. Eigenvectors of parts that do not touch could be mixed in any way.
    """
    _, component = connected_components(counts, directed=False)
    sizes = np.bincount(component)
    if len(sizes) == 1:
        return _spectral(counts, clusters, seed)
    if 2 * sizes.max() <= len(component):
        return np.asarray(_packed(sizes, clusters)[component])
    label = np.full(len(component), clusters - 1, dtype=np.int64)
    inside = np.flatnonzero(component == sizes.argmax())
    label[inside] = 0 if clusters == 2 else _spectral(counts[inside][:, inside], clusters - 1, seed)
    return label


def _packed(sizes: Int64, clusters: int) -> Int64:
    """The cluster of each component [C]: the largest first, each to the cluster with the fewest items yet."""
    label, filled = np.empty(len(sizes), dtype=np.int64), np.zeros(clusters, dtype=np.int64)
    for each in np.argsort(-sizes, kind="stable"):
        label[each] = filled.argmin()
        filled[label[each]] += sizes[each]
    return label


def _spectral(counts: csr_matrix, clusters: int, seed: int) -> Int64:
    """k-means of the leading eigenvectors, rows of unit length (Ng, Jordan and Weiss, NIPS 2001): [n]."""
    wanted = min(clusters, counts.shape[0])
    x = _eigenvectors(counts, wanted, seed)
    x = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    label = fit_residual_kmeans(x, 1, wanted, seed).encode(x)[:, 0].astype(np.int64)
    if label.max() == 0:  # nothing tells them apart
        return _in_order(len(label), -(-len(label) // wanted))
    return label


def _eigenvectors(counts: csr_matrix, count: int, seed: int) -> NDArray[np.float64]:
    """The leading eigenvectors of D^-1/2 (A + loop) D^-1/2: [n, count]."""
    looped = csr_matrix(counts + LOOP * identity(counts.shape[0]))
    scale = diags(1 / np.sqrt(np.asarray(looped.sum(axis=1)).ravel()))
    normal = csr_matrix(scale @ looped @ scale)
    if normal.shape[0] <= max(DENSE, count + 1):
        return np.asarray(np.linalg.eigh(normal.toarray())[1][:, -count:])
    start = np.random.default_rng(seed).standard_normal(normal.shape[0])
    _, vectors = eigsh(normal, k=count, which="LA", v0=start)
    return np.asarray(vectors)


def _in_order(count: int, largest: int) -> Int64:
    return np.arange(count, dtype=np.int64) // largest
