"""Which earlier night's model tonight's may start from: of the same name, seed and settings, and blind to the held out.

Every pair that the earlier model learned from must be a train pair tonight, and every pair that it was chosen on a
train or valid pair. The earlier model's own start was held to the same, so one look covers all nights before it; and a
pair that the source has withdrawn is unlearned, because that night starts from scratch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from graph_models.kept import is_kept
from pipelines.night import Night, write_json
from recommenders.graph import Start
from schemas.records import canonical, sha256
from schemas.run import Run
from schemas.sections import Model

PAIR = ["user_id", "item_id"]


@dataclass(frozen=True)
class Place:
    """Where tonight's model of one name and seed is, and what it starts from."""

    folder: Path
    config_hash: str  # of everything that decides the weights, the start included
    state: str  # the same without the start
    start: Start | None
    cold: str | None  # why it starts from scratch though the run file asks for a warm start


@dataclass(frozen=True)
class Trained:
    """What a night remembers of a model and seed, whether it trained it or found it trained."""

    config_hash: str
    state: str
    settings: str  # hash of what decides shape and meaning of the parameters
    split_id: str
    start_ds: str | None
    start_hash: str | None


def find_place(night: Night, model: Model, seed: int, state: str, split_id: str) -> Place:
    """The place of a model whose data and settings have the hash `state`; it depends on strictly earlier nights alone.

    A night with the same state has the same model, so it hands on its own start. Else the latest earlier night with
    these settings is the start, unless it knows what tonight holds out.
    """
    start, cold = None, None
    if model.backbone is not None and night.run.training_of(model).warm_start:
        start, cold = _start(night, model, seed, state, split_id)
    config_hash = state if start is None else sha256(canonical({"state": state, "start": start.config_hash}))[:16]
    return Place(_folder(night, model, seed, config_hash), config_hash, state, start, cold)


def remember(night: Night, model: Model, seed: int, place: Place, split_id: str) -> None:
    """Keep what a later night needs in order to start from tonight's model."""
    begun = (place.start.ds, place.start.config_hash) if place.start else (None, None)
    settings = _settings(night.run, model)
    trained = Trained(place.config_hash, place.state, settings, split_id, *begun)
    write_json(night.folder / _file(model, seed), asdict(trained))


def _start(night: Night, model: Model, seed: int, state: str, split_id: str) -> tuple[Start | None, str | None]:
    settings = _settings(night.run, model)
    for ds, trained in _earlier(night, model, seed):
        folder = _folder(night, model, seed, trained.config_hash)
        if trained.state == state and (folder / "result.json").exists():
            return _own_start(night, model, seed, trained), f"as on {ds}, from whose data nothing has changed"
        if trained.settings == settings and is_kept(folder):
            store: Any = night.store  # can be hashed, which the protocol does not say
            why_not = why_held_out(store, ds, trained.split_id, night.ds, split_id)
            return (None, why_not) if why_not else (Start(ds, trained.config_hash, folder), None)
    return None, "no earlier night has this model with these settings"


def _own_start(night: Night, model: Model, seed: int, trained: Trained) -> Start | None:
    if trained.start_ds is None or trained.start_hash is None:
        return None
    return Start(trained.start_ds, trained.start_hash, _folder(night, model, seed, trained.start_hash))


def _earlier(night: Night, model: Model, seed: int) -> Iterator[tuple[str, Trained]]:
    """What strictly earlier nights remember, the latest first."""
    for folder in sorted((night.work / "nights").iterdir(), reverse=True):
        file = folder / _file(model, seed)
        if folder.name < night.ds and file.exists():
            yield folder.name, Trained(**json.loads(file.read_text(encoding="utf-8")))


def _settings(run: Run, model: Model) -> str:
    """A hash of what decides shape and meaning of a model's parameters: its parts, its texts and their encoder."""
    parts = model.model_dump(exclude={"name", "control_of", "training"})
    encoder = run.encoder.label if model.features and model.features.item else None
    return sha256(canonical({"model": parts, "encoder": encoder}))[:16]


@lru_cache(maxsize=256)  # a step asks for every model and seed; a split id says all that the answer depends on
def why_held_out(store: Any, earlier: str, earlier_id: str, tonight: str, tonight_id: str) -> str | None:
    """Why the split of an earlier night forbids a start from its models; None where it does not.

    `store`: a TableStore; `earlier`, `tonight`: nights; `earlier_id`, `tonight_id`: the split ids that the models of
    these nights were trained on.
    """
    if earlier_id == tonight_id:
        return None
    if not store.exists("splits", earlier):
        return f"the split of {earlier} is no longer in the lake, so what its model learned from is not known"
    before = store.read("splits", ds=earlier, columns=[*PAIR, "part", "split_id"])
    if before["split_id"].first() != earlier_id:
        return f"the split of {earlier} has changed since its model was trained; train that night again"
    after = store.read("splits", ds=tonight, columns=[*PAIR, "part"]).rename({"part": "now"})
    learned = before.join(after, on=PAIR, how="left").with_columns(pl.col("now").fill_null("gone"))
    chosen_on = (pl.col("part") == "valid") & ~pl.col("now").is_in(["train", "valid"])
    bad = learned.filter(((pl.col("part") == "train") & (pl.col("now") != "train")) | chosen_on)
    counts = ", ".join(f"{count} {now}" for now, count in sorted(bad.group_by("now").len().rows()))
    return f"the model of {earlier} knows {bad.height} pairs that tonight's must not ({counts})" if counts else None


def _folder(night: Night, model: Model, seed: int, config_hash: str) -> Path:
    return night.work / "models" / model.name / f"{config_hash}-{seed}"


def _file(model: Model, seed: int) -> str:
    return f"models/{model.name}--{seed}.json"
