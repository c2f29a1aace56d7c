"""What a model reads of a night: texts, edges, codes and profiles, under its control, and their hashes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from features.codes import ItemCodes, align_codes, shuffled_codes
from features.corpus import Corpus
from features.recipes import can_write
from features.reduce import pca
from features.table import (
    EdgeTable,
    FeatureSet,
    FeatureTable,
    align,
    align_edges,
    align_texts,
    averaged,
    joined,
    mean_of_items,
    random_edges,
    randomised,
    shuffled,
    shuffled_edges,
    shuffled_texts,
)
from pipelines.night import Night
from schemas.errors import ConfigError, unknown_name
from schemas.records import KINDS, Kind, canonical, sha256
from schemas.sections import ClickModel, Control, Features, Model


def feature_tables(night: Night, model: Model | ClickModel, corpus: Corpus, seed: int) -> FeatureSet:
    """What a model reads; with control = "shuffled" the rows of its texts and the users of its edges are permuted.

    User text that is a mean of item vectors is taken from the permuted (or random) items, so that the control keeps the
    model's structure and loses only what the texts say.
    """
    wanted = model.features
    if wanted is None:
        return FeatureSet()
    found = _texts_and_edges(night, model, wanted, corpus, seed)
    codes, profiles = _codes(night, model, corpus, seed), _profiles(night, model, wanted, corpus, seed)
    return replace(found, codes=codes, profiles=profiles)


def _texts_and_edges(
    night: Night, model: Model | ClickModel, wanted: Features, corpus: Corpus, seed: int
) -> FeatureSet:
    edges = {recipe: _edges(night, corpus, recipe) for recipe in wanted.edges}
    edges = {recipe: _controlled_edges(each, model.control, corpus, seed) for recipe, each in edges.items()}
    if wanted.item is None:
        return FeatureSet(edges=edges)
    sources = {kind: [aligned(night, corpus, kind, text) for text in wanted.texts(kind)] for kind in KINDS}
    if wanted.pca is not None:
        reduced = iter(pca([*sources["item"], *sources["user"]], wanted.pca))
        sources = {kind: [next(reduced) for _ in tables] for kind, tables in sources.items()}
    fuse = joined if wanted.fuse == "concat" else averaged
    item, user = fuse(sources["item"]), fuse(sources["user"]) if sources["user"] else None
    return FeatureSet(*_controlled(item, user, model.control, corpus, seed), edges)


def _codes(night: Night, model: Model | ClickModel, corpus: Corpus, seed: int) -> ItemCodes | None:
    """The semantic ids of a model; controls that take an item's text from it hand its codes to another item."""
    name = model.features.semantic_ids if model.features else None
    if name is None:
        return None
    codes = align_codes(night.read("semantic_ids").filter(pl.col("name") == name), corpus.ids("item"), name)
    return codes if model.control in ("none", "shuffled_users") else shuffled_codes(codes, seed)


def _profiles(
    night: Night, model: Model | ClickModel, wanted: Features, corpus: Corpus, seed: int
) -> dict[Kind, tuple[str, ...]]:
    """Texts that stand in prompts; every control that takes a kind's texts from it hands them to another."""
    found = dict[Kind, tuple[str, ...]]()
    for kind in KINDS:
        if (source := wanted.profile(kind)) is not None:
            texts = align_texts(profile_texts(night, kind, source), corpus.ids(kind))
            kept = model.control == "none" or model.control == f"shuffled_{'user' if kind == 'item' else 'item'}s"
            found[kind] = texts if kept else shuffled_texts(texts, seed)
    return found


def profile_texts(night: Night, kind: Kind, source: str) -> pl.DataFrame:
    """Tonight's texts `recipe/field` of a kind: id, text. Raises ConfigError where nobody has one."""
    rows = night.read("profiles").filter(pl.col("kind") == kind)
    named = rows.with_columns(source=pl.concat_str("recipe", pl.lit("/"), "field"))
    found = named.filter(pl.col("source") == source).select("id", "text").sort("id")
    if found.is_empty():
        known = named["source"].unique().sort().to_list()
        raise ConfigError(unknown_name(f"{night.run.file}: features.{kind}_profile", source, known))
    return found


def _controlled(
    item: FeatureTable, user: FeatureTable | None, control: Control, corpus: Corpus, seed: int
) -> tuple[FeatureTable, FeatureTable]:
    if control in ("shuffled", "shuffled_items"):
        item = shuffled(item, seed)
    if control == "random":
        item, user = randomised(item, seed), user and randomised(user, seed)
    if control == "shuffled_users":  # a mean over own items is a text of the user as well
        return item, shuffled(user or mean_of_items(item, corpus.served), seed)
    if control == "shuffled" and user is not None:
        user = shuffled(user, seed)
    return item, user or mean_of_items(item, corpus.served)


def _controlled_edges(edges: EdgeTable, control: Control, corpus: Corpus, seed: int) -> EdgeTable:
    if control == "random":
        return random_edges(edges, corpus.num_items, seed)
    if control in ("shuffled", "shuffled_users"):
        return shuffled_edges(edges, seed)
    return shuffled_edges(edges, seed, "item") if control == "shuffled_items" else edges


def _edges(night: Night, corpus: Corpus, recipe: str) -> EdgeTable:
    """The edges that a recipe proposed; none where its answers named nothing of the catalogue."""
    rows = night.read("llm_edges").filter(pl.col("recipe") == recipe)
    return align_edges(rows, corpus, recipe)


def aligned(night: Night, corpus: Corpus, kind: Kind, source: str) -> FeatureTable:
    """Tonight's vectors of one text in index order. Raises ConfigError where the embeddings have none of that name."""
    name = source_name(night, source)
    embeddings = night.read("embeddings", columns=["kind", "id", "source", "vector"])
    rows = embeddings.filter((pl.col("kind") == kind) & (pl.col("source") == name))
    if rows.is_empty() and can_write(source):
        return _nothing(embeddings, corpus, kind, name)
    if rows.is_empty():
        known = set(embeddings["source"].unique())
        raise ConfigError(unknown_name(f"{night.run.file}: features.{kind}", name, known))
    return align(rows, corpus.ids(kind), kind, name)


def _nothing(embeddings: pl.DataFrame, corpus: Corpus, kind: Kind, name: str) -> FeatureTable:
    """A source that nobody has a text of tonight, as wide as the others."""
    dim, rows = int(embeddings["vector"].list.len().max() or 1), len(corpus.ids(kind))  # type: ignore[arg-type]
    return FeatureTable(kind, np.zeros((rows, dim), dtype=np.float32), np.zeros(rows, dtype=bool), name)


def source_name(night: Night, source: str) -> str:
    """The name of a source in the embeddings table: the text's source and the encoder."""
    return f"{source}@{night.run.encoder.label}"


def texts_hash(night: Night, features: Features | None) -> str | None:
    """A hash of every text that a model reads, by id."""
    if features is None or features.item is None:
        return None
    names = [source_name(night, source) for kind in KINDS for source in features.texts(kind)]
    rows = night.read("embeddings", columns=["kind", "id", "source", "text_hash"])
    rows = rows.filter(pl.col("source").is_in(names)).sort("kind", "source", "id")
    return sha256(canonical([rows[name].to_list() for name in ("kind", "id", "source", "text_hash")]))


def edges_hash(night: Night, features: Features | None) -> str | None:
    """A hash of every edge that a model reads."""
    if features is None or not features.edges:
        return None
    rows = night.read("llm_edges").filter(pl.col("recipe").is_in(features.edges))
    columns = ["recipe", "user_id", "item_id", "label", "weight"]
    return sha256(canonical(rows.select(columns).sort(columns).rows()))


def codes_hash(night: Night, features: Features | None, corpus: Corpus) -> dict[str, str]:
    """The codes that a model reads, as a hash; nothing of models that read none."""
    if features is None or features.semantic_ids is None:
        return {}
    rows = night.read("semantic_ids").filter(pl.col("name") == features.semantic_ids)
    return {"semantic_ids": align_codes(rows, corpus.ids("item"), features.semantic_ids).hash}


def profiles_hash(night: Night, features: Features | None) -> dict[str, str]:
    """The texts that a model puts into prompts, as hashes; nothing of models that put none."""
    sources = {kind: features.profile(kind) for kind in KINDS} if features else {}
    return {
        f"{kind}_profile": sha256(canonical(profile_texts(night, kind, source).rows()))
        for kind, source in sources.items()
        if source is not None
    }
