"""A graph model as a recommender: builds the graph, trains it on validation, serves its node vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evaluation.protocol import validation, vector_judge
from features.corpus import Corpus
from features.table import FeatureSet
from graph_models.adaptors import check_adaptor
from graph_models.checkpoint import Checkpoint
from graph_models.curve import Epoch, Selection
from graph_models.dataset import GraphDataset, make_dataset
from graph_models.device import find_device, seeded
from graph_models.kept import Kept, node_table
from graph_models.model import GraphModel, build_model, check_parts, gives_vectors, needs_text
from graph_models.trainer import fit
from graph_models.warm_start import warm_start
from recommenders.base import InnerProduct, Progress
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


class Graph(InnerProduct):
    """A backbone with its objectives, trained until validation stops improving.

    A user with neither train interactions nor, where the model reads text, a text vector gets popular items.
    After `fit`: `history`, `best_epoch`, `valid`, the metrics of the best epoch, and `report`, what its objectives say
    of themselves and how it started, where `start` names an earlier model. With a folder it also has what the next
    night's model can start from, and `save` writes that.
    """

    name: ClassVar[str] = "graph"
    source: ClassVar[str] = "see its backbone and objectives"
    start: Start | None = None
    kept: Kept | None = None

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
        if model.features is not None and model.features.adaptor is not None:
            check_adaptor(model.features.adaptor, f"{where}.features.adaptor")

    @classmethod
    def make(cls, model: Model, run: Run, seed: int, folder: Path | None, progress: Progress | None) -> Self:
        return cls(model, run.training_of(model), run.evaluation, seed, run.device, folder, progress)

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        backbone = self._backbone()
        text = needs_text(backbone, self.model.objectives)
        adaptor = self.model.features.adaptor if self.model.features else None
        graph = make_dataset(corpus.train, features if text else replace(features, item=None, user=None), adaptor)
        graph = graph.to(self.device)
        judge = vector_judge(validation(corpus), sorted({*self.evaluation.ks, _k_of(self.evaluation.selection)}))
        with seeded(self.seed):
            model = build_model(graph, backbone, self.model.objectives)
        nodes = node_table(corpus, graph)
        started = self._started(model, graph, nodes)
        selection, checkpoint = Selection(judge, self.evaluation.selection), self._checkpoint(corpus, graph)
        warm = self.start is not None
        found = fit(graph, model, self.training, self.seed, selection, checkpoint, self.progress, warm)
        self.history, self.best_epoch, self.valid = found.history, found.best_epoch, found.valid
        self.about = {"model": self.model.model_dump(mode="json"), "seed": self.seed, "valid": self.valid}
        self.report = model.reports() | started
        self.kept = Kept(found.parameters, nodes) if found.parameters else None
        from_text = gives_vectors(backbone, self.model.objectives)
        self._serve(corpus, found.user.numpy(), found.item.numpy(), _has_vector(corpus, graph, from_text))

    def save(self, folder: Path) -> None:
        super().save(folder)
        if self.kept is not None:
            self.kept.save(folder)

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

    def _checkpoint(self, corpus: Corpus, graph: GraphDataset) -> Checkpoint | None:
        """Resume only what is the same in everything that decides the curve; the model's name does not."""
        if self.folder is None:
            return None
        parts = self.model.model_dump(mode="json", include={"backbone", "objectives"})
        training = self.training.model_dump(exclude={"warm_start"})
        start = {"start": self.start.config_hash} if self.start else {}
        settings = {"training": training, "selection": self.evaluation.selection, "seed": self.seed, **start}
        data = {"graph": graph.fingerprint(), "split_id": corpus.split_id, "ks": list(self.evaluation.ks)}
        return Checkpoint(self.folder / "checkpoint.safetensors", sha256(canonical({**parts, **settings, **data})))


def _has_vector(corpus: Corpus, graph: GraphDataset, from_text: bool) -> NDArray[np.bool_]:
    linked = corpus.train.user_degree > 0
    for edges in graph.edges.values():
        linked[edges.user[edges.label > 0]] = True
    if not from_text or graph.present_user is None:
        return np.asarray(linked)
    return np.asarray(linked | graph.present_user.cpu().numpy())


def _k_of(metric: str) -> int:
    return int(metric.split("@")[1])
