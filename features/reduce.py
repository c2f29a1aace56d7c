"""Principal components of text vectors, one basis for all sources of one encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from features.table import FeatureTable
from schemas.errors import ConfigError

ROWS_AT_ONCE = 65536


def pca(tables: Sequence[FeatureTable], dim: int) -> list[FeatureTable]:
    """The tables on the `dim` leading principal components of all their rows: x [N, dim] each.

    Rows without a vector stay zero and out of the fit. Raises ConfigError where the vectors have fewer dimensions.
    """
    width = tables[0].x.shape[1]
    if dim > width:
        raise ConfigError(f"features.pca: {tables[0].source}: expected at most {width}, found {dim}")
    mean, scatter = _moments(tables, width)
    _, vectors = np.linalg.eigh(scatter)
    basis = vectors[:, ::-1][:, :dim]  # eigh sorts ascending
    basis = basis * np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(dim)])  # one sign, whatever the solver
    return [_projected(table, mean, basis) for table in tables]


def whitened(table: FeatureTable, dim: int) -> FeatureTable:
    """The leading principal components, each of variance one: x [N, at most dim]; rows without a vector stay zero."""
    (found,) = pca([table], min(dim, table.x.shape[1]))
    spread = found.x[found.present].std(axis=0) if found.present.any() else np.ones(found.x.shape[1])
    x = found.x / np.where(spread > 1e-6 * max(float(spread.max(initial=0)), 1e-30), spread, np.inf)
    return replace(found, x=x.astype(np.float32), source=f"whitened({found.source})")


def _moments(tables: Sequence[FeatureTable], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean [D] and scatter [D, D] of all rows with a vector, in float64, a block of rows at a time."""
    blocks = [(table, rows) for table in tables for rows in _blocks(table)]
    count = sum(len(rows) for _, rows in blocks)
    mean = sum((table.x[rows].sum(axis=0, dtype=np.float64) for table, rows in blocks), np.zeros(width)) / max(count, 1)
    scatter = np.eye(width) if count < 2 else np.zeros((width, width))
    for table, rows in blocks if count >= 2 else ():
        centred = table.x[rows] - mean
        scatter += centred.T @ centred
    return mean, scatter


def _blocks(table: FeatureTable) -> list[NDArray[np.int64]]:
    rows = np.flatnonzero(table.present)
    return [rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE)]


def _projected(table: FeatureTable, mean: np.ndarray, basis: np.ndarray) -> FeatureTable:
    x = np.zeros((len(table.x), basis.shape[1]), dtype=np.float32)
    for rows in _blocks(table):
        x[rows] = (table.x[rows] - mean) @ basis
    return FeatureTable(table.kind, x, table.present, f"pca{basis.shape[1]}({table.source})")
