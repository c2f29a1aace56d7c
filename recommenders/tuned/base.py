"""What tuned language models share: the prompts they read, the stages they are trained in, and how they are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from evaluation.protocol import Exam, validation
from features.corpus import Corpus
from features.instructions.wording import Worded
from features.table import FeatureSet
from graph_models.checkpoint import Checkpoint
from graph_models.curve import Epoch, Progress
from graph_models.device import seeded
from graph_models.tensorboard import telling
from language_models.model_folder import digest
from language_models.tuning.answers import continuation
from language_models.tuning.batches import Example, Text, shortened
from language_models.tuning.likelihood import losses
from language_models.tuning.model import Lora, TunableModel
from recommenders.histories import Int64
from recommenders.reranking import Reader, Reranker
from recommenders.selection import validation_metrics
from recommenders.trainer import Task, state_of, train
from recommenders.tuned.lessons import Lesson, Lessons, TrainHistories
from recommenders.tuned.options import LanguageModelOptions, RerankerOptions
from recommenders.tuned.settings import NEEDS, Settings, check_language_model
from schemas.errors import ConfigError, StoreError
from schemas.records import canonical, sha256
from schemas.run import Run
from schemas.sections import Evaluation, Model, SequenceTraining

FILE = "tuned.safetensors"
ROOM = 32  # tokens that are kept free for an answer


class Tuned(Reader):
    """A causal language model of a local folder (`llm.engine = "hf"`), tuned on train and chosen on validation.

    The trainer's settings are `[sequence_training]` and the model's own `training`. After `fit`: `history`,
    `best_epoch`, `valid` and `report`. What is saved is what was trained, beside the language model's path and digest.
    """

    learns: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = NEEDS
    instead: ClassVar[str] = ""  # a recommender that needs less
    Options: ClassVar[type[LanguageModelOptions]] = LanguageModelOptions
    slots: ClassVar[tuple[str, ...]] = ()  # texts in prompts that vectors take the place of
    options: Any  # an instance of Options
    network: nn.Module  # what is trained: the language model, and what stands before it

    def __init__(self, options: LanguageModelOptions, settings: Settings) -> None:
        self.options, self.settings = options, settings
        self.history: tuple[Epoch, ...] = ()
        self.best_epoch, self.valid = 0, dict[str, float]()
        self.report: dict[str, Any] = {}
        self._answers: dict[str, tuple[int, ...]] = {}

    @classmethod
    def options_of(cls) -> type:
        return cls.Options

    @classmethod
    def check_parts(cls, model: Model, run: Run, where: str) -> None:
        if model.backbone is not None or model.objectives:
            raise ConfigError(f"{where}: {model.recommender} takes no backbone or objectives; remove them")
        check_language_model(model, run, cls.needs, cls.instead)

    @classmethod
    def make(cls, model: Model, run: Run, seed: int, folder: Path | None, progress: Progress | None) -> Self:
        options: dict[str, Any] = dict(model.options)
        return cls(cls.Options(**options), Settings.of(model, run, seed, folder, progress))

    @classmethod
    def outside(cls, model: Model, run: Run) -> str | None:
        return digest(Settings.of(model, run, 0, None, None).language_model)

    @property
    def model(self) -> TunableModel:
        """The language model within the network."""
        found = self.network if isinstance(self.network, TunableModel) else self.network.get_submodule("model")
        assert isinstance(found, TunableModel)
        return found

    # ---- prompts

    def ask(self, word: Callable[[Int64], Worded], places: Int64) -> Text:
        """The prompt about places of a history, without its oldest items where it would be too long.

        Raises DataError where even the shortest form has no room.
        """

        def write(shown: int) -> Text:
            worded = word(places[len(places) - shown :])
            ids = self.model.chat(worded.system, worded.user)
            return Text(tuple(ids), tuple(place for place, id in enumerate(ids) if id in self._slot_ids))

        room = min(self.options.max_tokens, (self.model.context or 2**31) - ROOM)
        return shortened(write, len(places), room, f"{self.name}: a prompt")

    def latest(self, places: Int64) -> Int64:
        """The newest of some places, as many as a prompt shows."""
        return places[-self.options.history :]

    def titles(self, items: Iterable[int]) -> list[str]:
        """Titles of items, each with its profile where the run file wants it in prompts."""
        return [self.shown.item(item) for item in items]

    def answer(self, prompt: Text, text: str) -> tuple[int, ...]:
        """A word or letter as the tokens that follow a prompt, and the one that ends it; the same after all prompts."""
        if text not in self._answers:
            self._answers[text] = (*continuation(self.model, prompt.ids, text), self.model.end)
        return self._answers[text]

    def response(self, text: str) -> tuple[int, ...]:
        """Any other answer's tokens, and the one that ends it."""
        return (*self.model.encode(text), self.model.end)

    @property
    def _slot_ids(self) -> set[int]:
        """Tokens that vectors take the place of."""
        return {self.model.tokenizer.convert_tokens_to_ids(token) for token in self.slots}

    # ---- training

    def open(self, corpus: Corpus, features: FeatureSet) -> nn.Module:
        """The untrained network: the language model alone, or with what stands before it."""
        del corpus, features
        return self.open_model()

    def open_model(self) -> TunableModel:
        """The language model of the run file; frozen weights are as narrow as the products are."""
        options, settings = self.options, self.settings
        lora = Lora(options.lora_rank, options.lora_alpha, options.lora_dropout, tuple(options.lora_targets))
        narrow = options.tune == "lora" and settings.training.precision == "bfloat16"
        opened = TunableModel.open(
            settings.language_model,
            settings.device,
            lora if options.tune == "lora" else None,
            self.new_tokens(),
            torch.bfloat16 if narrow else torch.float32,
        )
        if options.tune == "full":
            opened.lm.requires_grad_(True)
        return opened

    def new_tokens(self) -> tuple[str, ...]:
        """Tokens that the vocabulary gets."""
        return self.slots

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        self.remember(corpus, features)
        with seeded(self.settings.seed):
            self.network = self.open(corpus, features).to(self.settings.device)
        options = self.options
        source = TrainHistories.of(corpus, options.samples, self.settings.seed)
        self.learn(source, corpus)
        self.network.eval()

    def learn(self, source: TrainHistories, corpus: Corpus) -> None:
        """Train, in as many stages as there are; most have one."""
        self.stage("tuning", Lessons(self.network, source, self.examples, self.mean_loss), corpus)

    def examples(self, lessons: Sequence[Lesson], generator: np.random.Generator) -> Sequence[Example]:
        """The prompts and answers that some lessons teach."""
        raise NotImplementedError(f"{self.name}: words its lessons in stages of its own")

    def mean_loss(self, examples: Sequence[Example]) -> Tensor:
        """The mean over all tokens that are learned."""
        total, count = losses(self.model, examples, train_on_prompt=self.options.train_on_prompt)
        return total.sum() / count.sum()

    def stage(self, name: str, task: Task, corpus: Corpus, learning_rate: float | None = None) -> None:
        """Train one stage and keep its best epoch; a stopped one goes on after its last whole epoch.

        `learning_rate`: of this stage; by default that of the trainer's settings.
        """
        settings, judged = self.settings, self.settings.evaluation
        own = {} if learning_rate is None else {"learning_rate": learning_rate}
        training = settings.training.model_copy(update=own)
        exam = validation(corpus, judged.protocol, judged.users)
        judge = partial(self._judged, exam)
        checkpoint, board = self._checkpoint(name, corpus), None
        if settings.folder is not None and settings.training.tensorboard:
            board = settings.folder / "tensorboard"
        told = telling(settings.progress, board)
        curve = train(task, training, settings.seed, judge, judged.selection, checkpoint, told)
        self.history, self.best_epoch, self.valid = curve.history, curve.best_epoch, curve.valid
        self.report = {**self.report, name: {"epochs": len(curve.history), "best_epoch": curve.best_epoch}}

    def _judged(self, exam: Exam) -> dict[str, float]:
        settings = self.settings
        users = settings.training.valid_users
        return validation_metrics(self.for_validation(), exam, settings.evaluation, users, settings.seed)

    def _checkpoint(self, name: str, corpus: Corpus) -> Checkpoint | None:
        """Resume only what is the same in everything that decides the curve."""
        settings = self.settings
        if settings.folder is None:
            return None
        decides = {
            "recommender": self.name,
            "stage": name,
            "options": asdict(self.options),
            "language_model": digest(settings.language_model),
            "training": settings.training.model_dump(exclude={"tensorboard"}),
            "judged": settings.evaluation.model_dump(include={"selection", "ks", "protocol", "users"}),
            "seed": settings.seed,
            "split_id": corpus.split_id,
            "shown": sha256(canonical([self.shown.titles, self.shown.item_ids, list(self.shown.profiles.items())])),
        }
        return Checkpoint(settings.folder / f"{name}.checkpoint.safetensors", sha256(canonical(decides)))

    # ---- keeping

    def save(self, folder: Path) -> None:
        settings = self.settings
        about = {
            "options": asdict(self.options),
            "language_model": {"folder": str(settings.language_model), "digest": digest(settings.language_model)},
            "settings": {
                "training": settings.training.model_dump(),
                "evaluation": settings.evaluation.model_dump(),
                "device": str(settings.device),
            },
            "seed": settings.seed,
        }
        self.save_shown(folder, about)
        state = state_of(self.network)
        save_file({name: value.cpu().contiguous().clone() for name, value in state.items()}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        file = folder / "recommender.json"
        if not file.is_file():
            raise StoreError(f"{file}: no saved recommender here; run `loregraph train` first")
        about = json.loads(file.read_text())
        found = about["language_model"]
        _same_model(file, Path(found["folder"]), found["digest"])
        kept = about["settings"]
        device = torch.device(kept["device"])
        device = device if device.type != "cuda" or torch.cuda.is_available() else torch.device("cpu")
        training, judged = SequenceTraining(**kept["training"]), Evaluation(**kept["evaluation"])
        settings = Settings(Path(found["folder"]), device, training, judged, about["seed"])
        made = cls(cls.Options(**about["options"]), settings)
        made.load_shown(folder)
        made.restore(folder, load_file(folder / FILE))
        made.network.eval()
        return made

    def restore(self, folder: Path, state: dict[str, Tensor]) -> None:
        """Make the network as it was saved."""
        del folder
        with seeded(self.settings.seed):
            self.network = self.reopened(state).to(self.settings.device)
        self.network.load_state_dict(state, strict=False)

    def reopened(self, state: dict[str, Tensor]) -> nn.Module:
        """The network before the saved state is put in, which may say its shape."""
        del state
        return self.open_model()


class TunedReranker(Tuned, Reranker):
    """A tuned language model that orders candidates anew."""

    Options: ClassVar[type[LanguageModelOptions]] = RerankerOptions

    def __init__(self, options: RerankerOptions, settings: Settings) -> None:
        super().__init__(options, settings)
        self.candidates = options.candidates

    @classmethod
    def make(cls, model: Model, run: Run, seed: int, folder: Path | None, progress: Progress | None) -> Self:
        made = super().make(model, run, seed, folder, progress)
        made.retrieve_with(model, run)
        return made

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        self.fit_retriever(corpus, features, self.settings.seed)
        super().fit(corpus, features)

    def save(self, folder: Path) -> None:
        super().save(folder)
        self.save_retriever(folder)

    def restore(self, folder: Path, state: dict[str, Tensor]) -> None:
        self.load_retriever(folder)
        super().restore(folder, state)


def _same_model(file: Path, folder: Path, known: str) -> None:
    """Raises StoreError where the language model is gone or another one."""
    if not folder.is_dir():
        raise StoreError(f"{file}: expected the language model in {folder}, found nothing there; put it back or refit")
    if digest(folder) != known:
        raise StoreError(f"{file}: {folder}: not the language model that was tuned; put it back, or train again")
