"""A graph model as a recommender: builds the graph, trains it on validation, serves its node vectors."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evaluation.protocol import validation, vector_judge
from features.corpus import Corpus
from features.table import FeatureSet, FeatureTable
from graph_models.adaptors import check_adaptor
from graph_models.checkpoint import Checkpoint
from graph_models.curve import Epoch, Fit, Progress, Selection
from graph_models.dataset import GraphDataset, make_dataset
from graph_models.device import find_device, seeded
from graph_models.kept import Kept, node_table
from graph_models.model import GraphModel, build_model, check_parts, gives_vectors, needs_codes, needs_text
from graph_models.parallel import SINGLE, Group
from graph_models.tensorboard import telling
from graph_models.trainer import fit
from graph_models.warm_start import warm_start
from recommenders.base import Float32, Recommender
from recommenders.cold_items import place_cold_items
from recommenders.intention import Steered, intention_of
from schemas.errors import ConfigError
from schemas.records import canonical, sha256
from schemas.run import Run
from schemas.sections import Evaluation, Model, Part, Training


@dataclass(frozen=True)
class Start:
    """An earlier night's model of the same name, seed and settings, from whose parameters tonight's starts."""

    ds: str
    config_hash: str
    folder: Path


class Graph(Steered):
    """A backbone with its objectives, trained until validation stops improving.

    A user with neither train interactions nor, where the model reads text, a text vector gets popular items.
    After `fit`: `history`, `best_epoch`, `valid`, the metrics of the best epoch, and `report`, what its objectives say
    of themselves and how it started, where `start` names an earlier model. With a folder it also has what the next
    night's model can start from, and `save` writes that.
    """

    name: ClassVar[str] = "graph"
    source: ClassVar[str] = "see its backbone and objectives"
    learns: ClassVar[bool] = True
    places_cold_items: ClassVar[bool] = True
    group: Group = SINGLE  # the processes that train it together
    start: Start | None = None
    kept: Kept | None = None
    chosen: Graph | None = None  # where it is refitted, the model that was chosen on validation
    cold_text: FeatureTable | None = None  # what places items without train interactions
    encoder: str | None = None  # label of the run's encoder, where the model reads its texts

    def __init__(
        self,
        model: Model,
        training: Training,
        evaluation: Evaluation,
        seed: int = 0,
        device: str = "auto",
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.model, self.training, self.evaluation = model, training, evaluation
        self.seed, self.device, self.folder, self.progress = seed, find_device(device), folder, progress
        self.history: tuple[Epoch, ...] = ()
        self.best_epoch = 0
        self.valid: dict[str, float] = {}
        self.report: dict[str, Any] = {}

    @classmethod
    def check(cls, model: Model, run: Run) -> None:
        where = f"{run.file}: models.{model.name}"
        if model.options:
            raise ConfigError(f"{where}.options: graph has none; put them under backbone.options or objectives.options")
        if model.backbone is None:
            raise ConfigError(f"{where}.backbone: missing; graph needs one")
        check_parts(model.backbone, model.objectives, where)
        if needs_text(model.backbone, model.objectives) and (model.features is None or model.features.item is None):
            raise ConfigError(f"{where}.features.item: missing; its backbone or objectives read text")
        if needs_codes(model.objectives) and (model.features is None or model.features.semantic_ids is None):
            raise ConfigError(
                f"{where}.features.semantic_ids: missing; its objectives read codes of items: name an entry of "
                "[[semantic_ids]]"
            )
        if model.cold_items == "text" and gives_vectors(model.backbone, model.objectives):
            raise ConfigError(f"{where}.cold_items: its backbone or objectives reach new items already; remove it")
        if model.features is not None and model.features.adaptor is not None:
            check_adaptor(model.features.adaptor, f"{where}.features.adaptor")

    @classmethod
    def make(cls, model: Model, run: Run, seed: int, folder: Path | None, progress: Progress | None) -> Self:
        made = cls(model, run.training_of(model), run.evaluation, seed, run.device, folder, progress)
        made.encoder = run.encoder.label if model.features and model.features.item else None
        return made

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        self.cold_text = features.item if self.model.cold_items == "text" else None
        text = needs_text(self._backbone(), self.model.objectives)
        features = features if text else replace(features, item=None, user=None)
        graph = self._graph(corpus, features)
        model, nodes = self._build(graph), node_table(corpus, graph)
        started = self._started(model, graph, nodes)
        selection, checkpoint = self._selection(corpus), self._checkpoint(corpus, graph, "checkpoint")
        told, warm = self._told("fit"), self.start is not None
        found = fit(graph, model, self.training, self.seed, selection, checkpoint, told, warm, self.group)
        self.history, self.best_epoch, self.valid = found.history, found.best_epoch, found.valid
        self.about = {"model": self.model.model_dump(mode="json"), "seed": self.seed, "valid": self.valid}
        self.about |= {"text": self._text(features, graph)} if text else {}
        self.report = model.reports() | started | self.group.figures()
        self.kept = Kept(found.parameters, nodes) if found.parameters else None
        self._take(corpus, graph, model, found)
        if self.training.refit:
            self.chosen = copy(self)
            self._refit(corpus, features)

    def for_validation(self) -> Recommender:
        """Give the model that was chosen; what is served after a refit has learned from validation too."""
        return self if self.chosen is None else self.chosen

    def _refit(self, corpus: Corpus, features: FeatureSet) -> None:
        """Train from scratch on train and valid for as many epochs as were best, and serve that."""
        joined = corpus.joined
        graph = self._graph(joined, features)
        model = self._build(graph)
        settings = self.training.model_copy(update={"max_epochs": self.best_epoch})
        checkpoint = self._checkpoint(joined, graph, "refit")
        found = fit(graph, model, settings, self.seed, None, checkpoint, self._told("refit"), False, self.group)
        self._take(joined, graph, model, found)

    def _graph(self, corpus: Corpus, features: FeatureSet) -> GraphDataset:
        adaptor = self.model.features.adaptor if self.model.features else None
        return make_dataset(corpus.train, features, adaptor).to(self.device)

    def _build(self, graph: GraphDataset) -> GraphModel:
        with seeded(self.seed):
            return build_model(graph, self._backbone(), self.model.objectives)

    def _selection(self, corpus: Corpus) -> Selection:
        ks = sorted({*self.evaluation.ks, _k_of(self.evaluation.selection)})
        judge = vector_judge(validation(corpus, self.evaluation.protocol), ks)
        return Selection(judge, self.evaluation.selection)

    def _take(self, corpus: Corpus, graph: GraphDataset, model: GraphModel, found: Fit) -> None:
        """Serve the vectors of a fit."""
        own = has_vector(corpus, graph, gives_vectors(self._backbone(), self.model.objectives))
        if found.parameters and (self.model.features is None or self.model.features.pca is None):
            model.load_state_dict(found.parameters)
            self.intention = intention_of(model, graph, own)
        self._serve(corpus, found.user.numpy(), self._placed(found.item.numpy(), corpus), own)

    def _told(self, phase: str) -> Progress | None:
        """Who hears of each epoch: whoever was given, and TensorBoard where the run file asks for it."""
        folder = self.folder if self.training.tensorboard else None
        return telling(self.progress, folder and folder / "tensorboard" / phase)

    def save(self, folder: Path) -> None:
        super().save(folder)
        if self.kept is not None:
            self.kept.save(folder)

    def _placed(self, item: Float32, corpus: Corpus) -> Float32:
        """Item vectors [I, d], where asked for with items without train interactions put where their text says."""
        if self.cold_text is None:
            return item
        placed = place_cold_items(item, self.cold_text, corpus.train.item_degree, self.model.cold_spread)
        self.report = {**self.report, "cold_items": placed[1]}
        return placed[0]

    def _text(self, features: FeatureSet, graph: GraphDataset) -> dict[str, Any]:
        """Which texts it was trained with: what another catalogue's must be like for this model to read them."""
        sources: dict[str, Any] = {
            table.kind: table.source for table in (features.item, features.user) if table is not None
        }
        return {"encoder": self.encoder, **sources, "widths": list(graph.widths_item)}

    def _started(self, model: GraphModel, graph: GraphDataset, nodes: pl.DataFrame) -> dict[str, Any]:
        """Start a fresh model where an earlier one ended, if there is one, and say how."""
        if self.start is None:
            return {}
        read = self.model.features
        same_text = self.model.control == "none" and (read is None or read.pca is None)
        figures = warm_start(model, Kept.load(self.start.folder), graph, nodes, same_text).figures()
        return {"warm_start": {"from": self.start.ds, "config_hash": self.start.config_hash, **figures}}

    def _backbone(self) -> Part:
        if self.model.backbone is None:
            raise ConfigError(f"models.{self.model.name}.backbone: missing; graph needs one")
        return self.model.backbone

    def _checkpoint(self, corpus: Corpus, graph: GraphDataset, name: str) -> Checkpoint | None:
        """Resume only what is the same in everything that decides the curve; the model's name does not."""
        if self.folder is None:
            return None
        parts = self.model.model_dump(mode="json", include={"backbone", "objectives"})
        training = self.training.model_dump(exclude={"warm_start", "refit", "tensorboard"})
        start = {"start": self.start.config_hash} if self.start else {}
        start |= {"protocol": self.evaluation.protocol} if self.evaluation.protocol != "loregraph" else {}
        settings = {"training": training, "selection": self.evaluation.selection, "seed": self.seed, **start}
        data = {"graph": graph.fingerprint(), "split_id": corpus.split_id, "ks": list(self.evaluation.ks)}
        return Checkpoint(self.folder / f"{name}.safetensors", sha256(canonical({**parts, **settings, **data})))


def has_vector(corpus: Corpus, graph: GraphDataset, from_text: bool) -> NDArray[np.bool_]:
    """Who is served a vector of his own [U]: whom train or an edge knows, or, of a model of text, who has text."""
    linked = corpus.train.user_degree > 0
    for edges in graph.edges.values():
        linked[edges.user[edges.label > 0]] = True
    if not from_text or graph.present_user is None:
        return np.asarray(linked)
    return np.asarray(linked | graph.present_user.cpu().numpy())


def _k_of(metric: str) -> int:
    return int(metric.split("@")[1])
