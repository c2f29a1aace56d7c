"""A night's recipes with what they need to be asked and read: subjects, engines, the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain

import polars as pl

from features.corpus import Corpus
from features.generation import Generation, in_shard, questions, read_all
from features.histories import Posed, shown
from features.partitions import Cascade, Closed
from features.recipes import make_recipes
from features.recipes.base import Recipe
from features.recipes.choosing import Choosing
from features.refresh import Bag, bags_of_words
from features.stand_ins import prose
from features.table_engine import table_engine
from language_models.answering import answer_all
from language_models.batch import answer_batches
from language_models.engines import make_engine
from language_models.inquiry import Counts as Calls
from language_models.judging import Question
from language_models.ledger import Ledger
from language_models.protocols import ChatEngine
from pipelines.increments import last_published
from pipelines.llm_runs import RunLog, run_log
from pipelines.night import Night
from pipelines.offers import Offers
from schemas.errors import ConfigError, unknown_name
from schemas.records import ProfileRow, Reject, Row, Subject, sha256
from schemas.sections import Llm

Subjects = Callable[[], Iterable[Subject]]  # made anew for every pass over them


@dataclass
class Desk:
    """A night's recipes with what they need to be asked and read."""

    night: Night
    corpus: Corpus
    recipes: list[Recipe]
    engines: Mapping[str, ChatEngine]  # by recipe
    ledger: Ledger
    _offers: Offers = field(init=False)
    _words: dict[str, Bag] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._offers = Offers(self.night, self.corpus)

    def recipe(self, name: str) -> Recipe:
        names = [recipe.name for recipe in self.recipes]
        if name not in names:
            raise ConfigError(unknown_name(f"{self.night.run.file}: recipes", name, names))
        return self.recipes[names.index(name)]

    def engine(self, recipe: Recipe) -> ChatEngine:
        return self.engines[recipe.name]

    def llm(self, recipe: Recipe) -> Llm:
        return self.night.run.llm_of(recipe.name)

    def about(self, recipe: Recipe, texts: Mapping[str, str]) -> Iterator[Subject]:
        """The recipe's subjects, showing the texts (by id of the other side) of the recipes that it needs.

        Of users as much is shown as `refresh` says; partitions have a rule of their own.
        """
        subjects = self.corpus.train.subjects(recipe.kind, texts)
        if isinstance(recipe, Choosing):
            subjects = self._offers.fresh(recipe, subjects)
        subjects = shown(recipe, subjects, self.night.run.refresh, self._bags())
        return self._offers.kept(recipe, subjects) if isinstance(recipe, Choosing) else subjects

    def planned(self, recipe: Recipe, texts: Mapping[str, str]) -> Iterator[Subject]:
        """The same for a plan; a partition that waits for an answer shows a text of the length to be expected."""
        if not recipe.partitioned:
            return self.about(recipe, texts)
        cascade = self._cascade(recipe, self.about(recipe, texts), {recipe.main_field(): prose(recipe)})
        return chain.from_iterable(cascade.waves(partial(self._said, recipe)))

    def asked(self, recipe: Recipe) -> Iterable[Posed] | None:
        """The recipe's subjects with their prompts where the engine of the tables makes them; None: this process does.

        Recipes that show texts or candidates, or ask about partitions, are always asked from here.
        """
        if recipe.needs or recipe.partitioned or isinstance(recipe, Choosing):
            return None
        night, kind = self.night, recipe.kind
        other = self.corpus.items if kind == "user" else self.corpus.users
        tables = table_engine(night.run.engine)
        return tables.asked(
            recipe, night.place(f"{kind}s"), other, night.place("splits"), night.run.refresh, self._bags()
        )

    def texts(self, recipe: Recipe) -> dict[str, str]:
        """What the recipe's answers say in their main field, by subject id, as far as there are answers."""
        rows = (row for row in self.read(recipe).rows if isinstance(row, ProfileRow))
        return {row.id: row.text for row in rows if row.field == recipe.main_field()}

    def waves(self, recipe: Recipe, shard: int = 0, shards: int = 1) -> Iterator[Subjects]:
        """The recipe's subjects, all at once; over partitions one of each user at a time, the next after its answer."""
        texts: dict[str, str] = {}
        for name in recipe.needs:
            texts |= self.texts(self.recipe(name))
        if not recipe.partitioned:
            yield partial(self.about, recipe, texts)
            return
        mine = (subject for subject in self.about(recipe, texts) if in_shard(sha256(subject.id), shard, shards))
        for wave in self._cascade(recipe, mine).waves(partial(self._said, recipe)):
            yield partial(iter, wave)

    def questions(self, recipe: Recipe) -> Iterator[Question]:
        """All questions that can be asked by now."""
        engine = self.engine(recipe)
        return chain.from_iterable(questions(recipe, subjects(), engine) for subjects in self.waves(recipe))

    def ask(self, recipe: Recipe, shard: int = 0, shards: int = 1) -> Calls:
        """Have the recipe's questions answered, or those of one shard, and keep a log of the run."""
        night, llm, engine = self.night, self.llm(recipe), self.engine(recipe)
        total = self.corpus.num_users if recipe.kind == "user" else self.corpus.num_items
        whole = total if shards == 1 and not recipe.partitioned else None
        tracked = night.progress.track(f"ask {recipe.name}", whole)
        logged = run_log(night, recipe.name, recipe.kind, shard, engine.name, engine.model)
        with tracked as advance, logged as log:
            shown = 0

            def progress(calls: Calls) -> None:
                nonlocal shown
                log.tick()
                advance(calls.done - shown, self._note(log))
                shown = calls.done

            for subjects in self.waves(recipe, shard, shards):
                again = partial(_questions, recipe, subjects, engine, shard, shards)
                if llm.mode == "batch":
                    answer_batches(again, engine, self.ledger, llm, log.counts, progress)
                else:
                    answer_all(again(), engine, self.ledger, llm, log.counts, progress)
        return log.counts

    def read(self, recipe: Recipe) -> Generation:
        """What the answers to all of a recipe's subjects come to; nothing is asked."""
        read = Generation()
        for subjects in self.waves(recipe):
            read.add(read_all(recipe, subjects(), self.engine(recipe), self.ledger))
        return read

    def closed(self, recipe: Recipe) -> dict[str, list[Closed]]:
        """The partitions that the latest night before this one has published, by user."""
        before = self.published_partitions(recipe).sort("user_id", "part")
        closed: dict[str, list[Closed]] = {}
        for row in before.iter_rows(named=True):
            texts = dict(zip(row["fields"], row["texts"], strict=True))
            closed.setdefault(row["user_id"], []).append(Closed(row["part"], tuple(row["item_ids"]), texts))
        return closed

    def published_partitions(self, recipe: Recipe) -> pl.DataFrame:
        """Last night's rows of the table `partitions` that this version of the recipe has written."""
        rows = last_published(self.night, "partitions")
        return rows.filter((pl.col("recipe") == recipe.name) & (pl.col("version") == recipe.version))

    def _bags(self) -> dict[str, Bag]:
        """The words of every item, where the rule of refresh asks for them."""
        if self._words is None:
            self._words = bags_of_words(self.corpus.items) if self.night.run.refresh.drift is not None else {}
        return self._words

    def _cascade(self, recipe: Recipe, users: Iterable[Subject], assumed: Mapping[str, str] | None = None) -> Cascade:
        return Cascade(users, self.closed(recipe), recipe.max_items, assumed)

    def _said(self, recipe: Recipe, subjects: Sequence[Subject]) -> tuple[list[Row], list[Reject]]:
        """What answers came to; one that cannot be read and may still get a follow-up is none yet."""
        read = read_all(recipe, subjects, self.engine(recipe), self.ledger)
        settled = self.ledger.settled(reject.key for reject in read.rejects if reject.key)
        final = (not reject.key or reject.key in settled for reject in read.rejects)
        told = zip(read.rejects, final, strict=True)
        return read.rows, [reject if done else replace(reject, reason="not_asked") for reject, done in told]

    def _note(self, log: RunLog) -> str:
        """What is said beside the bar: rate, rejects, tokens, and the night's spending against its cap."""
        calls, cap, totals = log.counts, self.night.run.llm.max_cost_usd, self.ledger.totals()
        rate = calls.asked / max(log.seconds, 1e-3)
        words = [f"{calls.cached:,} cached", f"{calls.rejected + calls.failed:,} rejected", f"{rate:.1f}/s"]
        words += [f"{calls.in_flight} in flight"] if calls.in_flight else []
        words += [f"{calls.input_tokens + calls.output_tokens:,} tokens"]
        spent = totals.spent_usd + totals.possible_usd
        words += [f"${spent:.4f}" + (f" of ${cap:.2f}" if cap is not None else "")] if spent or cap else []
        return ", ".join(words)


@contextmanager
def open_desk(night: Night) -> Iterator[Desk]:
    """Tonight's recipes, their engines and the ledger, which is closed again."""
    corpus, run = night.corpus(), night.run
    recipes = make_recipes(run.recipes, corpus, run.llm.redact)
    made: list[tuple[Llm, ChatEngine]] = []
    engines = {recipe.name: _engine(run.llm_of(recipe.name), made) for recipe in recipes}
    with Ledger(night.ledger, night.ds) as ledger:
        yield Desk(night, corpus, recipes, engines, ledger)


def _engine(llm: Llm, made: list[tuple[Llm, ChatEngine]]) -> ChatEngine:
    """Recipes with equal settings share an engine."""
    for known, engine in made:
        if known == llm:
            return engine
    made.append((llm, make_engine(llm)))
    return made[-1][1]


def _questions(recipe: Recipe, subjects: Subjects, engine: ChatEngine, shard: int, shards: int) -> Iterator[Question]:
    return questions(recipe, subjects(), engine, shard, shards)
