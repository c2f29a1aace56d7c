"""The base of those that order anew what another recommender proposes, as language models do with 20 candidates."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix

from evaluation.recommendations import Recommendations
from features.corpus import Corpus
from features.instructions.titles import unique_titles
from features.table import FeatureSet
from graph_models.curve import Progress
from graph_models.options import Size, check_options
from recommenders.base import Recommender
from recommenders.histories import Histories, Int64
from schemas.errors import ConfigError, StoreError, unknown_name
from schemas.records import Kind
from schemas.run import Run
from schemas.sections import Model

Float32 = NDArray[np.float32]
RETRIEVER = "pure_svd"  # the default: in no need of settings, seconds to fit
Retriever = Annotated[str, Field(description="who proposes: a model of the run, or a recommender without settings")]
History = Annotated[Size, Field(description="newest items of a user that a prompt shows")]
Noun = Annotated[str, Field(description="what is recommended, in the singular: book, film, place")]
FOLDER = "retriever"


@dataclass(frozen=True)
class Shown:
    """What a language model is shown of a corpus: names and texts in index order, and whose history."""

    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    titles: tuple[str, ...]  # of items, no two alike
    profiles: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, corpus: Corpus, features: FeatureSet) -> Self:
        users, items = tuple(corpus.ids("user").to_list()), tuple(corpus.ids("item").to_list())
        return cls(users, items, tuple(unique_titles(corpus.items)), features.profiles)

    def profile(self, kind: Kind, row: int) -> str | None:
        """The text of a user or item; None where there is none."""
        texts = self.profiles.get(kind)
        return (texts[row] or None) if texts else None

    def item(self, row: int) -> str:
        """The title of an item, and its profile behind it where the run file wants it in prompts."""
        profile = self.profile("item", row)
        return self.titles[row] if profile is None else f"{self.titles[row]}: {profile}"


class Reader(Recommender):
    """A recommender that reads histories as titles: on validation those of train, later also what validation knew.

    `shown`, `serving` and `train_only` are there after `remember` and are saved in files of their own.
    """

    shown: Shown
    serving: Histories
    train_only: Histories

    def remember(self, corpus: Corpus, features: FeatureSet) -> None:
        """Keep what prompts will show."""
        self.shown = Shown.of(corpus, features)
        self.train_only, self.serving = Histories.of(corpus.served), Histories.of(corpus.joined.served)

    def for_validation(self) -> Recommender:
        judged = copy(self)
        judged.serving = self.train_only
        return judged

    def save_shown(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Write it with `about`, which says what else there is."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({**self.serving.arrays("serving"), **self.train_only.arrays("train")}, folder / "shown.safetensors")
        shown = self.shown
        texts = {"users": shown.user_ids, "items": shown.item_ids, "titles": shown.titles, "profiles": shown.profiles}
        (folder / "shown.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
        (folder / "recommender.json").write_text(json.dumps({"recommender": self.name, **about}, indent=1))

    def load_shown(self, folder: Path) -> None:
        """Read what `save_shown` wrote. Raises StoreError where it is not there."""
        file = folder / "shown.safetensors"
        if not file.is_file():
            raise StoreError(f"{file}: no saved recommender here; run `loregraph train` first")
        arrays, texts = load_file(file), json.loads((folder / "shown.json").read_text(encoding="utf-8"))
        self.serving, self.train_only = (Histories.saved(arrays, name) for name in ("serving", "train"))
        profiles: dict[Kind, tuple[str, ...]] = {kind: tuple(each) for kind, each in texts["profiles"].items()}
        users, items, titles = (tuple(texts[name]) for name in ("users", "items", "titles"))
        self.shown = Shown(users, items, titles, profiles)


class Reranker(Reader):
    """Orders anew the first `candidates` items of a retriever; those after them keep their order.

    The retriever is another model of the run, fitted once for both, or a recommender without settings, which is fitted
    here. It is asked under the same mask, so that a given list of candidates is ranked by masking everything else. A
    user without any history is not asked about. The score is minus the place, because two scales do not mix.
    """

    retriever: Recommender | None = None
    candidates: int = 20
    retriever_model: Model
    run: Run

    @classmethod
    def parts_of(cls, model: Model, run: Run) -> dict[str, Model]:
        """The models that it is made of, by the option that names one and the attribute that takes the fitted one."""
        return {"retriever": cls.retriever_of(model, run)}

    @classmethod
    def retriever_of(cls, model: Model, run: Run) -> Model:
        """The model whose items are ordered anew. Raises ConfigError where they go round in a circle."""
        models, chain = {each.name: each for each in run.models}, [model.name]
        while (name := _retriever_name(models.get(chain[-1], model))) in models:
            if name in chain:
                raise ConfigError(
                    f"{run.file}: models.{model.name}.options.retriever: {name} would retrieve for itself"
                )
            chain.append(name)
            if not issubclass(_registered(models[name]), Reranker):
                break
        name = _retriever_name(model)
        return models.get(name) or Model(name=name, recommender=name, features=model.features)

    @classmethod
    def check(cls, model: Model, run: Run) -> None:
        where = f"{run.file}: models.{model.name}"
        check_options(cls.options_of(), model.options, f"{where}.options")
        cls.check_parts(model, run, where)
        for option, part in cls.parts_of(model, run).items():
            _check_part(part, model, run, f"{where}.options.{option}")
        k = int(run.evaluation.selection.split("@")[1])
        alike = run.evaluation.selection.startswith("recall") and k == model.options.get("candidates", cls.candidates)
        if alike and cls.learns:
            raise ConfigError(
                f"{where}.options.candidates: {run.evaluation.selection} is the same however {k} candidates are "
                "ordered, so no epoch can be chosen by it; set evaluation.selection = ndcg@10 or more candidates"
            )

    @classmethod
    def check_parts(cls, model: Model, run: Run, where: str) -> None:
        """Refuse what this kind of reranker does not take."""
        del run
        if model.backbone is not None or model.objectives or model.training:
            raise ConfigError(f"{where}: {model.recommender} takes no backbone, objectives or training; remove them")

    def retrieve_with(self, model: Model, run: Run) -> None:
        """Say who retrieves; `retriever` may be set to a fitted one before `fit`."""
        self.retriever_model, self.run = self.retriever_of(model, run), run

    def fit_retriever(self, corpus: Corpus, features: FeatureSet, seed: int, progress: Progress | None = None) -> None:
        """Fit the retriever unless a fitted one was handed in."""
        from recommenders import make_recommender  # the registry knows this file

        if self.retriever is None:
            self.retriever = make_recommender(self.retriever_model, self.run, seed, None, progress)
            self.retriever.fit(corpus, features)

    @abstractmethod
    def scores(self, users: Int64, items: Int64) -> Float32:
        """How much each user [B] with a history wants his candidates items [B, m] (-1 pads): [B, m].

        Equal scores keep the retriever's order, so that one who cannot be answered gets what the retriever says.
        """

    def for_validation(self) -> Recommender:
        judged = super().for_validation()
        assert isinstance(judged, Reranker)
        assert self.retriever is not None, "fitted"
        judged.retriever = self.retriever.for_validation()
        return judged

    def recommend(self, users: Int64, k: int, seen: csr_matrix | None = None) -> Recommendations:
        assert self.retriever is not None, "fitted or loaded"
        found = self.retriever.recommend(users, max(k, self.candidates), seen)
        item = found.item.copy()
        shown = item[:, : self.candidates]
        asked = np.flatnonzero((self.serving.length[users] > 0) & ((shown >= 0).sum(axis=1) > 1))
        if len(asked):
            scores = np.where(shown[asked] >= 0, self.scores(users[asked], shown[asked]), -np.inf)
            order = np.argsort(-scores, axis=1, kind="stable")
            item[asked, : shown.shape[1]] = np.take_along_axis(shown[asked], order, axis=1)
        item = item[:, :k]
        score = np.where(item >= 0, -np.arange(item.shape[1], dtype=np.float32), -np.inf)
        return Recommendations(users, item, score.astype(np.float32))

    def save_retriever(self, folder: Path) -> None:
        assert self.retriever is not None, "fitted or loaded"
        self.retriever.save(folder / FOLDER)

    def load_retriever(self, folder: Path) -> None:
        from recommenders import load_recommender  # the registry knows this file

        self.retriever = load_recommender(folder / FOLDER)


def _retriever_name(model: Model) -> str:
    return str(model.options.get("retriever", RETRIEVER))


def _registered(model: Model) -> type[Recommender]:
    """Its class; of an unknown name the base, which `check_model` refuses by name."""
    from recommenders import RECOMMENDERS  # the registry knows this file

    return RECOMMENDERS.get(model.recommender, Recommender)


def _check_part(part: Model, model: Model, run: Run, where: str) -> None:
    """Refuse a part that nobody knows, that could not be made, or that has learned what is asked at validation."""
    from recommenders import RECOMMENDERS, check_model  # the registry knows this file

    if part.recommender not in RECOMMENDERS:
        names = [*(each.name for each in run.models if each.name != model.name), *RECOMMENDERS]
        raise ConfigError(unknown_name(where, part.recommender, names))
    if part not in run.models:
        check_model(part, run)
    elif part.recommender == "graph" and run.training_of(part).refit:
        raise ConfigError(
            f"{where}: {part.name} is refitted on train and valid, so at validation it would know the answers; set its "
            "training.refit = false"
        )
