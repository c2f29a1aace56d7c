"""The one door to every recommender, and the base of those whose score is an inner product."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix

from evaluation.ranking import rank_vectors
from evaluation.recommendations import Recommendations
from features.corpus import Corpus
from features.table import FeatureSet
from graph_models.curve import Progress
from graph_models.options import check_options
from schemas.errors import ConfigError, StoreError
from schemas.run import Run
from schemas.sections import Model

Float32 = NDArray[np.float32]


class Recommender(ABC):
    """Learns from a corpus and its text, then ranks the catalogue for any user of the corpus.

    The options of a run file are the keyword-only parameters of the constructor.
    """

    name: ClassVar[str]  # its key in RECOMMENDERS
    source: ClassVar[str]  # the paper, or what it stands for
    space: ClassVar[Mapping[str, Sequence[Any]]] = MappingProxyType({})  # option -> values that a search may try
    seeded: ClassVar[bool] = True  # whether two seeds give two models
    learns: ClassVar[bool] = False  # whether a trainer trains it, and chooses an epoch on validation
    reads_text: ClassVar[bool] = False  # whether it needs features.item
    compares: ClassVar[Literal["vectors", "kernel"] | None] = None  # what says how near two items are; None: nothing
    places_cold_items: ClassVar[bool] = False  # whether it takes cold_items = "text"

    @classmethod
    def options_of(cls) -> type:
        """The class whose keyword-only constructor parameters are the options of the run file: mostly this one."""
        return cls

    @classmethod
    def check(cls, model: Model, run: Run) -> None:
        """Refuse, before anything is paid or trained, a model of the run file that could not be made.

        Raises ConfigError. This one is for recommenders without parts; others extend or replace it.
        """
        where = f"{run.file}: models.{model.name}"
        check_options(cls.options_of(), model.options, f"{where}.options")
        if model.backbone is not None or model.objectives or model.training:
            raise ConfigError(f"{where}: {model.recommender} takes no backbone, objectives or training; remove them")

    @classmethod
    def make(cls, model: Model, run: Run, seed: int, folder: Path | None, progress: Progress | None) -> Self:
        """Make one from a run file's model. `folder` may keep checkpoints; `progress` hears of each epoch."""
        del run, seed, folder, progress  # for those that train
        return cls(**model.options)

    @classmethod
    def outside(cls, model: Model, run: Run) -> str | None:
        """A hash of what a checked model reads that no table of the night has; None of most."""
        del model, run
        return None

    @abstractmethod
    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        """Learn from the train part (the valid part only to choose an epoch); `features` in index order."""

    def for_validation(self) -> Recommender:
        """Who is judged on validation: itself, unless what is served has learned from validation as well."""
        return self

    @abstractmethod
    def recommend(self, users: NDArray[np.int64], k: int, seen: csr_matrix | None = None) -> Recommendations:
        """Rank all items but those in a user's row of `seen` [U, I]; None masks everything known in the corpus.

        `users`: [B] row numbers. Every item of the catalogue is a candidate; fewer than k are padded with -1.
        """

    def between(self, items: NDArray[np.int64]) -> Float32:
        """How near every item of the catalogue is to some items [B]: [B, I], one's own to be ignored, 0 is nothing.

        For recommenders that compare items; `neighbours` refuses the others.
        """
        raise NotImplementedError(f"{self.name}: compares no items")

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what `recommend` needs as safetensors and JSON."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises StoreError where it is not there."""


class InnerProduct(Recommender):
    """Scores are inner products of user [U, d] and item [I, d] vectors: what a nearest-neighbour index can serve."""

    user: Float32
    item: Float32
    known: csr_matrix  # bool [U, I] every interaction of the corpus
    compares: ClassVar[Literal["vectors", "kernel"] | None] = "vectors"
    about: Mapping[str, Any] = MappingProxyType({})  # what else recommender.json says of it

    def recommend(self, users: NDArray[np.int64], k: int, seen: csr_matrix | None = None) -> Recommendations:
        user, item = torch.from_numpy(self.user), torch.from_numpy(self.item)
        return rank_vectors(user, item, users, k, self.known if seen is None else seen)

    @property
    def learned(self) -> int:
        """How many of the dimensions are the model's; those after them only order what it has no vectors for."""
        return int(self.item.shape[1]) - 1

    def between(self, items: NDArray[np.int64]) -> Float32:
        item = self.item[:, : self.learned]
        length = np.linalg.norm(item, axis=1, keepdims=True)
        unit = item / np.where(length > 0, length, 1)  # zero where the model has no vector
        return np.asarray(unit[items] @ unit.T, dtype=np.float32)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        known = {"known_indptr": self.known.indptr, "known_indices": self.known.indices}
        save_file({"user": self.user, "item": self.item, **known}, folder / "vectors.safetensors")
        (folder / "recommender.json").write_text(json.dumps({**self.about, "recommender": self.name}, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        file = folder / "vectors.safetensors"
        if not file.is_file():
            raise StoreError(f"{file}: no saved recommender here; run `loregraph train` first")
        tensors, made = load_file(file), cls.__new__(cls)
        made.user, made.item = tensors["user"], tensors["item"]
        indices = tensors["known_indices"]
        shape = (len(made.user), len(made.item))
        made.known = csr_matrix((np.ones(len(indices), dtype=bool), indices, tensors["known_indptr"]), shape=shape)
        made.about = json.loads((folder / "recommender.json").read_text())
        return made

    def _serve(self, corpus: Corpus, user: Float32, item: Float32, has_vector: NDArray[np.bool_]) -> None:
        """Take vectors, with popularity as one more dimension that only users without a vector have.

        A held-out user without a vector is folded in: the mean of the vectors of the items that are known of him.
        """
        popular = popularity(corpus.train.item_degree)
        user, has_vector = _folded_in(corpus, user, item, has_vector)
        self.user = _rows(np.column_stack([user * has_vector[:, None], ~has_vector]))
        self.item = _rows(np.column_stack([item, popular]))
        self.known = known(corpus)


def _folded_in(
    corpus: Corpus, user: Float32, item: Float32, has_vector: NDArray[np.bool_]
) -> tuple[Float32, NDArray[np.bool_]]:
    history = corpus.support.by_user.astype(np.float32)
    new = ~has_vector & (np.diff(history.indptr) > 0)
    if not new.any():
        return user, has_vector
    mean = np.asarray(history[new] @ item, dtype=np.float32) / np.diff(history.indptr)[new][:, None]
    user = user.copy()
    user[new] = mean
    return user, has_vector | new


def _rows(x: NDArray[Any]) -> Float32:
    """Row after row in memory, which is how safetensors writes an array whatever its order."""
    return np.ascontiguousarray(x, dtype=np.float32)


def popularity(degree: NDArray[np.int64]) -> Float32:
    """Score of every item by its train interactions: 1 - rank / I, ties in index order, so that it is a total order."""
    score = np.empty(len(degree), dtype=np.float32)
    score[np.argsort(-degree, kind="stable")] = 1 - np.arange(len(degree), dtype=np.float32) / len(degree)
    return score


def known(corpus: Corpus) -> csr_matrix:
    """Every interaction of the corpus, held out or not: bool [U, I], rows sorted."""
    parts = (corpus.train, corpus.valid, corpus.test, corpus.reserved)
    matrix = csr_matrix(sum((part.by_user for part in parts[1:]), parts[0].by_user))
    matrix.sort_indices()
    return matrix
