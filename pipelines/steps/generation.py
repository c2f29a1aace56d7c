"""Prompts become profiles and edges: `plan` prices them, `ask` pays, `publish` reads the answers and gates them.

`generate` is `ask` for every recipe in order, then `publish`. Answers live in the ledger, so every part can be killed,
repeated and sharded, and reading them again costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import polars as pl

from features.generation import Generation, check_sources
from features.measures import against_asked, against_ids, against_train
from features.planning import describe, plan_all
from features.recipes.base import Recipe
from language_models.inquiry import Counts as Calls
from language_models.ledger import Ledger
from pipelines import rows
from pipelines.calls import publish_calls
from pipelines.desk import Desk, open_desk
from pipelines.gating import gate_answers, gate_rows, with_profiles_before
from pipelines.llm_runs import llm_runs
from pipelines.night import Counts, Night, step
from pipelines.quality import judge_answers, publish_quality
from pipelines.steps.tables import publish_rejects
from schemas.expectations import edge_suite, profile_suite, quality_suite
from schemas.records import KINDS, EdgeRow, GeneratedRow
from schemas.tables import CALLS

SUSPICIOUS = 0.2  # share of liked edges that are held-out interactions; recommenders hit a few in a hundred
COUNTED = (*CALLS, "cost_usd")


@step
def plan(night: Night) -> Counts:
    """Count the questions of every recipe, how many are new and why, and what those may cost; asks nothing."""
    with open_desk(night) as desk:
        plans = plan_all(desk.recipes, desk.planned, desk.texts, desk.engine, desk.ledger, desk.llm, desk.asked)
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
    """Ask every recipe in order, read all answers, gate them and publish profiles and edges."""
    with open_desk(night) as desk:
        asked = {recipe.name: _calls(desk.ask(recipe)) for recipe in desk.recipes}
        return _publish(desk, asked)


@step
def publish(night: Night) -> Counts:
    """Read all answers, gate them and publish profiles and edges; what was asked is in the records of the shards."""
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
        asked = desk.recipe(recipe)
        keys = {desk.engine(asked).key(question.prompt) for question in desk.questions(asked)}
        before = _readable(desk.ledger, keys)
        published = _publish(desk, {each.name: _calls(Calls()) for each in desk.recipes}, reread=True)
        after = _readable(desk.ledger, keys)
    night.progress.say(f"reparse: {recipe}: {after:,} answers can be read, {before:,} could before; 0 calls")
    return {**published, "recipe": recipe, "readable_before": before, "readable": after}


def _publish(desk: Desk, asked: dict[str, Counts], reread: bool = False) -> Counts:
    """Rejects first, so that they can be read when a gate fails; then the gates; then prompts, profiles and edges.

    `reread`: texts may be others than the night before by the same answer, because the parser is another one.
    """
    night, read = desk.night, {recipe.name: desk.read(recipe) for recipe in desk.recipes}
    recipes = [_recipe_counts(recipe, read[recipe.name], asked[recipe.name], desk) for recipe in desk.recipes]
    for recipe, each in zip(desk.recipes, recipes, strict=True):
        increments = rows.increments(desk, recipe, read)
        each.update(asdict(increments))
        night.progress.say(f"{recipe.name}: {increments}; {each['asked']:,} asked")
        if each["rejected"]:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in each["reasons"].items())
            night.progress.say(f"{each['name']}: {each['profiles']:,} of {each['entities']:,} can be read ({reasons})")
    publish_rejects(night, "publish", rows.reject_rows(desk.recipes, read))
    counts = {**{name: sum(each[name] for each in recipes) for name in COUNTED}, **_money(desk), "recipes": recipes}
    if not recipes:
        return counts
    night.publish("llm_runs", llm_runs(night))
    for generation in read.values():
        check_sources(generation.lineage, desk.corpus)
    tables = _gated_tables(desk, read, reread)
    prompts = rows.prompt_rows(desk.corpus, read)
    everyone = [recipe.name for recipe in desk.recipes if not recipe.partitioned]
    gate_answers(night, {**tables, "prompts": prompts}, everyone)
    night.publish("prompts", prompts)
    for name, frame in tables.items():
        version = night.publish(name, frame)
        desk.ledger.publish(frame["key"].unique(), version)
    publish_calls(night, desk.ledger, tables, prompts)
    return counts


def _gated_tables(desk: Desk, read: dict[str, Generation], reread: bool) -> dict[str, pl.DataFrame]:
    """The tables that the recipes of the run write, by name. Raises GateError before any of them is published."""
    gates, tables = desk.night.run.gates, dict[str, pl.DataFrame]()
    if not all(recipe.gives_edges for recipe in desk.recipes):
        tables["profiles"] = rows.profile_rows(desk, read)
        measured = publish_quality(desk.night, judge_answers(desk, read, tables["profiles"]))
        asked = rows.asked_rows(desk.recipes, read)
        if asked.height or tables["profiles"].height:
            told = with_profiles_before(desk.night, rows.with_brief(tables["profiles"], desk.recipes), reread)
            judged = against_ids(against_asked(told, asked), {kind: desk.corpus.ids(kind) for kind in KINDS})
            gate_rows(desk.night, profile_suite(gates), judged)
        if measured["allowed"].count():
            gate_rows(desk.night, quality_suite(desk.night.run.quality), measured)
    if any(recipe.gives_edges for recipe in desk.recipes):
        generated = rows.generated_rows(desk, read)
        tables["generated_items"] = generated
        tables["llm_edges"] = edges = rows.edge_rows(desk, read, generated)
        _say_held_out(desk, edges)
        if edges.height:
            gate_rows(desk.night, edge_suite(), against_train(edges, rows.train_pairs(desk.corpus)))
    partitioned = [rows.partition_rows(desk, recipe, read) for recipe in desk.recipes if recipe.partitioned]
    return {**tables, "partitions": pl.concat(partitioned)} if partitioned else tables


def _say_held_out(desk: Desk, edges: pl.DataFrame) -> None:
    """Warn of edges that hit held-out interactions more often than knowledge can: those who answered had seen them."""
    held = rows.held_out_pairs(desk.corpus)
    for (recipe,), mine in edges.filter(pl.col("label") > 0).group_by("recipe", maintain_order=True):
        hits = mine.join(held, on=["user_id", "item_id"], how="semi").height
        if hits > SUSPICIOUS * mine.height:
            desk.night.progress.say(
                f"{recipe}: {hits:,} of {mine.height:,} liked edges are held-out interactions; answers from elsewhere "
                "were probably written from them: no lift of these edges counts"
            )


def _money(desk: Desk) -> Counts:
    """What this date has cost, all runs together, and who was asked."""
    money, engines = desk.ledger.totals(), list(desk.engines.values())
    return {
        "spent_usd": money.spent_usd,
        "possible_usd": money.possible_usd,
        "possible_calls": money.unknown,
        "engine": ", ".join(dict.fromkeys(engine.name for engine in engines)) or desk.night.run.llm.engine,
        "model": ", ".join(dict.fromkeys(engine.model for engine in engines)) or desk.night.run.llm.model,
    }


def _readable(ledger: Ledger, keys: Iterable[str]) -> int:
    return sum(state != "rejected" for state in ledger.settled(keys).values())


def _calls(calls: Calls) -> Counts:
    return {name: getattr(calls, name) for name in COUNTED}


def _sum(records: list[Counts]) -> Counts:
    return {name: sum(record[name] for record in records) for name in COUNTED}


def _recipe_counts(recipe: Recipe, read: Generation, asked: Counts, desk: Desk) -> dict[str, Any]:
    answered = {
        (row.user_id, 0) if isinstance(row, EdgeRow | GeneratedRow) else (row.id, row.part) for row in read.rows
    }
    subjects = len(read.lineage) + sum(not reject.key for reject in read.rejects)
    return {
        "name": recipe.name,
        "kind": recipe.kind,
        "model": desk.engine(recipe).model,
        "entities": subjects,
        "prompts": len(read.lineage),
        **asked,
        "rejected": len(read.rejects),
        "reasons": read.reasons,
        "profiles": len(answered),
        "edges": sum(isinstance(row, EdgeRow) for row in read.rows),
        "coverage": len(answered) / subjects if subjects else 1.0,  # of nobody nothing is missing
    }
