"""Where the large tables of a night are made: by Polars in this process, or on Spark, from the same functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from features.embedding_rows import embedding_rows, without_vectors
from features.histories import Posed
from features.recipes.base import Recipe
from features.refresh import Bag
from features.splits import k_core, make_splits, split_summary
from features.store import TableStore
from language_models.protocols import Encoded
from schemas.sections import Encoder, Engine, Refresh, Split
from schemas.tables import TABLES, conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True, slots=True)
class Place:
    """A version of a table in a lake, or of one night of it."""

    store: TableStore
    table: str
    ds: str | None
    version: int


class Made(Protocol):
    """Rows of a table that were made and that nobody sees yet."""

    @property
    def frame(self) -> pl.DataFrame:
        """The rows in this process, however many they are."""
        ...

    def publish(self, store: TableStore, table: str, ds: str) -> tuple[int, int]:
        """Make the rows a night of the table; returns the table's version and the number of rows. Raises StoreError."""
        ...

    def append(self, store: TableStore, table: str) -> int:
        """Add the rows, whose keys a growing table does not have, and let them go; returns how many."""
        ...


@dataclass(frozen=True, slots=True)
class Vectors:
    """Some rows of the table `vectors` that were made and that nobody sees yet, and what that took."""

    made: Made
    done: Encoded
    limit: int | None  # tokens of a text that the encoder reads


class TableEngine(Protocol):
    """The table work that both engines do, with equal results whatever the order of the rows."""

    def k_core(self, interactions: pl.DataFrame, k: int) -> pl.DataFrame:
        """As `features.splits.k_core`."""
        ...

    def splits(self, interactions: Place, split: Split, until: int | None) -> tuple[Made, dict[str, Any]]:
        """The rows of `features.splits.make_splits`, and their `split_summary`."""
        ...

    def embeddings(self, texts: pl.DataFrame, vectors: Place | None, encoder: str) -> Made:
        """The rows of `features.embedding_rows` for texts (kind, id, source, text_hash) with the encoder's vectors.

        `vectors` is the table of that name, None where nothing was ever encoded.
        """
        ...

    def asked(
        self,
        recipe: Recipe,
        own: Place,
        other: pl.DataFrame,
        splits: Place,
        rule: Refresh,
        bags: Mapping[str, Bag] | None,
    ) -> Iterator[Posed] | None:
        """A recipe's subjects with their prompts, in the order of the corpus; None where the caller makes them itself.

        `own`: the table of the recipe's kind, `other`: that of the other side; `rule`, `bags`: see `features.refresh`.
        """
        ...

    def vectors(self, texts: pl.DataFrame, encoder: Encoder) -> Iterator[Vectors] | None:
        """The vectors of texts (text_hash, text), some at a time; None where the caller encodes by itself."""
        ...


def table_engine(engine: Engine) -> TableEngine:
    """What the run file names. Raises ConfigError where Spark is not installed."""
    return SparkTables(engine) if engine.tables == "spark" else PolarsTables()


class PolarsTables:
    """Tables in this process' memory."""

    def k_core(self, interactions: pl.DataFrame, k: int) -> pl.DataFrame:
        return k_core(interactions, k)

    def splits(self, interactions: Place, split: Split, until: int | None) -> tuple[Made, dict[str, Any]]:
        rows = interactions.store.read(interactions.table, interactions.ds, interactions.version)
        splits = make_splits(rows, split, until)
        return MadeHere(splits), split_summary(splits)

    def embeddings(self, texts: pl.DataFrame, vectors: Place | None, encoder: str) -> Made:
        if vectors is None:
            return MadeHere(embedding_rows(without_vectors(texts)))
        known = vectors.store.read(
            vectors.table,
            vectors.ds,
            vectors.version,
            columns=["text_hash", "vector"],
            where=pl.col("encoder") == encoder,
        )
        return MadeHere(embedding_rows(texts.join(known, on="text_hash", how="left", maintain_order="left")))

    def asked(
        self,
        recipe: Recipe,  # noqa: ARG002
        own: Place,  # noqa: ARG002
        other: pl.DataFrame,  # noqa: ARG002
        splits: Place,  # noqa: ARG002
        rule: Refresh,  # noqa: ARG002
        bags: Mapping[str, Bag] | None,  # noqa: ARG002
    ) -> Iterator[Posed] | None:
        return None

    def vectors(self, texts: pl.DataFrame, encoder: Encoder) -> Iterator[Vectors] | None:  # noqa: ARG002
        return None


@dataclass(frozen=True)
class MadeHere:
    """Rows in this process."""

    frame: pl.DataFrame

    def publish(self, store: TableStore, table: str, ds: str) -> tuple[int, int]:
        return store.overwrite(table, conform(table, self.frame), ds), self.frame.height

    def append(self, store: TableStore, table: str) -> int:
        return store.append(table, conform(table, self.frame), TABLES[table].key)


@dataclass(frozen=True)
class SparkTables:
    """Tables on the executors of a Spark session, which starts with the first of them."""

    engine: Engine

    @cached_property
    def session(self) -> SparkSession:
        from features.spark import open_session

        return open_session(self.engine)

    def k_core(self, interactions: pl.DataFrame, k: int) -> pl.DataFrame:
        from features.spark.k_core import k_core_of

        return k_core_of(self.session, interactions, k)

    def splits(self, interactions: Place, split: Split, until: int | None) -> tuple[Made, dict[str, Any]]:
        from features.spark.splits import make_splits
        from features.spark.tables import read_placed

        at = interactions
        rows = read_placed(self.session, at.store, at.table, str(at.ds), at.version)
        made = make_splits(rows, split, until, self.engine.buckets)
        return MadeOnSpark(made.rows), made.summary

    def embeddings(self, texts: pl.DataFrame, vectors: Place | None, encoder: str) -> Made:
        from features.spark.embeddings import embeddings
        from features.spark.frames import from_polars
        from features.spark.tables import read_table

        if vectors is None:
            return MadeHere(embedding_rows(without_vectors(texts)))
        known = read_table(self.session, vectors.store, vectors.table, vectors.ds, vectors.version)
        return MadeOnSpark(embeddings(from_polars(self.session, texts), known, encoder))

    def asked(
        self,
        recipe: Recipe,
        own: Place,
        other: pl.DataFrame,
        splits: Place,
        rule: Refresh,
        bags: Mapping[str, Bag] | None,
    ) -> Iterator[Posed] | None:
        from features.spark.histories import asked
        from features.spark.tables import read_table

        mine, rows = (read_table(self.session, each.store, each.table, each.ds, each.version) for each in (own, splits))
        return asked(recipe, mine, other, rows, rule, bags, self.engine.buckets)

    def vectors(self, texts: pl.DataFrame, encoder: Encoder) -> Iterator[Vectors] | None:
        if encoder.kind == "openai":  # one process keeps to the endpoint's limits and to the cap
            return None
        from features.spark.encoding import encode_waves

        waves = encode_waves(self.session, texts, encoder)
        return (Vectors(MadeOnSpark(wave.rows), wave.done, wave.limit) for wave in waves)


@dataclass(frozen=True)
class MadeOnSpark:
    """Rows on the executors, kept there until they are published."""

    rows: DataFrame

    @property
    def frame(self) -> pl.DataFrame:
        from features.spark.frames import to_polars

        return to_polars(self.rows)

    def publish(self, store: TableStore, table: str, ds: str) -> tuple[int, int]:
        from features.spark.frames import schema_of
        from features.spark.writing import overwrite

        given = conform(table, schema_of(self.rows).to_frame()).schema
        written = overwrite(store, table, self.rows, given, ds)
        self.rows.unpersist()
        return written

    def append(self, store: TableStore, table: str) -> int:
        from features.spark.frames import schema_of
        from features.spark.writing import append

        added = append(store, table, self.rows, conform(table, schema_of(self.rows).to_frame()).schema)
        self.rows.unpersist()
        return added
