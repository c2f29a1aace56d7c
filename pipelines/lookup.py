"""`loregraph top` and `loregraph neighbours`: what a fitted model says of one user or one item, with titles."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rapidfuzz import process

from evaluation.recommendations import Recommendations
from features.corpus import Corpus
from features.feature_store import Snapshot
from features.releases import Release
from pipelines.asking import asking
from pipelines.checks import check_run
from pipelines.fitted import Fitted, kept_fitted
from pipelines.night import Night, last_night, open_night, refuse_missing
from pipelines.promoting import live_release
from pipelines.steps.models import best_fitted
from recommenders import load_recommender
from recommenders.base import Recommender
from recommenders.neighbours import neighbours
from schemas.errors import ConfigError, DataError
from schemas.records import Kind
from schemas.run import load_run

TITLES = ("title", "name")


@dataclass(frozen=True)
class Served:
    """A night's corpus and the model of it that is asked."""

    ds: str
    corpus: Corpus
    fitted: Fitted
    recommender: Recommender

    def row(self, kind: Kind, id: str, command: str) -> int:
        """Row number of an id. Raises DataError naming the nearest ones where there is no such user or item."""
        ids = self.corpus.ids(kind)
        row = ids.index_of(id)
        if row is None:
            near = ", ".join(str(name) for name, *_ in process.extract(id, ids.to_list(), limit=3)) or "none"
            raise DataError(f"{command}: {kind} {id}: not in table {kind}s of {self.ds} (nearest: {near})")
        return row

    def told(self, found: Recommendations) -> dict[str, Any]:
        """Model, night and the listed items of the only row, with titles."""
        about = {"ds": self.ds, "model": self.fitted.name, "seed": self.fitted.seed}
        rows = [row for row in found.item[0].tolist() if row >= 0]
        ids, titles = self.corpus.ids("item").gather(rows).to_list(), self.titles(rows)
        shown = zip(ids, titles, found.score[0].tolist(), strict=False)
        items = [{"rank": n, "id": id, "title": title, "score": score} for n, (id, title, score) in enumerate(shown, 1)]
        return {**about, "items": items}

    def titles(self, rows: list[int]) -> list[str | None]:
        """What items are called; None where the catalogue does not say."""
        column = next((name for name in TITLES if name in self.corpus.items.columns), None)
        return self.corpus.items[column].gather(rows).to_list() if column else [None] * len(rows)


def top(
    file: Path, user: str, k: int = 10, model: str | None = None, ds: str | None = None, lake: str | None = None
) -> dict[str, Any]:
    """Rank the catalogue for a user with what he has masked; nothing is written.

    Without `model` and `ds` the live release answers: its model, on the tables that it pins. Otherwise, and where
    nothing was released, `model` is by default the one whose lists are published, of its seeds the best, and `ds` the
    last night. Raises DataError for an unknown user, ConfigError for an unknown model, StoreError where the night has
    none that is fitted.
    """
    night, served = _open(file, model, ds, lake, "top")
    row = served.row("user", user, "top")
    fitted = next((each for each in night.run.models if each.name == served.fitted.name), None)
    with asking(night, fitted, served.recommender) if fitted else nullcontext():
        found = served.recommender.recommend(np.array([row]), k)
    return {"user": user, **served.told(found)}


def neighbours_of(
    file: Path, item: str, k: int = 10, model: str | None = None, ds: str | None = None, lake: str | None = None
) -> dict[str, Any]:
    """Give an item's k nearest others, by the model as in `top`; nothing is written. Raises what `top` does.

    ConfigError also where the model compares no items.
    """
    _, served = _open(file, model, ds, lake, "neighbours")
    row = served.row("item", item, "neighbours")
    if served.recommender.compares is None:
        name = served.fitted.name
        raise ConfigError(f"neighbours: {name}: has neither item vectors nor a kernel; name another with --model")
    found = neighbours(served.recommender, np.array([row]), k)
    return {"item": item, "title": served.titles([row])[0], **served.told(found)}


def lines(found: dict[str, Any]) -> list[str]:
    """A line on who is asked, and one for each item: rank, score, id, title."""
    subject = f"user {found['user']}" if "user" in found else f"item {found['item']}, {found['title'] or 'no title'}"
    head = f"{subject}: {found['model']}, seed {found['seed']}, night {found['ds']}"
    return [head, *(item_lines(found["items"]) or ["nothing: the model knows nothing of it"])]


def item_lines(items: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each item: rank, score, id, title."""
    width = max((len(item["id"]) for item in items), default=0)
    return [
        f"{item['rank']:>3}  {item['score']:8.4f}  {item['id']:<{width}}  {item['title'] or ''}".rstrip()
        for item in items
    ]


def _open(file: Path, model: str | None, ds: str | None, lake: str | None, command: str) -> tuple[Night, Served]:
    run = load_run(file, lake=lake)
    check_run(run)
    live = live_release(run) if model is None and ds is None else None
    if live is not None and live.folder is not None:
        return _released(open_night(run, live.ds), live, live.folder)
    night = open_night(run, ds or last_night(run))
    refuse_missing(night, {"splits": "night"}, command)
    if not run.models:
        raise ConfigError(
            f"{run.file}: models: {command} asks a fitted model; add [[models]] and run `loregraph night`"
        )
    corpus = night.corpus()
    fitted = best_fitted(night, corpus, model or run.recommend.model)
    return night, Served(night.ds, corpus, fitted, load_recommender(night.work / fitted.folder))


def _released(night: Night, live: Release, folder: str) -> tuple[Night, Served]:
    """The live model on the tables that its release pins. Raises StoreError where either is no longer there."""
    recommender = load_recommender(night.work / folder)
    return night, Served(live.ds, Snapshot(night.store, live).corpus(), kept_fitted(night, folder), recommender)
