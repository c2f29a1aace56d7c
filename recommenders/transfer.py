"""A text model that was trained on another catalogue, applied to this one without training (AlphaRec, zero-shot)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import polars as pl
from pydantic import Field

from features.corpus import Corpus
from features.table import FeatureSet
from graph_models.backbones import BACKBONES
from graph_models.curve import Progress
from graph_models.dataset import make_dataset
from graph_models.device import find_device
from graph_models.kept import PARAMETERS, Kept, is_kept
from graph_models.model import build_model
from recommenders.graph import has_vector
from recommenders.intention import Steered, intention_of
from schemas.errors import ConfigError, DataError
from schemas.records import KINDS
from schemas.run import Run
from schemas.sections import Features, Metric, Model, Part

ABOUT = "recommender.json"


@dataclass(frozen=True)
class Trained:
    """What a trained model's folder says of it."""

    folder: Path
    model: Model
    backbone: Part
    encoder: str  # label of the encoder whose vectors it reads
    widths: tuple[int, ...]  # dimension of each of its texts
    seed: int

    @property
    def features(self) -> Features:
        return self.model.features or Features()


class Transfer(Steered):
    """Tower and propagation of a text model (backbone `alpharec`) that was trained on another catalogue, as they are.

    `trained` is the folder of such a model, or `LAKE/_work/models/NAME`, of whose latest training the seed best on
    validation is taken. Texts of this catalogue, made by the same encoder, and its train interactions are all that is
    new; nothing is learned. `report` says how many users and items the trained model already knew by id.
    """

    name: ClassVar[str] = "transfer"
    source: ClassVar[str] = "Sheng et al., ICLR 2025, arXiv 2407.05441 (zero-shot)"
    seeded: ClassVar[bool] = False
    reads_text: ClassVar[bool] = True
    device: str = "auto"

    def __init__(
        self,
        *,
        trained: Annotated[
            str, Field(description="folder of the trained model, or LAKE/_work/models/NAME; relative to the run file")
        ],
    ) -> None:
        self.trained = read_trained(Path(trained))
        self.report: dict[str, Any] = {}

    @classmethod
    def check(cls, model: Model, run: Run) -> None:
        super().check(model, run)
        where = f"{run.file}: models.{model.name}"
        if "trained" not in model.options:
            raise ConfigError(f"{where}.options.trained: missing; give the folder of a trained model")
        if model.features is None or model.features.item is None:
            raise ConfigError(f"{where}.features.item: missing; the trained model reads text")
        try:
            _check_texts(_found(model, run), model.features, run.encoder.label)
        except ConfigError as error:
            raise ConfigError(f"{where}.options.trained: {error}") from None

    @classmethod
    def make(cls, model: Model, run: Run, seed: int, folder: Path | None, progress: Progress | None) -> Self:
        del seed, folder, progress
        made = cls(trained=str(_found(model, run).folder))
        made.device = run.device
        return made

    @classmethod
    def outside(cls, model: Model, run: Run) -> str | None:
        with (_found(model, run).folder / PARAMETERS).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        """Build the graph of the train part and propagate. Raises DataError where texts have another dimension."""
        trained, kept = self.trained, Kept.load(self.trained.folder)
        texts = replace(features, edges={})
        graph = make_dataset(corpus.train, texts, trained.features.adaptor).to(find_device(self.device))
        if graph.widths_item != trained.widths:
            expected, found = (" + ".join(map(str, each)) for each in (trained.widths, graph.widths_item))
            raise DataError(f"{trained.folder}: was trained on texts of dimension {expected}, found {found or 'none'}")
        model = build_model(graph, trained.backbone).to(graph.device).eval()
        model.load_state_dict(dict(kept.parameters))
        user, item = (each.cpu().numpy() for each in model.vectors(graph))
        own = has_vector(corpus, graph, from_text=True)
        self.intention = intention_of(model, graph, own)
        origin = {"from": str(trained.folder), "seed": trained.seed, "encoder": trained.encoder}
        self.about = {"trained": origin}
        self.report = {"transfer": {**origin, **_shared(kept.nodes, corpus)}}
        self._serve(corpus, user, item, own)


def find_trained(place: Path, metric: Metric) -> Path:
    """The model's folder that `place` is, or the best by `metric` on validation of the latest training inside it.

    Raises ConfigError where there is none.
    """
    if (place / ABOUT).is_file():
        return place
    results = {file.parent: json.loads(file.read_text(encoding="utf-8")) for file in place.glob("*/result.json")}
    if not results:
        raise ConfigError(
            f"{place}: expected the folder of a trained model, such as LAKE/_work/models/NAME, found no {ABOUT}"
        )
    newest = max(results.values(), key=lambda each: int(each["origin"].get("written_at", 0)))["config_hash"]
    same = [folder for folder, each in results.items() if each["config_hash"] == newest]
    return max(sorted(same), key=lambda folder: float(results[folder]["valid"].get(metric, 0.0)))


def read_trained(folder: Path) -> Trained:
    """Read what a trained model's folder says of it. Raises ConfigError where it is not one of text alone."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder}: expected the folder of a trained model, found none ({error})") from None
    if about.get("recommender") != "graph":
        raise ConfigError(f"{folder}: expected a model of text alone, found {about.get('recommender')}")
    model = Model.model_validate(about["model"])
    backbone = model.backbone
    parts = [part.name for part in (backbone, *model.objectives) if part is not None]
    if backbone is None or len(parts) > 1 or not _is_pure_text(backbone.name):
        raise ConfigError(
            f"{folder}: expected a model of text alone (backbone alpharec, no objectives), found {' + '.join(parts)}"
        )
    text = about.get("text", {})
    if text.get("encoder") is None or not is_kept(folder):
        raise ConfigError(f"{folder}: does not say what it was trained with; remove it and run `loregraph train` there")
    return Trained(folder, model, backbone, text["encoder"], tuple(text["widths"]), about["seed"])


def _found(model: Model, run: Run) -> Trained:
    return read_trained(find_trained(Path(str(model.options["trained"])), run.evaluation.selection))


def _is_pure_text(backbone: str) -> bool:
    return BACKBONES[backbone].needs_text and not BACKBONES[backbone].node_rows


def _check_texts(trained: Trained, features: Features, encoder: str) -> None:
    """Refuse texts that the trained tower would misread, as far as it is known before any text has its vector."""
    if encoder != trained.encoder:
        raise ConfigError(
            f"{trained.folder}: was trained on vectors of {trained.encoder}, found {encoder}; give [encoder] as it was"
        )
    if trained.features.pca is not None or features.pca is not None:
        raise ConfigError(f"{trained.folder}: features.pca has other axes in every catalogue; train and read without")
    if features.adaptor not in (None, trained.features.adaptor):
        raise ConfigError(f"{trained.folder}: brings its own adaptor; remove features.adaptor")
    texts = len(features.texts("item")) if features.fuse == "concat" else 1
    if texts != len(trained.widths):
        raise ConfigError(f"{trained.folder}: reads {len(trained.widths)} texts of an item, found {texts}")


def _shared(nodes: pl.DataFrame, corpus: Corpus) -> dict[str, int]:
    """How many users and items of this catalogue have an id that the trained model has learned from."""
    known = nodes.filter("trained")
    return {f"shared_{kind}s": _count(known.filter(pl.col("kind") == kind)["id"], corpus.ids(kind)) for kind in KINDS}


def _count(known: pl.Series, ids: pl.Series) -> int:
    return int(ids.is_in(known.implode()).sum())
