"""Fits a tuned recommender on a planted world, with a tiny language model that is trained whole."""

from copy import copy, deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from features.corpus import Corpus
from features.table import FeatureSet, FeatureTable
from graph_models.curve import Progress
from recommenders import check_model, make_recommender
from recommenders.tuned.base import Tuned
from schemas.run import Run
from schemas.sections import Data, Evaluation, Features, Llm, Model, SequenceTraining
from tests.support.planted import save_reader, theme_codes, theme_vectors


def planted_run(reader: Path, epochs: int = 10, **training: Any) -> Run:
    """One validation, after the last epoch."""
    settings = {"learning_rate": 3e-3, "batch_size": 32, "max_epochs": epochs, "evaluate_every": epochs, **training}
    return Run(
        name="planted",
        lake="lake",
        data=Data(path="data"),
        llm=Llm(engine="hf", model=str(reader)),
        evaluation=Evaluation(selection="ndcg@5"),
        sequence_training=SequenceTraining(**settings),
        device="cpu",
    )


def planted_features(corpus: Corpus) -> FeatureSet:
    x = theme_vectors(corpus)
    return FeatureSet(item=FeatureTable("item", x, x.any(axis=1), "themes"), codes=theme_codes(corpus))


def made(
    name: str, run: Run, options: dict[str, Any], folder: Path | None = None, progress: Progress | None = None
) -> Tuned:
    """A recommender of the registry, unfitted; its retriever says nothing of what a user likes."""
    whole = {"tune": "full", **({} if name in ("bigrec", "lc_rec") else {"retriever": "popularity"}), **options}
    model = Model(name=name, recommender=name, options=whole, features=Features(item="title", semantic_ids="made"))
    check_model(model, run)
    found = make_recommender(model, run, 1, folder, progress)
    assert isinstance(found, Tuned)
    return found


def fitted(
    name: str,
    corpus: Corpus,
    reader: Path,
    options: dict[str, Any],
    epochs: int = 10,
    words: Corpus | None = None,
    **training: Any,
) -> Tuned:
    """The same, fitted with one thread on a world of `tests.support.planted`; it can read the titles of `words`."""
    torch.set_num_threads(1)
    found = made(name, planted_run(save_reader(reader, words or corpus), epochs, **training), options)
    found.fit(corpus, planted_features(corpus))
    return found


def with_other_titles(recommender: Tuned) -> Tuned:
    """The same network, which is shown titles that were handed round among the items."""
    drawn = np.random.default_rng(3).permutation(len(recommender.shown.titles))
    other = copy(recommender)
    other.shown = replace(recommender.shown, titles=tuple(recommender.shown.titles[row] for row in drawn))
    return other


def with_other_rows(recommender: Tuned, table: str) -> Tuned:
    """The same language model, and the rows of a table that stands beside it handed round."""
    other = copy(recommender)
    other.network = deepcopy(recommender.network)
    rows = other.network.get_buffer(table)
    rows.copy_(rows[torch.from_numpy(np.random.default_rng(3).permutation(len(rows)))].clone())
    return other
