"""Feature tables: the one place where an id becomes a row."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from features.corpus import Part
from schemas.errors import DataError
from schemas.records import Kind


@dataclass(frozen=True)
class FeatureTable:
    """Vectors of one kind in index order. A row without a vector is zero and `present` is false there."""

    kind: Kind
    x: NDArray[np.float32]  # [N, D]
    present: NDArray[np.bool_]  # [N]
    source: str  # such as rlmrec.item/summarization@all-MiniLM-L6-v2


def align(vectors: pl.DataFrame, ids: pl.Series, kind: Kind, source: str) -> FeatureTable:
    """Put vectors (columns `id`, `vector`) into the order of `ids`.

    Raises DataError on an unknown id, a second vector for one id, mixed dimensions, or a value that is not finite.
    """
    if vectors["id"].is_duplicated().any():
        twice = vectors.filter(pl.col("id").is_duplicated())["id"][0]
        raise DataError(f"{source}: {kind} {twice!r}: expected one vector, found several")
    rows = vectors.select("id").join(
        pl.DataFrame({"id": ids}).with_row_index("row"), on="id", how="left", maintain_order="left"
    )["row"]
    if rows.null_count():
        unknown = vectors.filter(rows.is_null())["id"][0]
        raise DataError(f"{source}: {kind} {unknown!r}: has a vector but is not in the {kind}s table")
    dims = vectors["vector"].list.len().unique().to_list()
    if len(dims) > 1:
        raise DataError(f"{source}: expected vectors of one dimension, found {sorted(dims)}")
    x = np.zeros((len(ids), dims[0] if dims else 0), dtype=np.float32)
    present = np.zeros(len(ids), dtype=bool)
    if vectors.height:
        values = vectors["vector"].explode().to_numpy().reshape(vectors.height, dims[0])
        if not np.isfinite(values).all():
            bad = vectors["id"][int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])]
            raise DataError(f"{source}: {kind} {bad!r}: expected finite values, found NaN or infinity")
        x[rows.to_numpy()], present[rows.to_numpy()] = values, True
    return FeatureTable(kind, x, present, source)


def mean_of_train_items(items: FeatureTable, train: Part) -> FeatureTable:
    """A user's vector as the mean over his train items that have one (AlphaRec, section 3.1): x [U, D].

    Users without such an item keep a zero row and `present` false.
    """
    matrix = train.by_user.astype(np.float32) @ diags(items.present.astype(np.float32))
    count = np.asarray(csr_matrix(matrix).sum(axis=1)).ravel()
    x = np.asarray(matrix @ items.x, dtype=np.float32) / np.maximum(count, 1.0)[:, None]
    return FeatureTable("user", x.astype(np.float32), count > 0, f"mean({items.source})")


def shuffled(table: FeatureTable, seed: int) -> FeatureTable:
    """The shuffled-profile control: the rows that have a vector exchange them at random."""
    rows = np.flatnonzero(table.present)
    x = table.x.copy()
    x[rows] = table.x[np.random.default_rng(seed).permutation(rows)]
    return replace(table, x=x, source=f"shuffled({table.source})")
