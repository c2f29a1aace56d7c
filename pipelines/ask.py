"""`loregraph ask`: what a user is offered who says, in a sentence of his own, what he wants right now."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from features.corpus import Corpus
from language_models.encoders import make_encoder
from pipelines.checks import check_run
from pipelines.fitted import Fitted, read_fitted
from pipelines.lookup import Served
from pipelines.night import Night, last_night, open_night, refuse_missing
from pipelines.promoting import live_release
from pipelines.steps.models import select
from recommenders import load_recommender
from recommenders.intention import FILE, Steered, check_alpha
from schemas.errors import ConfigError, unknown_name
from schemas.run import load_run


def ask(
    file: Path,
    user: str,
    intention: str,
    alpha: float = 0.5,
    model: str | None = None,
    k: int = 10,
    ds: str | None = None,
    lake: str | None = None,
) -> dict[str, Any]:
    """Rank the catalogue for a user whose layer 0 is (1 - alpha) history + alpha sentence; nothing is written.

    `model`: by default the best on validation of those that follow sentences, of its seeds the best; `ds`: without a
    model the night of the live release, else the last one. Raises ConfigError for an alpha outside [0, 1], an empty
    sentence, and a model that cannot follow one, DataError for an unknown user, StoreError where the night has no such
    model.
    """
    check_alpha(alpha)
    if not intention.strip():
        raise ConfigError("ask --intention: expected a sentence, found nothing")
    run = load_run(file, lake=lake)
    check_run(run)
    live = live_release(run) if model is None and ds is None else None
    night = open_night(run, ds or (live.ds if live else last_night(run)))
    refuse_missing(night, {"splits": "night"}, "ask")
    corpus = night.corpus()
    fitted = _chosen(night, corpus, model)
    recommender = load_recommender(night.work / fitted.folder)
    served = Served(night.ds, corpus, fitted, recommender)
    row = served.row("user", user, "ask")
    if not isinstance(recommender, Steered):
        raise ConfigError(f"ask --model: {fitted.name}: {fitted.recommender} cannot follow a sentence")
    vector = make_encoder(run.encoder).encode([intention.strip()])  # [1, D]
    found = recommender.recommend_for(np.array([row]), vector, alpha, k)
    return {"user": user, "intention": intention.strip(), "alpha": alpha, **served.told(found)}


def _chosen(night: Night, corpus: Corpus, name: str | None) -> Fitted:
    """The named model's best seed, or the best model that follows sentences; controls are only taken by name."""
    names = [each.name for each in night.run.models]
    if name is not None and name not in names:
        raise ConfigError(unknown_name("ask --model", name, names))
    wanted = [each for each in night.run.models if each.name == name or (name is None and each.control_of is None)]
    fitted = [read_fitted(night, each, seed, corpus) for each in wanted for seed in night.run.seeds]
    able = [each for each in fitted if name is not None or (night.work / each.folder / FILE).exists()]
    if not able:
        raise ConfigError(
            f"{night.run.file}: ask: no model of this run follows a sentence; add one with the backbone alpharec, one"
            " text and neither objectives, adaptor nor pca, and run `loregraph train`"
        )
    best = name or select(night.run, [asdict(each) for each in able])
    metric = night.run.evaluation.selection
    return max((each for each in able if each.name == best), key=lambda each: each.valid[metric])
