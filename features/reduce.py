"""Principal components of text vectors, one basis for all sources of one encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.table import FeatureTable
from schemas.errors import ConfigError


def pca(tables: Sequence[FeatureTable], dim: int) -> list[FeatureTable]:
    """The tables on the `dim` leading principal components of all their rows: x [N, dim] each.

    Rows without a vector stay zero and out of the fit. Raises ConfigError where the vectors have fewer dimensions.
    """
    width = tables[0].x.shape[1]
    if dim > width:
        raise ConfigError(f"features.pca: {tables[0].source}: expected at most {width}, found {dim}")
    rows = np.concatenate([table.x[table.present] for table in tables]).astype(np.float64)
    mean = rows.mean(axis=0) if len(rows) else np.zeros(width)
    _, vectors = np.linalg.eigh(np.cov(rows - mean, rowvar=False) if len(rows) > 1 else np.eye(width))
    basis = vectors[:, ::-1][:, :dim]  # eigh sorts ascending
    basis = basis * np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(dim)])  # one sign, whatever the solver
    return [_projected(table, mean, basis) for table in tables]


def _projected(table: FeatureTable, mean: np.ndarray, basis: np.ndarray) -> FeatureTable:
    x = np.where(table.present[:, None], (table.x - mean) @ basis, 0).astype(np.float32)
    return FeatureTable(table.kind, x, table.present, f"pca{basis.shape[1]}({table.source})")
