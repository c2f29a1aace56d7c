"""Fitted models on disk: a folder per model, named after everything that decides its weights."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from evaluation.judge import examine
from evaluation.metrics import Scores
from evaluation.protocol import Exam
from features.corpus import Corpus
from features.table import (
    FeatureSet,
)
from graph_models.curve import Epoch, Progress
from graph_models.parallel import SINGLE, Group
from pipelines.asking import asking
from pipelines.given_lists import take_told
from pipelines.lineage import Source, Written, file_hash, loregraph_version
from pipelines.model_inputs import (
    codes_hash,
    edges_hash,
    feature_tables,
    profiles_hash,
    source_name,
    texts_hash,
)
from pipelines.night import Night, write_json
from pipelines.predecessor import Place, find_place, remember
from recommenders import RECOMMENDERS, load_recommender, make_recommender
from recommenders.base import Recommender
from recommenders.graph import Graph
from recommenders.reranking import Reranker
from schemas.errors import StoreError
from schemas.records import KINDS, canonical, sha256
from schemas.run import Run
from schemas.sections import Model, Objective

VALID = "valid.parquet"  # in a model's folder: the metric that chose it, by validation user


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
    origin: dict[str, Any] = field(default_factory=dict)  # versions of the tables that it was trained on, and when
    told: dict[str, Any] = field(default_factory=dict)  # what a language model says of its ranking on validation
    knows_valid: bool = True  # whether what is served may have learned from validation; so held of older folders


def fit(
    night: Night,
    model: Model,
    seed: int,
    corpus: Corpus,
    exam: Exam,
    progress: Progress | None = None,
    group: Group = SINGLE,
) -> tuple[Fitted, bool]:
    """Train a model, or read it where the same data and settings were trained before (then True).

    An interrupted training goes on from its last checkpoint. Where the run file asks for a warm start, training starts
    from an earlier night's model (`pipelines.predecessor` says which), else from scratch, and the report says so.
    In a group of processes the others help to train graph models; the first one does everything else.
    """
    features = feature_tables(night, model, corpus, seed)
    place = _place(night, model, seed, corpus)
    group.agree(place.config_hash, f"{model.name}, seed {seed}: hash of data and settings")
    known = group.first((place.folder / "result.json").exists())
    recommender = None if known else _recommender(night, model, seed, place, progress, group)
    for name, part in made_of(model, night.run).items() if recommender else ():
        whole, _ = fit(night, part, seed, corpus, exam, progress, group)
        setattr(recommender, name, load_recommender(night.work / whole.folder))
    fitted = None if recommender else _read(place)
    if recommender and group.leads:
        fitted = _trained(night, model, seed, corpus, exam, features, place, recommender)
    elif isinstance(recommender, Graph):
        recommender.fit(corpus, features)
    fitted = group.first(fitted)
    assert fitted is not None, "the first process has it"
    if group.leads:
        remember(night, model, seed, place, corpus.split_id)
    return fitted, known


def _recommender(
    night: Night, model: Model, seed: int, place: Place, progress: Progress | None, group: Group
) -> Recommender:
    recommender = make_recommender(model, night.run, seed, place.folder, progress)
    if isinstance(recommender, Graph):
        recommender.start, recommender.group = place.start, group
    return recommender


def made_of(model: Model, run: Run) -> dict[str, Model]:
    """The models of the run that a reranker is made of, by its attribute; what is none of them it fits itself."""
    made = RECOMMENDERS[model.recommender]
    found = made.parts_of(model, run) if issubclass(made, Reranker) else {}
    return {name: part for name, part in found.items() if part in run.models}


def _trained(
    night: Night,
    model: Model,
    seed: int,
    corpus: Corpus,
    exam: Exam,
    features: FeatureSet,
    place: Place,
    recommender: Recommender,
) -> Fitted:
    if place.cold:
        night.progress.say(f"train: {model.name}, seed {seed}: from scratch: {place.cold}")
    folder, began = place.folder, time.perf_counter()
    recommender.fit(corpus, features)
    seconds = round(time.perf_counter() - began, 3)
    recommender.save(folder)
    with asking(night, model, recommender):
        judged = recommender.for_validation()
        verdict = examine(judged, exam, night.run.evaluation)
    valid = verdict.means()
    _keep_valid(folder, verdict.scores, night.run.evaluation.selection, corpus)
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
        epochs=history[-1].epoch if history else 0,
        seconds=seconds,
        history=[_point(epoch, night.run.evaluation.selection) for epoch in history if epoch.valid is not None],
        split_id=corpus.split_id,
        config_hash=place.config_hash,
        folder=str(folder.relative_to(night.work)),
        report=getattr(recommender, "report", {}),
        origin=_origin(night, model, seed, place),
        told=take_told(judged),
        knows_valid=isinstance(recommender, Graph) and recommender.chosen is not None,
    )
    write_json(folder / "result.json", asdict(fitted))
    return _told(fitted, place)


def read_fitted(night: Night, model: Model, seed: int, corpus: Corpus) -> Fitted:
    """What `fit` kept for tonight's data and settings. Raises StoreError where there is none."""
    place = _place(night, model, seed, corpus)
    if not (place.folder / "result.json").exists():
        raise StoreError(
            f"{place.folder}: no fitted {model.name} for seed {seed}, tonight's data and these settings; run train"
        )
    return _read(place)


def kept_fitted(night: Night, folder: str) -> Fitted:
    """What a model's folder says of it, whichever night fitted it. Raises StoreError where it is not there."""
    file = night.work / folder / "result.json"
    if not file.is_file():
        raise StoreError(f"{file}: the fitted model is no longer there; restore its folder, or release another night")
    return Fitted(**json.loads(file.read_text(encoding="utf-8")))


def valid_scores(night: Night, fitted: Fitted, corpus: Corpus) -> Scores:
    """The metric that models are chosen by, of every validation user, as `fit` has measured it.

    Raises StoreError where the model was fitted before that was kept.
    """
    file, metric = night.work / fitted.folder / VALID, night.run.evaluation.selection
    if not file.is_file():
        raise StoreError(f"{file}: not there; move the model's folder away and run train")
    rows = pl.read_parquet(file).join(pl.DataFrame({"user_id": corpus.ids("user")}).with_row_index("row"), on="user_id")
    rows = rows.sort("row")
    return Scores(rows["row"].cast(pl.Int64).to_numpy(), {metric: rows[metric].to_numpy()})


def _keep_valid(folder: Path, scores: Scores, metric: str, corpus: Corpus) -> None:
    """Keep the metric of every validation user: of a model that is served refitted it cannot be measured again."""
    values = {"user_id": corpus.ids("user").gather(scores.user), metric: scores.values[metric]}
    pl.DataFrame(values).write_parquet(folder / VALID)


def lineage_of(fitted: Fitted) -> Written:
    """What a model was trained on, as its folder says: of the night that has fitted it, whichever night uses it."""
    origin = fitted.origin
    sources = tuple(Source(**each) for each in origin.get("sources", ()))
    about = (fitted.split_id, origin.get("run_file"), origin.get("written_at"), origin.get("loregraph"))
    name = _lineage_name(fitted.name, fitted.seed)
    return Written("train", name, None, sources, *about, config_hash=fitted.config_hash)


def _origin(night: Night, model: Model, seed: int, place: Place) -> dict[str, Any]:
    """The versions that were read for a model, what of them, and the model that it has started from."""
    parts: dict[str, list[str] | None] = {"users": None, "items": None, "splits": None}
    if model.features is not None:
        texts = [f"{kind}:{source_name(night, text)}" for kind in KINDS for text in model.features.texts(kind)]
        parts |= {"embeddings": texts} if texts else {}
        parts |= {"llm_edges": list(model.features.edges)} if model.features.edges else {}
        parts |= {"semantic_ids": [model.features.semantic_ids]} if model.features.semantic_ids else {}
        shown = [f"{kind}:{source}" for kind in KINDS if (source := model.features.profile(kind))]
        parts |= {"profiles": shown} if shown else {}
    sources = night.trace.sources(parts)
    if (start := place.start) is not None:
        sources.append(Source(_lineage_name(model.name, seed), ds=start.ds, config_hash=start.config_hash))
    sources += [Source(_lineage_name(part.name, seed), ds=night.ds) for part in made_of(model, night.run).values()]
    return {
        "sources": [asdict(source) for source in sources],
        "run_file": file_hash(night.run.file),
        "loregraph": loregraph_version(),
        "written_at": int(time.time()),
    }


def _lineage_name(name: str, seed: int) -> str:
    return f"model:{name}/{seed}"


def _label(objective: Objective) -> str:
    """The objective's name, and whether it reproduces quirks of published code."""
    return f"{objective.name} (as published)" if "reference" in objective.options.values() else objective.name


def _place(night: Night, model: Model, seed: int, corpus: Corpus) -> Place:
    """The folder of a model: its name, its seed and a hash of the data, texts and settings that decide its weights.

    Whether it may start from an earlier model decides nothing; from which one it does is part of the hash.
    """
    decides = {
        "split_id": corpus.split_id,
        "users": corpus.num_users,
        "items": sha256("\n".join(corpus.ids("item").to_list())),
        "texts": texts_hash(night, model.features),
        "edges": edges_hash(night, model.features),
        "model": model.model_dump(exclude={"name": True, "control_of": True, "training": {"warm_start"}}),
        "training": training_settings(night.run, model),
        "selection": night.run.evaluation.selection,
        "seed": seed,
        **codes_hash(night, model.features, corpus),
        **profiles_hash(night, model.features),
        **outside(model, night.run),
    }
    decides |= {name: _place(night, part, seed, corpus).config_hash for name, part in made_of(model, night.run).items()}
    return find_place(night, model, seed, sha256(canonical(decides))[:16], corpus.split_id)


def training_settings(run: Run, model: Model) -> dict[str, Any] | None:
    """What of the trainer's settings decides a model's weights; None of models that no trainer trains."""
    if not RECOMMENDERS[model.recommender].learns:
        return None
    return run.settings_of(model).model_dump(exclude={"warm_start", "tensorboard"})


def outside(model: Model, run: Run) -> dict[str, str]:
    """What decides a fit and is in none of the night's tables: another protocol, a model that was trained elsewhere."""
    found, protocol = RECOMMENDERS[model.recommender].outside(model, run), run.evaluation.protocol
    judged: dict[str, str] = {} if protocol == "loregraph" else {"protocol": protocol}
    judged |= {"judged_users": str(run.evaluation.users)} if run.evaluation.users else {}
    return judged if found is None else {**judged, "outside": found}


def _point(epoch: Epoch, selection: str) -> dict[str, float]:
    """A validated epoch as a point of the training curve; epoch 0 has no loss."""
    assert epoch.valid is not None, "only validated epochs are points"
    loss = {"loss": sum(epoch.loss.values())} if epoch.loss else {}
    return {"epoch": epoch.epoch, **loss, "valid": epoch.valid[selection]}


def _read(place: Place) -> Fitted:
    return _told(Fitted(**json.loads((place.folder / "result.json").read_text(encoding="utf-8"))), place)


def _told(fitted: Fitted, place: Place) -> Fitted:
    """With the reason for a start from scratch, which is tonight's and not the model's."""
    if place.start is not None or place.cold is None:
        return fitted
    return replace(fitted, report={**fitted.report, "warm_start": {"from": "scratch", "why": place.cold}})
