"""Texts with their vectors as rows of the table `embeddings`: dimension and length of each vector beside it."""

from __future__ import annotations

import numpy as np
import polars as pl


def embedding_rows(joined: pl.DataFrame) -> pl.DataFrame:
    """`joined`: kind, id, source, text_hash and vector (null where the text has none).

    Returns kind, id, source, text_hash, dim (Int64), norm (Float64, the vector's L2 norm) and vector.
    """
    norm = [float(np.linalg.norm(vector)) if vector is not None else None for vector in joined["vector"]]
    return joined.select(
        "kind",
        "id",
        "source",
        "text_hash",
        pl.col("vector").list.len().cast(pl.Int64).alias("dim"),
        pl.Series("norm", norm, dtype=pl.Float64),
        "vector",
    )


def without_vectors(texts: pl.DataFrame) -> pl.DataFrame:
    """Texts of which none was encoded, as `embedding_rows` reads them."""
    return texts.with_columns(pl.lit(None, dtype=pl.List(pl.Float32)).alias("vector"))
