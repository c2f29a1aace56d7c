"""What the expectation suites judge: columns computed from profiles and embeddings, one row each as in the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.sections import GATED_MEASURES

ENTITY = ["kind", "id", "recipe"]
ROUNDING = 1e-3  # difference of a dimension of unit vectors that another machine or batch may make


@dataclass(frozen=True)
class Measured:
    """What a suite judges: rows like those of the table, or one row of figures with examples behind them."""

    frame: pl.DataFrame
    rows: int  # of the table
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by figure


def against_asked(profiles: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """The profiles, and a row without a text for every user or item that was asked and has none.

    `asked`: kind, id, recipe, and optionally key and `answer_ok`: true where the answer could be read, false where it
    could not, null where none came.
    """
    missing = asked.join(profiles, on=ENTITY, how="anti").unique(ENTITY, maintain_order=True)
    if "answer_ok" in asked.columns and "answer_ok" not in profiles.columns:
        read = asked.select(*ENTITY, "answer_ok").unique(ENTITY, maintain_order=True)
        profiles = profiles.join(read, on=ENTITY, how="left", maintain_order="left")
    return pl.concat([profiles.with_columns(asked_only=False), missing.with_columns(asked_only=True)], how="diagonal")


def against_train(edges: pl.DataFrame, train: pl.DataFrame) -> pl.DataFrame:
    """The edges, and whether each is a train interaction (`observed`). `train`: user_id and item_id."""
    pairs = train.select("user_id", "item_id", observed=pl.lit(True)).unique()
    joined = edges.join(pairs, on=["user_id", "item_id"], how="left", maintain_order="left")
    return joined.with_columns(pl.col("observed").fill_null(False))


def against_before(frame: pl.DataFrame, before: pl.DataFrame | None, same: str, value: str) -> pl.DataFrame:
    """The frame, and whether a row has another `value` than the night before though `same` is the same (`changed`).

    Rows of both frames are matched by the columns that both have beside these two; null where the night before has no
    such row or another `same`.
    """
    if before is None:
        return frame.with_columns(pl.lit(None, dtype=pl.Boolean).alias("changed"))
    keys = [name for name in before.columns if name not in (same, value)]
    old = before.select(*keys, pl.col(same), pl.col(value).alias("old"))
    joined = frame.join(old, on=[*keys, same], how="left", maintain_order="left")
    changed = pl.when(pl.col("old").is_not_null()).then(pl.col(value).ne_missing(pl.col("old")))
    return joined.with_columns(changed.alias("changed")).drop("old")


def against_vectors(frame: pl.DataFrame, before: pl.DataFrame | None) -> pl.DataFrame:
    """`against_before` for vectors of the same text; encoded on another machine they may differ by rounding.

    Both frames have kind, id, source, text_hash and vector.
    """
    place = ["kind", "id", "source"]
    marked = against_before(frame, before, "text_hash", "vector")
    if before is None:
        return marked
    differ = marked.filter("changed").select(*place, "vector").join(before, on=place, suffix="_before")
    near = [_nearly_same(new, old) for new, old in zip(differ["vector"], differ["vector_before"], strict=True)]
    same = differ.filter(pl.Series(near, dtype=pl.Boolean)).select(*place, near=pl.lit(True))
    joined = marked.join(same, on=place, how="left", maintain_order="left")
    return joined.with_columns(pl.col("changed") & pl.col("near").is_null()).drop("near")


def against_ids(frame: pl.DataFrame, ids: Mapping[str, pl.Series]) -> pl.DataFrame:
    """The frame, and whether the id is one of its kind (`known_id`). `ids`: kind -> ids that there are."""
    known = pl.any_horizontal(
        (pl.col("kind") == kind) & pl.col("id").is_in(each.implode()) for kind, each in ids.items()
    )
    return frame.with_columns(known.fill_null(False).alias("known_id"))


def measure_edges(frame: pl.DataFrame) -> pl.DataFrame:
    """Edges as the suite judges them: recipe, user_id, item_id, label, weight, observed, key."""
    return frame.select("recipe", "user_id", "item_id", "label", "weight", "observed", "key")


def measure_profiles(frame: pl.DataFrame) -> pl.DataFrame:
    """Profiles as the suite judges them: kind, id, recipe, field, key and the measured columns.

    item_coverage, user_coverage: share of the recipe's entities that have a text; 1 on rows of the other kind.
    rewritten, known_id: what `against_before` (same key, another text) and `against_ids` have found.
    shared_text: the text stands under another id of the recipe's field as well. answer_ok, blank, characters (int64).
    Rows that `against_asked` added count for coverage and answers only; rows that are `brief` (a name, a language) may
    be short and shared.
    """
    given = (("asked_only", False), ("answer_ok", None), ("brief", False), ("changed", None), ("known_id", None))
    for name, value in given:
        frame = _with_column(frame, name, value)
    text, written = pl.col("text").str.strip_chars(), ~pl.col("asked_only")
    prose = written & ~pl.col("brief").fill_null(False)
    characters = text.str.len_chars().fill_null(0).cast(pl.Int64)
    ids_of_text = pl.col("id").n_unique().over("kind", "recipe", "field", text.str.to_lowercase())
    return frame.select(
        *ENTITY,
        "field",
        pl.when(written).then("key").otherwise(pl.lit("asked")).alias("key"),
        _coverage("item", characters > 0),
        _coverage("user", characters > 0),
        "answer_ok",
        pl.when(written).then(characters == 0).alias("blank"),
        pl.when(prose).then(characters).alias("characters"),
        pl.when(prose & (characters > 0)).then(ids_of_text > 1).alias("shared_text"),
        pl.col("changed").alias("rewritten"),
        pl.when(written).then("known_id").alias("known_id"),
    )


def measure_embeddings(frame: pl.DataFrame) -> pl.DataFrame:
    """Embeddings as the suite judges them: kind, id, source, text_hash and the measured columns.

    dimension (int64), other_dimension (not the table's most common one), finite, norm_error (|L2 norm - 1|, float64).
    shared_vector: another text of the same source has exactly this vector. moved, known_id: what `against_before`
    (same text, another vector) and `against_ids` have found.
    """
    for name in ("changed", "known_id"):
        frame = _with_column(frame, name, None)
    lengths, norms = frame["vector"].list.len().cast(pl.Int64), _norms(frame["vector"])
    measured = frame.select("kind", "id", "source", "text_hash", pl.col("changed").alias("moved"), "known_id")
    measured = measured.with_columns(
        lengths.alias("dimension"),
        (pl.lit(lengths) != pl.lit(lengths).drop_nulls().mode().min()).alias("other_dimension"),
        pl.Series("finite", np.isfinite(norms)),
        pl.Series("norm_error", np.abs(norms - 1.0)),
        pl.lit(frame["vector"].hash()).alias("hash"),
    )
    texts_of_vector = pl.col("text_hash").n_unique().over("kind", "source", "hash")
    return measured.with_columns((texts_of_vector > 1).alias("shared_vector")).drop("hash")


def measure_quality(frame: pl.DataFrame) -> pl.DataFrame:
    """The gated measures of the answers as the suite judges them: recipe, kind, field, and a column for each measure.

    A measure that is not gated in a field is null there.
    """
    gated = frame.filter(pl.col("allowed").is_not_null())
    names = ["recipe", "kind", "field"]
    wide = gated.pivot("measure", on_columns=GATED_MEASURES, index=names, values="value", maintain_order=True)
    return wide.select(*names, *GATED_MEASURES)


MEASURES: Mapping[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "profiles": measure_profiles,
    "embeddings": measure_embeddings,
    "llm_edges": measure_edges,
    "answer_quality": measure_quality,
}


def _with_column(frame: pl.DataFrame, name: str, value: bool | None) -> pl.DataFrame:
    return frame if name in frame.columns else frame.with_columns(pl.lit(value, dtype=pl.Boolean).alias(name))


def _coverage(kind: str, has_text: pl.Expr) -> pl.Expr:
    covered = pl.col("id").filter(has_text).n_unique().over("kind", "recipe")
    asked = pl.col("id").n_unique().over("kind", "recipe")
    return pl.when(pl.col("kind") == kind).then(covered / asked).otherwise(1.0).alias(f"{kind}_coverage")


def _norms(vectors: pl.Series) -> NDArray[np.float64]:
    """[N] L2 norms in float64; NaN or infinity where a value is, NaN where there is no vector."""
    norms = [
        np.nan if vector is None else float(np.linalg.norm(vector.to_numpy().astype(np.float64))) for vector in vectors
    ]
    return np.array(norms, dtype=np.float64)


def _nearly_same(new: pl.Series | None, old: pl.Series) -> bool:
    return new is not None and len(new) == len(old) and np.allclose(new.to_numpy(), old.to_numpy(), atol=ROUNDING)
