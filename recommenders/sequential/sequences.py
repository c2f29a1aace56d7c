"""What sequential recommenders share: the network over histories, and whose history a user is served with."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from evaluation.protocol import Exam, validation
from evaluation.ranking import chunks, join, top_k
from evaluation.recommendations import Recommendations
from features.codes import ItemCodes
from features.corpus import Corpus
from features.table import FeatureSet, FeatureTable
from graph_models.checkpoint import Checkpoint
from graph_models.curve import Epoch, Progress
from graph_models.device import find_device, seeded
from graph_models.options import check_options
from graph_models.tensorboard import telling
from recommenders.base import Recommender, known, popularity
from recommenders.histories import Histories
from recommenders.selection import validation_metrics
from recommenders.trainer import train
from schemas.errors import ConfigError, StoreError
from schemas.records import canonical, sha256
from schemas.run import Run
from schemas.sections import Evaluation, Model, SequenceTraining

Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
POOL = 64  # batches


@dataclass(frozen=True)
class Catalogue:
    """What a network over histories may know of the items."""

    num_items: int
    text: FeatureTable | None = None  # x [I, D]
    codes: ItemCodes | None = None


class Network(nn.Module, ABC):
    """A model of ordered histories. The constructor takes a Catalogue, then its options as keyword-only parameters."""

    needs_codes: ClassVar[bool] = False
    max_length: int  # items of a history that it reads

    @classmethod
    def reads_text(cls, options: Mapping[str, Any]) -> str | None:
        """Which of the options reads the items' text, as a run file has it; None where none does."""
        del options
        return None

    def learn(self, histories: Histories) -> None:
        """Count what needs no training, before it: `histories` are those of train."""
        del histories

    @abstractmethod
    def samples(self, histories: Histories) -> Int64:
        """What an epoch goes through, [N] in any form that `batch` understands: users, or places of next items."""

    @abstractmethod
    def lengths(self, histories: Histories, samples: Int64) -> Int64:
        """[N] how long each sample is: those of a batch are padded to the longest, so similar ones come together."""

    def targets(self, histories: Histories, samples: Int64) -> Int64:
        """[N] next items that each sample teaches: batches have about equally many, or some would count for more."""
        del histories
        return np.ones(len(samples), dtype=np.int64)

    @abstractmethod
    def batch(self, histories: Histories, samples: Int64) -> Any:
        """Tensors of some samples, on the network's device."""

    @abstractmethod
    def loss(self, batch: Any) -> Tensor:
        """The mean loss of a batch: a scalar."""

    @abstractmethod
    def ranked(self, histories: Histories, users: Int64, k: int, seen: csr_matrix) -> Recommendations:
        """The first k items of users [B] who have a history, less those in their rows of `seen` [U, I]."""

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device


@dataclass(frozen=True)
class NextItems:
    """The training task of a network on histories."""

    module: Network
    histories: Histories
    samples: Int64

    def steps(self, batch_size: int) -> int:
        pools = chunks(len(self.samples), POOL * batch_size)
        return sum(-(-len(self.samples[pool]) // batch_size) for pool in pools)

    def batches(self, batch_size: int, generator: np.random.Generator) -> Iterator[Any]:
        """Samples in random order; of a pool of 64 batches those of similar length together, the batches shuffled."""
        drawn = self.samples[generator.permutation(len(self.samples))]
        batches = list[Int64]()
        for rows in chunks(len(drawn), POOL * batch_size):
            pool = drawn[rows]
            pool = pool[np.argsort(self.module.lengths(self.histories, pool), kind="stable")]
            taught = np.cumsum(self.module.targets(self.histories, pool))
            count = -(-len(pool) // batch_size)
            batches += np.split(pool, np.searchsorted(taught, taught[-1] * np.arange(1, count) / count))
        for number in generator.permutation(len(batches)):
            yield self.module.batch(self.histories, batches[number])

    def loss(self, batch: Any) -> Tensor:
        return self.module.loss(batch)


class Sequential(Recommender):
    """A network over ordered histories, trained on train and chosen on validation.

    Options are the keyword-only parameters of its network; the trainer's are `[sequence_training]` and the model's own
    `training`. On validation a user has his train history; at test, and when he is served, also what validation knew.
    Users without any history get popular items. After `fit`: `history`, `best_epoch`, `valid` and `report`.
    """

    learns: ClassVar[bool] = True
    network: ClassVar[type[Network]]
    built: Network
    serving: Histories
    codes_hash: str | None = None  # of the semantic ids that it was trained with

    def __init__(
        self,
        options: Mapping[str, Any],
        training: SequenceTraining,
        evaluation: Evaluation,
        seed: int = 0,
        device: str = "auto",
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.options, self.training, self.evaluation = dict(options), training, evaluation
        self.seed, self.device, self.folder, self.progress = seed, find_device(device), folder, progress
        self.history: tuple[Epoch, ...] = ()
        self.best_epoch, self.valid = 0, dict[str, float]()
        self.report: dict[str, Any] = {}

    @classmethod
    def options_of(cls) -> type:
        return cls.network

    @classmethod
    def check(cls, model: Model, run: Run) -> None:
        where = f"{run.file}: models.{model.name}"
        check_options(cls.network, model.options, f"{where}.options")
        if model.backbone is not None or model.objectives:
            raise ConfigError(f"{where}: {model.recommender} takes no backbone or objectives; remove them")
        text = cls.network.reads_text(model.options)
        if text and (model.features is None or model.features.item is None):
            raise ConfigError(f"{where}.features.item: missing; {text} reads text")
        if cls.network.needs_codes and (model.features is None or model.features.semantic_ids is None):
            raise ConfigError(
                f"{where}.features.semantic_ids: missing; {model.recommender} reads codes of items: name an entry of "
                "[[semantic_ids]]"
            )

    @classmethod
    def make(cls, model: Model, run: Run, seed: int, folder: Path | None, progress: Progress | None) -> Self:
        training = run.sequence_training_of(model)
        return cls(model.options, training, run.evaluation, seed, run.device, folder, progress)

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        catalogue = Catalogue(corpus.num_items, features.item, features.codes)
        with seeded(self.seed):
            self.built = self.network(catalogue, **self.options).to(self.device)
        self.known, self.popular = known(corpus), popularity(corpus.train.item_degree)
        self.codes_hash = features.codes.hash if features.codes else None
        self.catalogue = catalogue
        train_only, self.serving = Histories.of(corpus.served), Histories.of(corpus.joined.served)
        self._train_only, learned = train_only, Histories.of(corpus.train)
        self.built.learn(learned)
        task = NextItems(self.built, learned, self.built.samples(learned))
        told = telling(
            self.progress, self.folder and self.folder / "tensorboard" if self.training.tensorboard else None
        )
        curve = train(
            task,
            self.training,
            self.seed,
            partial(self._judged, self._exam(corpus)),
            self.evaluation.selection,
            self._checkpoint(corpus, features),
            told,
        )
        self.history, self.best_epoch, self.valid = curve.history, curve.best_epoch, curve.valid

    def for_validation(self) -> Recommender:
        """Give the same network with what was known of users before validation."""
        judged = copy(self)
        judged.serving = self._train_only
        return judged

    def recommend(self, users: Int64, k: int, seen: csr_matrix | None = None) -> Recommendations:
        seen = self.known if seen is None else seen
        self.built.eval()
        strange = self.serving.length[users] == 0
        with torch.no_grad():
            parts = [self.built.ranked(self.serving, users[~strange], k, seen), self._popular(users[strange], k, seen)]
        both, place = join(parts, k), np.argsort(np.argsort(strange, kind="stable"), kind="stable")
        return Recommendations(both.user[place], both.item[place], both.score[place])

    def _popular(self, users: Int64, k: int, seen: csr_matrix) -> Recommendations:
        scores = torch.from_numpy(np.repeat(self.popular[None], len(users), axis=0))
        return top_k(scores, users, seen, k)

    def _exam(self, corpus: Corpus) -> Exam:
        return validation(corpus, self.evaluation.protocol)

    def _judged(self, exam: Exam) -> dict[str, float]:
        """The metrics of the network as it is, of all users of validation or those that the settings draw."""
        return validation_metrics(self.for_validation(), exam, self.evaluation, self.training.valid_users, self.seed)

    def _checkpoint(self, corpus: Corpus, features: FeatureSet) -> Checkpoint | None:
        """Resume only what is the same in everything that decides the curve."""
        if self.folder is None:
            return None
        text = features.item and hashlib.sha256(features.item.x.tobytes()).hexdigest()
        decides = {
            "recommender": self.name,
            "options": self.options,
            "training": self.training.model_dump(exclude={"tensorboard"}),
            "selection": [self.evaluation.selection, list(self.evaluation.ks), self.evaluation.protocol],
            "seed": self.seed,
            "split_id": corpus.split_id,
            "items": sha256("\n".join(corpus.ids("item").to_list())),
            "text": text,
            "codes": self.codes_hash,
        }
        return Checkpoint(self.folder / "checkpoint.safetensors", sha256(canonical(decides)))

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"network.{name}": value.numpy(force=True) for name, value in self.built.state_dict().items()}
        tensors |= {**self.serving.arrays("serving"), **self._train_only.arrays("train")}
        tensors |= {"known.indptr": self.known.indptr, "known.indices": self.known.indices, "popular": self.popular}
        codes, text = self.catalogue.codes, self.catalogue.text
        tensors |= {} if codes is None else {"codes": codes.codes}
        save_file(
            {name: np.ascontiguousarray(value) for name, value in tensors.items()}, folder / "network.safetensors"
        )
        about = {
            "recommender": self.name,
            "options": self.options,
            "shape": list(self.known.shape),
            "text": None if text is None else {"widths": list(text.widths), "source": text.source},
            "codes": None
            if codes is None
            else {"sizes": list(codes.sizes), "source": codes.source, "hash": codes.hash},
            "settings": {"training": self.training.model_dump(), "evaluation": self.evaluation.model_dump()},
            "seed": self.seed,
        }
        (folder / "recommender.json").write_text(json.dumps(about, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        file = folder / "network.safetensors"
        if not file.is_file():
            raise StoreError(f"{file}: no saved recommender here; run `loregraph train` first")
        arrays, about = load_file(file), json.loads((folder / "recommender.json").read_text())
        settings = about["settings"]
        training, judged = SequenceTraining(**settings["training"]), Evaluation(**settings["evaluation"])
        made = cls(about["options"], training, judged, about["seed"])
        users, items = about["shape"]
        made.catalogue = Catalogue(items, _blank_text(items, about["text"]), _codes(arrays, about["codes"], file))
        made.codes_hash = about["codes"] and about["codes"]["hash"]
        made.built = cls.network(made.catalogue, **made.options)
        state = {
            name.removeprefix("network."): torch.from_numpy(value)
            for name, value in arrays.items()
            if name.startswith("network.")
        }
        made.built.load_state_dict(state)
        made.built.to(made.device).eval()
        made.serving, made._train_only = (Histories.saved(arrays, name) for name in ("serving", "train"))
        indices = arrays["known.indices"]
        made.known = csr_matrix((np.ones(len(indices), bool), indices, arrays["known.indptr"]), shape=(users, items))
        made.popular = arrays["popular"]
        return made


def _blank_text(items: int, about: Mapping[str, Any] | None) -> FeatureTable | None:
    """A text table of the shape that the network was built with; its values are in the network's own state."""
    if about is None:
        return None
    has = np.ones((items, len(about["widths"])), dtype=bool)
    x = np.zeros((items, sum(about["widths"])), dtype=np.float32)
    return FeatureTable("item", x, has[:, 0], about["source"], tuple(about["widths"]), has)


def _codes(arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any] | None, file: Path) -> ItemCodes | None:
    """The saved semantic ids. Raises StoreError where they are not those that the network was trained with."""
    if about is None:
        return None
    codes = ItemCodes(arrays["codes"], tuple(about["sizes"]), about["source"])
    if codes.hash != about["hash"]:
        raise StoreError(
            f"{file}: codes have the hash {codes.hash[:12]}, the network was trained with {about['hash'][:12]}"
        )
    return codes
