"""Embeddings on Spark: texts joined with their vectors by hash, a block of rows at a time made into the table's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.embedding_rows import embedding_rows
from features.spark.frames import per_block
from schemas.tables import TABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def embeddings(texts: DataFrame, vectors: DataFrame, encoder: str) -> DataFrame:
    """`features.embedding_rows` of texts (kind, id, source, text_hash) with an encoder's rows of the table `vectors`.

    The rows are made once and kept on the executors' disks until `unpersist()`.
    """
    from pyspark import StorageLevel
    from pyspark.sql import functions as F

    known = vectors.where(F.col("encoder") == encoder).select("text_hash", "vector")
    joined = texts.join(known, "text_hash", "left").select("kind", "id", "source", "text_hash", "vector")
    return per_block(joined, embedding_rows, TABLES["embeddings"].empty().schema).persist(StorageLevel.DISK_ONLY)
