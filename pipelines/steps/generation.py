"""Prompts become profiles: `plan` prices them, `ask` pays, `publish` reads the answers and gates them.

`generate` is `ask` for every recipe in order, then `publish`. Answers live in the ledger, so every part can be killed,
repeated and sharded, and reading them again costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import polars as pl

from features.corpus import Corpus
from features.gates import check_table
from features.generation import Generation, check_sources, questions, read_all
from features.measures import against_asked
from features.planning import describe, plan_all
from features.recipes import make_recipes
from features.recipes.base import Recipe
from language_models.answering import answer_all
from language_models.batch import answer_batches
from language_models.engines import make_engine
from language_models.inquiry import Counts as Calls
from language_models.judging import Question
from language_models.ledger import Ledger
from language_models.protocols import ChatEngine
from pipelines.llm_runs import RunLog, llm_runs, run_log
from pipelines.night import Counts, Night, step
from pipelines.steps.tables import publish_rejects
from schemas.errors import ConfigError, unknown_name
from schemas.expectations import profile_suite
from schemas.records import EdgeRow, Subject, sha256
from schemas.tables import CALLS, TABLES

COUNTED = (*CALLS, "cost_usd")
NO_ANSWER = ("missing", "not_asked", "nothing_to_ask")  # nothing came that could have been read


@step
def plan(night: Night) -> Counts:
    """Count the questions of every recipe, how many are new and why, and what those may cost; asks nothing."""
    with open_desk(night) as desk:
        plans = plan_all(desk.recipes, desk.about, desk.texts, desk.engine, desk.ledger, night.run.llm)
    for each in plans:
        night.progress.say(f"plan: {describe(each)}")
    sums = ("cached", "to_ask", "input_tokens", "output_tokens", "expected_cost_usd", "max_cost_usd")
    return {**{name: sum(getattr(each, name) for each in plans) for name in sums}, "recipes": list(map(asdict, plans))}


@step
def ask(night: Night, recipe: str, shard: int = 0, shards: int = 1) -> Counts:
    """Ask what the ledger does not know of one recipe, or of one shard of it."""
    with open_desk(night) as desk:
        return _calls(desk.ask(desk.recipe(recipe), shard, shards))


@step
def generate(night: Night) -> Counts:
    """Ask every recipe in order, read all answers, gate them and publish the profiles."""
    with open_desk(night) as desk:
        asked = {recipe.name: _calls(desk.ask(recipe)) for recipe in desk.recipes}
        return _publish(desk, asked)


@step
def publish(night: Night) -> Counts:
    """Read all answers, gate them and publish the profiles; what was asked is in the records of the shards."""
    with open_desk(night) as desk:
        asked = {
            recipe.name: _sum(night.records(f"ask--{recipe.name}--*--{night.run.llm.shards}"))
            for recipe in desk.recipes
        }
        counts = _publish(desk, asked)
    night.record("generate", {**counts, "seconds": 0.0})  # the report reads it, however the answers were asked
    return counts


@step
def reparse(night: Night, recipe: str) -> Counts:
    """Read every answer of a recipe again, with the parser of today, and publish what it finds; nothing is asked."""
    with open_desk(night) as desk:
        keys = {desk.engine.key(question.prompt) for question in desk.questions(desk.recipe(recipe))}
        before = _readable(desk.ledger, keys)
        published = _publish(desk, {each.name: _calls(Calls()) for each in desk.recipes})
        after = _readable(desk.ledger, keys)
    night.progress.say(f"reparse: {recipe}: {after:,} answers can be read, {before:,} could before; 0 calls")
    return {**published, "recipe": recipe, "readable_before": before, "readable": after}


@dataclass
class Desk:
    """A night's recipes with what they need to be asked and read."""

    night: Night
    corpus: Corpus
    recipes: list[Recipe]
    engine: ChatEngine
    ledger: Ledger

    def recipe(self, name: str) -> Recipe:
        names = [recipe.name for recipe in self.recipes]
        if name not in names:
            raise ConfigError(unknown_name(f"{self.night.run.file}: recipes", name, names))
        return self.recipes[names.index(name)]

    def about(self, recipe: Recipe, texts: Mapping[str, str]) -> Iterator[Subject]:
        """The recipe's subjects, showing the texts (by id of the other side) of the recipes that it needs."""
        return self.corpus.train.subjects(recipe.kind, texts)

    def texts(self, recipe: Recipe) -> dict[str, str]:
        """What the recipe's answers say in their main field, by subject id, as far as there are answers."""
        field = recipe.main_field()
        rows = self.read(recipe).rows
        return {row.id: row.text for row in rows if not isinstance(row, EdgeRow) and row.field == field}

    def subjects(self, recipe: Recipe) -> Iterator[Subject]:
        """The recipe's subjects, with the texts of the recipes it needs as far as they are answered."""
        texts: dict[str, str] = {}
        for name in recipe.needs:
            texts |= self.texts(self.recipe(name))
        return self.about(recipe, texts)

    def questions(self, recipe: Recipe, shard: int = 0, shards: int = 1) -> Iterator[Question]:
        return questions(recipe, self.subjects(recipe), self.engine, shard, shards)

    def ask(self, recipe: Recipe, shard: int = 0, shards: int = 1) -> Calls:
        """Have the recipe's questions answered, or those of one shard, and keep a log of the run."""
        night, llm, engine = self.night, self.night.run.llm, self.engine
        total = self.corpus.num_users if recipe.kind == "user" else self.corpus.num_items
        tracked = night.progress.track(f"ask {recipe.name}", total if shards == 1 else None)
        logged = run_log(night, recipe.name, recipe.kind, shard, engine.name, engine.model)
        with tracked as advance, logged as log:
            shown = 0

            def progress(calls: Calls) -> None:
                nonlocal shown
                log.tick()
                advance(calls.done - shown, self._note(log))
                shown = calls.done

            again = partial(self.questions, recipe, shard, shards)
            if llm.mode == "batch":
                answer_batches(again, engine, self.ledger, llm, log.counts, progress)
            else:
                answer_all(again(), engine, self.ledger, llm, log.counts, progress)
        return log.counts

    def read(self, recipe: Recipe) -> Generation:
        return read_all(recipe, self.subjects(recipe), self.engine, self.ledger)

    def _note(self, log: RunLog) -> str:
        """What is said beside the bar: rate, rejects, tokens, and the night's spending against its cap."""
        calls, cap, totals = log.counts, self.night.run.llm.max_cost_usd, self.ledger.totals()
        rate = calls.asked / max(time.time() - log.began, 1e-3)
        words = [f"{calls.cached:,} cached", f"{calls.rejected + calls.failed:,} rejected", f"{rate:.1f}/s"]
        words += [f"{calls.in_flight} in flight"] if calls.in_flight else []
        words += [f"{calls.input_tokens + calls.output_tokens:,} tokens"]
        spent = totals.spent_usd + totals.possible_usd
        words += [f"${spent:.4f}" + (f" of ${cap:.2f}" if cap is not None else "")] if spent or cap else []
        return ", ".join(words)


@contextmanager
def open_desk(night: Night) -> Iterator[Desk]:
    """Tonight's recipes, the engine and the ledger, which is closed again."""
    corpus = night.corpus()
    recipes, engine = make_recipes(night.run.recipes, corpus, night.run.llm.redact), make_engine(night.run.llm)
    with Ledger(night.ledger, night.ds) as ledger:
        yield Desk(night, corpus, recipes, engine, ledger)


def _publish(desk: Desk, asked: dict[str, Counts]) -> Counts:
    """Rejects first, so that they can be read when the gate fails; then the gate; then prompts and profiles."""
    night, read = desk.night, {recipe.name: desk.read(recipe) for recipe in desk.recipes}
    recipes = [_recipe_counts(recipe, read[recipe.name], asked[recipe.name]) for recipe in desk.recipes]
    publish_rejects(night, "publish", _reject_rows(desk.recipes, read))
    totals = {name: sum(each[name] for each in recipes) for name in COUNTED}
    money = desk.ledger.totals()
    counts = {
        **totals,
        "spent_usd": money.spent_usd,  # of this date, all runs together
        "possible_usd": money.possible_usd,
        "possible_calls": money.unknown,
        "engine": desk.engine.name,
        "model": desk.engine.model,
        "recipes": recipes,
    }
    if not recipes:
        return counts
    night.publish("llm_runs", llm_runs(night))
    for generation in read.values():
        check_sources(generation.lineage, desk.corpus)
    profiles = _profile_rows(desk, read)
    gate = check_table(
        profile_suite(night.run.gates),
        against_asked(profiles, _asked_rows(desk.recipes, read)),
        night.folder / "data_docs" / "profiles",
    )
    night.record("gate-profiles", gate.to_json(relative_to=night.folder))
    gate.raise_if_failed()
    night.publish("prompts", _prompt_rows(desk, read))
    version = night.publish("profiles", profiles)
    desk.ledger.publish(profiles["key"].unique(), version)
    return counts


def _readable(ledger: Ledger, keys: Iterable[str]) -> int:
    return sum(state != "rejected" for state in ledger.settled(keys).values())


def _calls(calls: Calls) -> Counts:
    return {name: getattr(calls, name) for name in COUNTED}


def _sum(records: list[Counts]) -> Counts:
    return {name: sum(record[name] for record in records) for name in COUNTED}


def _recipe_counts(recipe: Recipe, read: Generation, asked: Counts) -> dict[str, Any]:
    profiled = {row.id for row in read.rows if not isinstance(row, EdgeRow)}
    subjects = len(read.lineage) + sum(not reject.key for reject in read.rejects)
    return {
        "name": recipe.name,
        "kind": recipe.kind,
        "entities": subjects,
        "prompts": len(read.lineage),
        **asked,
        "rejected": len(read.rejects),
        "reasons": read.reasons,
        "profiles": len(profiled),
        "coverage": len(profiled) / subjects if subjects else 0.0,
    }


def _profile_rows(desk: Desk, read: dict[str, Generation]) -> pl.DataFrame:
    rows = [
        (row.kind, row.id, row.recipe, row.field, row.text, sha256(row.text), row.key)
        for generation in read.values()
        for row in generation.rows
        if not isinstance(row, EdgeRow)
    ]
    names = ["kind", "id", "recipe", "field", "text", "text_hash", "key"]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    return frame.with_columns(model=pl.lit(desk.engine.model), split_id=pl.lit(desk.corpus.split_id))


def _asked_rows(recipes: list[Recipe], read: dict[str, Generation]) -> pl.DataFrame:
    """Everyone a recipe was to be asked about, and whether the answer could be read (null where none came).

    A user without train interactions is nobody to ask about; an item without any fact is a hole in the catalogue.
    """
    rows = []
    for recipe in recipes:
        failed = {
            reject.id: None if reject.reason in NO_ANSWER else False
            for reject in read[recipe.name].rejects
            if recipe.kind == "item" or reject.reason != "nothing_to_ask"
        }
        answered = {line.id: True for line in read[recipe.name].lineage}
        rows += [(recipe.kind, id, recipe.name, ok) for id, ok in {**answered, **failed}.items()]
    schema = {"kind": pl.String, "id": pl.String, "recipe": pl.String, "answer_ok": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _prompt_rows(desk: Desk, read: dict[str, Generation]) -> pl.DataFrame:
    """What was shown in each prompt, and the latest time behind it (null where the data has no times)."""
    lines = [asdict(line) for generation in read.values() for line in generation.lineage]
    frame = pl.DataFrame(lines, schema={**_prompt_schema()}).with_columns(split_id=pl.lit(desk.corpus.split_id))
    frame = frame.with_row_index("line")
    shown = frame.select("line", "kind", "id", pl.col("source_ids").alias("source")).explode("source").drop_nulls()
    is_user = pl.col("kind") == "user"
    pairs = shown.select(
        "line",
        user=pl.when(is_user).then("id").otherwise("source"),
        item=pl.when(is_user).then("source").otherwise("id"),
    )
    latest = pairs.join(_train_times(desk.corpus), on=["user", "item"]).group_by("line").agg(pl.col("time").max())
    return frame.join(latest, on="line", how="left", maintain_order="left").rename({"time": "max_time"}).drop("line")


def _prompt_schema() -> dict[str, Any]:
    columns = TABLES["prompts"].columns
    return {name: columns[name] for name in ("recipe", "version", "kind", "id", "key", "source_ids")}


def _train_times(corpus: Corpus) -> pl.DataFrame:
    user, item = corpus.train.edges
    time = pl.Series(corpus.train.time if corpus.timed else [None] * len(corpus.train), dtype=pl.Int64)
    return pl.DataFrame(
        {"user": corpus.ids("user").gather(user), "item": corpus.ids("item").gather(item), "time": time}
    )


def _reject_rows(recipes: list[Recipe], read: dict[str, Generation]) -> pl.DataFrame:
    rows = [
        (reject.key, recipe.kind, reject.id, reject.reason, f"{recipe.name}: {reject.detail}")
        for recipe in recipes
        for reject in read[recipe.name].rejects
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(["key", "kind", "id", "reason", "detail"], pl.String), orient="row")
