"""Feature tables and edges of a language model on the corpus's index: the one place where an id becomes a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from features.codes import ItemCodes
from features.corpus import Corpus, Part
from schemas.errors import DataError
from schemas.records import Kind


@dataclass(frozen=True)
class FeatureTable:
    """Vectors of one kind in index order. A row without a vector is zero and `present` is false there.

    Several sources stand side by side: source s has `widths[s]` of the D columns, and a row may have one and lack
    another (`has`). `present` says whether a row has any.
    """

    kind: Kind
    x: NDArray[np.float32]  # [N, D]
    present: NDArray[np.bool_]  # [N]
    source: str  # such as rlmrec.item/summarization@all-MiniLM-L6-v2
    widths: tuple[int, ...] = ()  # S widths that sum to D
    has: NDArray[np.bool_] | None = None  # [N, S]

    def __post_init__(self) -> None:
        if self.has is None:
            object.__setattr__(self, "widths", (self.x.shape[1],))
            object.__setattr__(self, "has", self.present[:, None])

    def parts(self) -> list[FeatureTable]:
        """One table per source, in order."""
        assert self.has is not None, "set by __post_init__"
        blocks = np.split(self.x, np.cumsum(self.widths)[:-1], axis=1)
        return [FeatureTable(self.kind, block, has, self.source) for block, has in zip(blocks, self.has.T, strict=True)]


@dataclass(frozen=True)
class EdgeTable:
    """Edges that a language model proposed, on the corpus's index; never part of the observed interactions."""

    user: NDArray[np.int64]  # [E]
    item: NDArray[np.int64]  # [E]
    label: NDArray[np.int8]  # [E] 1 liked, -1 disliked
    weight: NDArray[np.float32]  # [E] above 0, at most 1
    source: str  # the recipe

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class FeatureSet:
    """What a model reads beside the interactions: text of items and users, and proposed edges by recipe.

    `profiles` are texts as they are, for recommenders that put them into prompts.
    """

    item: FeatureTable | None = None
    user: FeatureTable | None = None
    edges: Mapping[str, EdgeTable] = field(default_factory=dict)
    codes: ItemCodes | None = None
    profiles: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)  # in index order, empty where there is none


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


def align_texts(texts: pl.DataFrame, ids: pl.Series) -> tuple[str, ...]:
    """Texts (columns `id`, `text`) in the order of `ids`, an empty one where there is none."""
    known = dict(zip(texts["id"].to_list(), texts["text"].to_list(), strict=True))
    return tuple(known.get(id, "") for id in ids.to_list())


def shuffled_texts(texts: tuple[str, ...], seed: int) -> tuple[str, ...]:
    """The shuffled-profile control of texts that stand in prompts: those who have one exchange them at random."""
    rows = [row for row, text in enumerate(texts) if text]
    drawn = np.random.default_rng(seed).permutation(rows).tolist()
    exchanged = list(texts)
    for row, other in zip(rows, drawn, strict=True):
        exchanged[row] = texts[other]
    return tuple(exchanged)


def align_edges(edges: pl.DataFrame, corpus: Corpus, source: str) -> EdgeTable:
    """Put edges (columns `user_id`, `item_id`, `label`, `weight`) on the corpus's index.

    Raises DataError on an id that the corpus does not have.
    """
    rows = {}
    for kind in ("user", "item"):
        ids = edges[f"{kind}_id"]
        index = pl.DataFrame({"id": corpus.ids(kind)}).with_row_index("row")
        row = pl.DataFrame({"id": ids}).join(index, on="id", how="left", maintain_order="left")["row"]
        if row.null_count():
            raise DataError(
                f"{source}: {kind} {ids.filter(row.is_null())[0]!r}: in an edge but not in the {kind}s table"
            )
        rows[kind] = row.cast(pl.Int64).to_numpy()
    label, weight = edges["label"].cast(pl.Int8).to_numpy(), edges["weight"].cast(pl.Float32).to_numpy()
    return EdgeTable(rows["user"], rows["item"], label, weight, source)


def joined(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Several sources of one kind side by side: x [N, sum of D]; a row lacks what its source lacks."""
    if len(tables) == 1:
        return tables[0]
    has = np.stack([table.present for table in tables], axis=1)
    widths = tuple(table.x.shape[1] for table in tables)
    source = " + ".join(table.source for table in tables)
    return FeatureTable(tables[0].kind, np.hstack([t.x for t in tables]), np.any(has, axis=1), source, widths, has)


def averaged(tables: Sequence[FeatureTable]) -> FeatureTable:
    """The mean of several sources of one kind over those that a row has: x [N, D]. Raises DataError on two widths."""
    if len(tables) == 1:
        return tables[0]
    widths = sorted({table.x.shape[1] for table in tables})
    if len(widths) > 1:
        names = ", ".join(table.source for table in tables)
        raise DataError(f"{names}: expected vectors of one dimension to average, found {widths}; use fuse = concat")
    has = np.stack([table.present for table in tables], axis=1)
    x = sum(table.x for table in tables) / np.maximum(has.sum(axis=1), 1)[:, None]
    source = f"mean of {' and '.join(table.source for table in tables)}"
    return FeatureTable(tables[0].kind, np.asarray(x, dtype=np.float32), np.any(has, axis=1), source)


def mean_of_items(items: FeatureTable, history: Part) -> FeatureTable:
    """A user's vector as the mean over his items that have one (AlphaRec, section 3.1): x [U, D].

    `history`: train, or what is known when users are served. Users without such an item keep a zero row and `present`
    false; of several sources each has its own mean.
    """
    return replace(joined([_mean(part, history) for part in items.parts()]), source=f"mean({items.source})")


def _mean(items: FeatureTable, history: Part) -> FeatureTable:
    matrix = history.by_user.astype(np.float32) @ diags(items.present.astype(np.float32))
    count = np.asarray(csr_matrix(matrix).sum(axis=1)).ravel()
    x = np.asarray(matrix @ items.x, dtype=np.float32) / np.maximum(count, 1.0)[:, None]
    return FeatureTable("user", x.astype(np.float32), count > 0, items.source)


def shuffled(table: FeatureTable, seed: int) -> FeatureTable:
    """The shuffled-profile control: the rows that have a vector exchange them at random."""
    assert table.has is not None, "set by FeatureTable"
    rows = np.flatnonzero(table.present)
    drawn = np.random.default_rng(seed).permutation(rows)
    x, has = table.x.copy(), table.has.copy()
    x[rows], has[rows] = table.x[drawn], table.has[drawn]
    return replace(table, x=x, has=has, source=f"shuffled({table.source})")


def randomised(table: FeatureTable, seed: int) -> FeatureTable:
    """The control that says nothing at all: random unit vectors where a source has one, x [N, D]."""
    assert table.has is not None, "set by FeatureTable"
    rng = np.random.default_rng((seed, table.kind == "user"))
    blocks = [
        _unit_rows(rng, len(table.x), width) * has[:, None]
        for width, has in zip(table.widths, table.has.T, strict=True)
    ]
    return replace(table, x=np.hstack(blocks), source=f"random({table.source})")


def _unit_rows(rng: np.random.Generator, rows: int, width: int) -> NDArray[np.float32]:
    x = rng.standard_normal((rows, width), dtype=np.float32)
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def shuffled_edges(edges: EdgeTable, seed: int, kind: Kind = "user") -> EdgeTable:
    """The control of proposed edges: users who have any hand theirs on, each all of them, to another at random.

    With `kind` "item" it is the items that hand their edges on.
    """
    ids = edges.user if kind == "user" else edges.item
    known = np.unique(ids)
    drawn = np.random.default_rng(seed).permutation(known)[np.searchsorted(known, ids)]
    source = f"shuffled({edges.source})"
    return replace(edges, user=drawn, source=source) if kind == "user" else replace(edges, item=drawn, source=source)


def random_edges(edges: EdgeTable, items: int, seed: int) -> EdgeTable:
    """The same users with edges to items that are drawn from all `items` of the catalogue."""
    drawn = np.random.default_rng(seed).integers(items, size=len(edges))
    return replace(edges, item=drawn, source=f"random({edges.source})")
