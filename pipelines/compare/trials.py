"""Trials and final fits, each a file named after everything that decides it: what is there is not done again."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from evaluation.judge import examine
from evaluation.metrics import score
from evaluation.protocol import Exam, among, first_by_hash, testing, validation
from evaluation.ranking import rank
from features.corpus import Corpus
from features.table import FeatureSet
from pipelines.compare.cells import Cell, settings_of
from pipelines.compare.finals import ALL, Final, K, read_scores, write_scores
from pipelines.compare.memory import measured
from pipelines.compare.space import Settings, applied
from pipelines.fitted import outside, training_settings
from pipelines.model_inputs import edges_hash, feature_tables, texts_hash
from pipelines.night import Night, write_json
from recommenders import make_recommender
from recommenders.base import Recommender
from schemas.errors import ConfigError
from schemas.records import canonical, sha256
from schemas.sections import Evaluation, Features, Model

FORM = 1  # of the files; raise it when what they hold changes


@dataclass
class Bench:
    """A night's corpus and exams with the texts that were read last."""

    night: Night
    corpus: Corpus
    fits: int = 0  # made by this process
    _features: tuple[str, FeatureSet] | None = None
    _hashes: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.night.work / "compare"

    @cached_property
    def exam(self) -> Exam:
        """The whole of validation, or so many users as `[evaluation]` says."""
        settings = self.night.run.evaluation
        return validation(self.corpus, settings.protocol, settings.users)

    @cached_property
    def sample(self) -> Exam:
        """Validation for the users that settings are compared on: those with the lowest hashes of their ids."""
        most = settings_of(self.night.run).search_users
        users = self.exam.users
        if not most or len(users) <= most:
            return self.exam
        return among(self.exam, first_by_hash(self.corpus, users, most))

    @cached_property
    def test(self) -> Exam:
        """Asked for after a search alone."""
        settings = self.night.run.evaluation
        return testing(self.corpus, settings.protocol, settings.users)

    @cached_property
    def evaluation(self) -> Evaluation:
        """The run's, with the cut-off that is compared at."""
        settings = self.night.run.evaluation
        return settings.model_copy(update={"ks": tuple(sorted({*settings.ks, K}))})

    def trial(self, cell: Cell, settings: Settings, seed: int) -> dict[str, Any]:
        """Fit one setting and rank the search users; `value` is null where it could not be trained."""
        model = applied(cell.model, settings)
        state = self._state(model, seed)
        file = self.folder / "trials" / f"{self._trial_key(state)}.json"
        if file.exists():
            return _read(file)
        about = {"cell": cell.name, "settings": dict(settings), "seed": seed}
        try:
            fitted, found = self._fit(_not_refitted(model), seed, state)
        except ConfigError as error:  # such as a loss that is not finite: settings that cannot be had
            found = {"value": None, "failed": str(error), "seconds": 0.0, "mib": 0.0, "epochs": 0}
        else:
            found["value"] = self._selected(fitted, self.sample)
        write_json(file, {**about, **found})
        return _read(file)

    def final(self, cell: Cell, settings: Settings, seed: int) -> Final:
        """Fit the chosen setting and look at test, once."""
        model = applied(cell.model, settings)
        state = self._state(model, seed)
        name = self._final_key(state)
        file, scores = self.folder / "finals" / f"{name}.json", self.folder / "finals" / f"{name}.parquet"
        if not file.exists():
            fitted, found = self._fit(model, seed, state)
            valid, verdict = self._selected(fitted, self.exam), examine(fitted, self.test, self.evaluation)
            write_scores({ALL: verdict.scores, **verdict.slices}, scores)
            known = self.folder / "trials" / f"{self._trial_key(state)}.json"
            if known.exists():  # a graph model may have gone on from its last checkpoint: the trial has the time
                found |= {key: _read(known)[key] for key in ("seconds", "mib")}
            write_json(file, {"cell": cell.name, "settings": dict(settings), "seed": seed, "valid": valid, **found})
        kept = _read(file)
        return Final(seed, kept["valid"], kept["seconds"], kept["mib"], kept["epochs"], read_scores(scores))

    def forget(self, cell: Cell, settings: Settings, seed: int) -> None:
        """Remove the checkpoint that a fit has left."""
        shutil.rmtree(self._checkpoint(self._state(applied(cell.model, settings), seed)), ignore_errors=True)

    def _fit(self, model: Model, seed: int, state: str) -> tuple[Recommender, dict[str, Any]]:
        features, began = self._texts(model, seed), time.perf_counter()
        folder = self._checkpoint(state) if model.backbone is not None else None
        recommender = make_recommender(model, self.night.run, seed, folder)
        with measured() as peak:
            recommender.fit(self.corpus, features)
            recommender.recommend(self.exam.users[:1], K, self.exam.seen)
        self.fits += 1
        history = getattr(recommender, "history", ())
        trained = sum(epoch.seconds for epoch in history)  # with those before an interruption
        seconds = round(max(time.perf_counter() - began, trained), 3)
        return recommender, {"seconds": seconds, "mib": peak.mib, "epochs": history[-1].epoch if history else 0}

    def _selected(self, recommender: Recommender, exam: Exam) -> float:
        metric = self.night.run.evaluation.selection
        k = int(metric.split("@")[1])
        found = score(rank(recommender.for_validation(), exam.users, k, exam.seen), exam.truth, (k,))
        return found.mean()[metric]

    def _texts(self, model: Model, seed: int) -> FeatureSet:
        """The texts of a model; those of the last one are kept, and the trials of a cell share them."""
        drawn = seed if model.control != "none" else None
        key = canonical([model.features and model.features.model_dump(), model.control, drawn])
        if self._features is None or self._features[0] != key:
            self._features = None  # before the next one is read
            self._features = key, feature_tables(self.night, model, self.corpus, seed)
        return self._features[1]

    def _state(self, model: Model, seed: int) -> str:
        """A hash of the data, texts and settings that decide a fit, and of the seed."""
        texts, edges = self._read_from(model.features)
        training = training_settings(self.night.run, model)
        decides = {
            "form": FORM,
            "split_id": self.corpus.split_id,
            "users": self.corpus.num_users,
            "items": self._items,
            "texts": texts,
            "edges": edges,
            "model": model.model_dump(mode="json", exclude={"name", "control_of", "training"}),
            "training": training,
            "selection": self.night.run.evaluation.selection,
            "seed": seed,
            **outside(model, self.night.run),
        }
        return sha256(canonical(decides))

    def _read_from(self, features: Features | None) -> tuple[str | None, str | None]:
        key = canonical(features and features.model_dump())
        if key not in self._hashes:
            self._hashes[key] = texts_hash(self.night, features), edges_hash(self.night, features)
        return self._hashes[key]

    @cached_property
    def _items(self) -> str:
        return sha256("\n".join(self.corpus.ids("item").to_list()))

    def _trial_key(self, state: str) -> str:
        return sha256(canonical(["trial", state, sha256(self.sample.users.tobytes().hex())]))[:24]

    def _final_key(self, state: str) -> str:
        judged = self.evaluation.model_dump(mode="json", include={"ks", "cold", "head"})
        return sha256(canonical(["final", state, judged]))[:24]

    def _checkpoint(self, state: str) -> Path:
        return self.folder / "checkpoints" / state[:24]


def _not_refitted(model: Model) -> Model:
    """A trial is judged on validation alone, so only the final fit learns from validation too."""
    if model.backbone is None:
        return model
    return model.model_copy(update={"training": {**model.training, "refit": False}})


def _read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
