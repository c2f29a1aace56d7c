"""Fitted models on disk: a folder per model, named after everything that decides its weights."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from evaluation.judge import examine
from evaluation.protocol import Exam
from features.corpus import Corpus
from features.recipes import can_write
from features.reduce import pca
from features.table import (
    EdgeTable,
    FeatureSet,
    FeatureTable,
    align,
    align_edges,
    averaged,
    joined,
    mean_of_items,
    shuffled,
    shuffled_edges,
)
from graph_models.curve import Epoch
from pipelines.night import Night, write_json
from recommenders import make_recommender
from schemas.errors import ConfigError, StoreError, unknown_name
from schemas.records import KINDS, Kind, canonical, sha256
from schemas.sections import Model, Objective


@dataclass(frozen=True)
class Fitted:
    """One trained model of one seed, as `result.json` in its folder keeps it."""

    name: str
    seed: int
    control_of: str | None
    recommender: str
    backbone: str | None
    loss: str | None
    objectives: list[str]  # names; one that reproduces a paper's code says so
    features: dict[str, Any] | None
    control: str
    valid: dict[str, float]
    best_epoch: int | None
    epochs: int
    seconds: float
    history: list[dict[str, float]]
    split_id: str
    config_hash: str
    folder: str
    report: dict[str, Any] = field(default_factory=dict)  # what objectives say of themselves, by name


def fit(night: Night, model: Model, seed: int, corpus: Corpus, exam: Exam) -> tuple[Fitted, bool]:
    """Train a model, or read it where the same data and settings were trained before (then True).

    An interrupted training goes on from its last checkpoint.
    """
    features = feature_tables(night, model, corpus, seed)
    folder, config_hash = _place(night, model, seed, corpus)
    if (folder / "result.json").exists():
        return _read(folder), True
    began = time.perf_counter()
    recommender = make_recommender(model, night.run, seed, folder)
    recommender.fit(corpus, features)
    seconds = round(time.perf_counter() - began, 3)
    recommender.save(folder)
    valid = examine(recommender, exam, night.run.evaluation).means()
    history = getattr(recommender, "history", ())
    fitted = Fitted(
        name=model.name,
        seed=seed,
        control_of=model.control_of,
        recommender=model.recommender,
        backbone=model.backbone.name if model.backbone else None,
        loss=night.run.training_of(model).loss if model.backbone else None,
        objectives=[_label(objective) for objective in model.objectives],
        features=model.features.model_dump() if model.features else None,
        control=model.control,
        valid=valid,
        best_epoch=getattr(recommender, "best_epoch", None),
        epochs=len(history),
        seconds=seconds,
        history=[_point(epoch, night.run.evaluation.selection) for epoch in history if epoch.valid is not None],
        split_id=corpus.split_id,
        config_hash=config_hash,
        folder=str(folder.relative_to(night.work)),
        report=getattr(recommender, "report", {}),
    )
    write_json(folder / "result.json", asdict(fitted))
    return fitted, False


def read_fitted(night: Night, model: Model, seed: int, corpus: Corpus) -> Fitted:
    """What `fit` kept for tonight's data and settings. Raises StoreError where there is none."""
    folder, _ = _place(night, model, seed, corpus)
    if not (folder / "result.json").exists():
        raise StoreError(
            f"{folder}: no fitted {model.name} for seed {seed}, tonight's data and these settings; run train"
        )
    return _read(folder)


def feature_tables(night: Night, model: Model, corpus: Corpus, seed: int) -> FeatureSet:
    """What a model reads; with control = "shuffled" the rows of its texts and the users of its edges are permuted.

    User text that is a mean of item vectors is taken from the permuted items, so that the control keeps the model's
    structure and loses only what the texts say.
    """
    wanted = model.features
    if wanted is None:
        return FeatureSet()
    edges = {recipe: _edges(night, corpus, recipe) for recipe in wanted.edges}
    if model.control == "shuffled":
        edges = {recipe: shuffled_edges(each, seed) for recipe, each in edges.items()}
    if wanted.item is None:
        return FeatureSet(edges=edges)
    sources = {kind: [_aligned(night, corpus, kind, text) for text in wanted.texts(kind)] for kind in KINDS}
    if wanted.pca is not None:
        reduced = iter(pca([*sources["item"], *sources["user"]], wanted.pca))
        sources = {kind: [next(reduced) for _ in tables] for kind, tables in sources.items()}
    fuse = joined if wanted.fuse == "concat" else averaged
    item, user = fuse(sources["item"]), fuse(sources["user"]) if sources["user"] else None
    if model.control == "shuffled":
        item, user = shuffled(item, seed), user and shuffled(user, seed)
    return FeatureSet(item, user or mean_of_items(item, corpus.served), edges)


def _edges(night: Night, corpus: Corpus, recipe: str) -> EdgeTable:
    """The edges that a recipe proposed; none where its answers named nothing of the catalogue."""
    rows = night.read("llm_edges").filter(pl.col("recipe") == recipe)
    return align_edges(rows, corpus, recipe)


def _label(objective: Objective) -> str:
    """The objective's name, and whether it reproduces quirks of published code."""
    return f"{objective.name} (as published)" if "reference" in objective.options.values() else objective.name


def _place(night: Night, model: Model, seed: int, corpus: Corpus) -> tuple[Path, str]:
    """The folder of a model: its name, its seed and a hash of the data, texts and settings that decide its weights."""
    decides = {
        "split_id": corpus.split_id,
        "users": corpus.num_users,
        "items": sha256("\n".join(corpus.ids("item").to_list())),
        "texts": _texts(night, model),
        "edges": _edges_hash(night, model),
        "model": model.model_dump(exclude={"name", "control_of"}),
        "training": night.run.training_of(model).model_dump() if model.backbone else None,
        "selection": night.run.evaluation.selection,
        "seed": seed,
    }
    config_hash = sha256(canonical(decides))[:16]
    return night.work / "models" / model.name / f"{config_hash}-{seed}", config_hash


def _texts(night: Night, model: Model) -> str | None:
    """A hash of every text that the model reads, by id."""
    if model.features is None or model.features.item is None:
        return None
    names = [source_name(night, source) for kind in KINDS for source in model.features.texts(kind)]
    rows = night.store.read("embeddings", ds=night.ds, columns=["kind", "id", "source", "text_hash"])
    rows = rows.filter(pl.col("source").is_in(names)).sort("kind", "source", "id")
    return sha256(canonical([rows[name].to_list() for name in ("kind", "id", "source", "text_hash")]))


def _edges_hash(night: Night, model: Model) -> str | None:
    """A hash of every edge that the model reads."""
    if model.features is None or not model.features.edges:
        return None
    rows = night.read("llm_edges").filter(pl.col("recipe").is_in(model.features.edges))
    columns = ["recipe", "user_id", "item_id", "label", "weight"]
    return sha256(canonical(rows.select(columns).sort(columns).rows()))


def _aligned(night: Night, corpus: Corpus, kind: Kind, source: str) -> FeatureTable:
    name = source_name(night, source)
    embeddings = night.store.read("embeddings", ds=night.ds, columns=["kind", "id", "source", "vector"])
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


def _point(epoch: Epoch, selection: str) -> dict[str, float]:
    """A validated epoch as a point of the training curve."""
    assert epoch.valid is not None, "only validated epochs are points"
    return {"epoch": epoch.epoch, "loss": sum(epoch.loss.values()), "valid": epoch.valid[selection]}


def _read(folder: Path) -> Fitted:
    return Fitted(**json.loads((folder / "result.json").read_text(encoding="utf-8")))
