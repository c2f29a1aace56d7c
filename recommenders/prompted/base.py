"""What prompted recommenders share: who asks, what a prompt shows of a user, and what is said of it all afterwards."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np

from evaluation.ranking import chunks
from features.corpus import Corpus
from features.recipes.reading import clean, redact
from features.table import FeatureSet
from graph_models.curve import Progress
from language_models.capabilities import require
from language_models.prices import check_prices
from recommenders.histories import Int64
from recommenders.prompted.asker import Asked, Asker
from recommenders.prompted.options import PromptedOptions
from recommenders.prompted.tally import Tally
from recommenders.prompted.wording import Item, Known
from recommenders.reranking import Float32, Reranker
from schemas.errors import ConfigError
from schemas.records import JSON, Prompt, canonical, sha256
from schemas.run import Run
from schemas.sections import Llm, Model

T = TypeVar("T")
O = TypeVar("O", bound=PromptedOptions)  # noqa: E741 -- options
QUESTIONS_AT_ONCE = 20_000
PROFILE_CHARACTERS = 600
DECIDES = ("engine", "model", "base_url", "temperature", "max_output_tokens", "structured", "answers", "redact")
KEPT = ("engine", "model", "answers", "fields", "temperature", "max_output_tokens", "device", "batch_size", "redact")


class Prompted(Reranker, Generic[O, T]):
    """Asks a chat engine about users and their candidates; nothing is trained.

    The engine is asked while users are ranked, through `asker`, which a night sets to its own ledger before anyone is
    ranked. Users whose answers are of no use keep the retriever's order. `told` says what a ranking came to, until
    somebody clears it.
    """

    options_type: ClassVar[type[PromptedOptions]]
    version: ClassVar[str] = "1"  # in every key: raise it when the wording changes

    def __init__(self, options: O, llm: Llm, seed: int = 0) -> None:
        self.options, self.llm, self.seed = options, llm, seed
        self.candidates = options.candidates
        self.asker = Asker(llm)
        self.tally = Tally()
        self.told: dict[str, Any] = {}

    @classmethod
    def options_of(cls) -> type:
        return cls.options_type

    @classmethod
    def check(cls, model: Model, run: Run) -> None:
        super().check(model, run)
        where, llm = f"{run.file}: models.{model.name}", run.llm_of_model(model)
        options: dict[str, Any] = model.options
        require(cls.name, ("chat",), llm.engine, where)
        try:
            check_prices(llm)
        except ConfigError as error:
            raise ConfigError(f"{where}.{error}") from None
        cls.check_engine(cls.options_type(**options), llm, where)

    @classmethod
    def check_engine(cls, options: Any, llm: Llm, where: str) -> None:
        """Refuse an engine that cannot answer such questions. Raises ConfigError."""
        del options, llm, where

    @classmethod
    def make(cls, model: Model, run: Run, seed: int, folder: Path | None, progress: Progress | None) -> Self:
        del folder, progress  # nothing is trained
        options: dict[str, Any] = model.options
        made = cls(cls.options_type(**options), run.llm_of_model(model), seed)  # type: ignore[arg-type]
        made.retrieve_with(model, run)
        return made

    @classmethod
    def outside(cls, model: Model, run: Run) -> str | None:
        """Who is asked decides what validation finds, and which wording."""
        llm = run.llm_of_model(model)
        return sha256(canonical({**{name: getattr(llm, name) for name in DECIDES}, "version": cls.version}))

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        """Fit the retriever and keep what prompts will show; nobody is asked yet."""
        self.fit_retriever(corpus, features, self.seed)
        self.remember(corpus, features)

    @abstractmethod
    def questions(self, user: int, items: Int64) -> list[Asked[T]]:
        """What is asked about a user and his candidates [m], without padding."""

    @abstractmethod
    def score(self, user: int, items: Int64, said: Sequence[T | None]) -> Float32:
        """Scores of the candidates [m] from what was read of the answers, None where nothing could be."""

    def scores(self, users: Int64, items: Int64) -> Float32:
        rows = max(1, QUESTIONS_AT_ONCE // max(1, self.questions_per_user(items.shape[1])))
        with self.telling():
            parts = [self._scores(users[some], items[some]) for some in chunks(len(users), rows)]
        return np.concatenate(parts)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Count anew where what was told has been taken, and tell what the block came to, even if it was cut short."""
        if not self.told:
            self.tally = Tally()
        try:
            yield
        finally:
            self.told.update(self.tally.to_json())

    def questions_per_user(self, candidates: int) -> int:
        """How many questions a user with so many candidates takes."""
        del candidates
        return 1

    def ask(self, asked: Sequence[Sequence[Asked[T]]]) -> list[list[T | None]]:
        """The answers to the questions of several users, all asked in one go."""
        flat = [each for of_user in asked for each in of_user]
        answers = self.asker.answers(flat, self.tally, len(asked))
        said = iter(answers)
        found = [[next(said) for _ in of_user] for of_user in asked]
        self.tally.users += len(asked)
        self.tally.fallback_users += sum(all(each is None for each in of_user) for of_user in found)
        return found

    def known(self, user: int, avoid: Int64) -> Known:
        """What a prompt shows of a user; random items in place of his own are none of `avoid`."""
        options, shown = self.options, self.shown
        own = self.own(user)
        rows = self._probed(user, own, avoid)
        mine = options.probe in ("none", "random_order")
        profile = shown.profile("user", user) if options.probe != "no_history" else None
        ids = tuple(shown.item_ids[row] for row in dict.fromkeys(own.tolist())) if mine else ()
        return Known(tuple(map(self.item, rows.tolist())), profile and self._text(profile), source_ids=ids)

    def own(self, user: int) -> Int64:
        """The newest items of a user that are shown, oldest first: [at most `history`]."""
        return np.array(self.serving.of_user(user)[-self.options.history :], dtype=np.int64)

    def prompt(self, id: str, system: str, text: str, schema: JSON, source_ids: tuple[str, ...] = ()) -> Prompt:
        """A question; `id` says whom it is about and is not shown."""
        return Prompt(self.name, self.version, "user", id, system, text, schema, source_ids)

    def item(self, row: int) -> Item:
        """An item as prompts show it."""
        title, profile = self.shown.titles[row], self.shown.profile("item", row)
        return Item(redact(title) if self.llm.redact else title, profile and self._text(profile))

    def drawn(self, user: int, purpose: str) -> np.random.Generator:
        """A generator of a user's own, whoever else is ranked."""
        text = f"{self.seed} {purpose} {self.shown.user_ids[user]}"
        return np.random.default_rng(int(sha256(text)[:16], 16))

    def order(self, user: int, items: Int64, repeat: int) -> Int64:
        """The order in which candidates [m] are shown: places in `items`, drawn anew for every repeat.

        It depends on which candidates there are and not on the retriever's order, of which it says nothing.
        """
        by_row = np.argsort(items, kind="stable")
        return by_row[self.drawn(user, f"order {repeat}").permutation(len(items))]

    def save(self, folder: Path) -> None:
        about = {"options": asdict(self.options), "seed": self.seed, "llm": self.llm.model_dump(include=set(KEPT))}
        self.save_shown(folder, about)
        self.save_retriever(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; the engine of a night is set by the night."""
        file = folder / "recommender.json"
        about = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"options": {}, "llm": {}}
        options = cls.options_type(**about["options"])
        made = cls(options, Llm.model_validate(about["llm"]), about.get("seed", 0))  # type: ignore[arg-type]
        made.load_shown(folder)
        made.load_retriever(folder)
        return made

    def _scores(self, users: Int64, items: Int64) -> Float32:
        lists = [row[row >= 0] for row in items]
        pairs = list(zip(users.tolist(), lists, strict=True))
        said = self.ask([self.questions(user, some) for user, some in pairs])
        found = np.zeros(items.shape, dtype=np.float32)
        for row, ((user, some), each) in enumerate(zip(pairs, said, strict=True)):
            if any(answer is not None for answer in each):
                found[row, np.flatnonzero(items[row] >= 0)] = self.score(user, some, each)
        return found

    def _probed(self, user: int, own: Int64, avoid: Int64) -> Int64:
        probe, rng = self.options.probe, self.drawn(user, "probe")
        if probe == "random_order":
            return rng.permutation(own)
        if probe == "fake_history":
            others = np.setdiff1d(np.arange(len(self.shown.item_ids)), np.concatenate([own, avoid]))
            return rng.choice(others, min(len(own), len(others)), replace=False)
        return own[:0] if probe == "no_history" else own

    def _text(self, text: str) -> str:
        """A profile as prompts show it: one line of a bounded length."""
        return clean(redact(clean(text)) if self.llm.redact else text, PROFILE_CHARACTERS)


def no_recorded(name: str, llm: Llm, where: str) -> None:
    """Refuse recorded answers where a user is asked about more than once, or with one token."""
    if llm.engine == "recorded":
        raise ConfigError(
            f"{where}: {name} asks what no file of answers by user holds; use llmrank, or another engine than recorded"
        )
