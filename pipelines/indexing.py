"""The approximate index of a chosen model: built beside it, measured against exact search, and kept while it holds."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import polars as pl

from features.corpus import Corpus
from pipelines.fitted import Fitted
from pipelines.night import Night
from recommenders.base import InnerProduct
from recommenders.index import Build, ItemIndex, index_of, read_about, recall, recommend_by
from schemas.sections import Recommend

FOLDER, IDS = "index", "items.parquet"  # row n of the index is the item in row n


def build_index(night: Night, best: Fitted, recommender: InnerProduct, corpus: Corpus) -> dict[str, Any]:
    """Build and measure the index of a model in its own folder; one that is there for the same settings stays.

    `recall`: mean share of the exact first k that it finds for users drawn at random, with what they know masked;
    `ms`, `exact_ms`: milliseconds per user of those searches.
    """
    settings, folder = night.run.recommend, night.work / best.folder / FOLDER
    build = _build(settings)
    asked = {"model": best.name, "seed": best.seed, "config_hash": best.config_hash, "k": settings.k}
    asked |= {"recall_users": settings.recall_users}
    known = read_about(folder)
    if known is not None and known.items() >= {**asked, "build": build.to_json()}.items():
        return {**known["figures"], "folder": str(folder)}
    began = time.perf_counter()
    index = index_of(recommender, build)
    took = time.perf_counter() - began
    figures = {**_measured(index, recommender, settings), "build_seconds": round(took, 3)}
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"id": corpus.ids("item")}).write_parquet(folder / IDS)
    index.save(folder, {**asked, "figures": figures})
    return {**figures, "folder": str(folder)}


def _measured(index: ItemIndex, recommender: InnerProduct, settings: Recommend) -> dict[str, Any]:
    total = len(recommender.user)
    users = np.random.default_rng(0).choice(total, min(total, settings.recall_users), replace=False)
    marks = [time.perf_counter()]
    exact = recommender.recommend(users, settings.k)
    marks.append(time.perf_counter())
    found = recommend_by(index, recommender, users, settings.k)
    marks.append(time.perf_counter())
    exact_ms, ms = (round(1000 * seconds / len(users), 4) for seconds in np.diff(marks))
    return {
        "recall": round(recall(found, exact), 4),
        "k": settings.k,
        "users": len(users),
        "items": len(index.item),
        "ms": ms,
        "exact_ms": exact_ms,
    }


def _build(settings: Recommend) -> Build:
    expansions = settings.expansion_add, settings.expansion_search
    return Build(settings.connectivity, *expansions, settings.index_metric)
