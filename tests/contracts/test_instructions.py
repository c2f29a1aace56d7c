"""Every builder of instructions: registered, documented, repeatable, from train alone, whole rows of the table."""

import importlib
import inspect
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import features.instructions
from features.instructions import INSTRUCTIONS, KEYS, Builder, base
from features.instructions.base import OneByOne
from features.instructions.next_items import NextItem
from graph_models.options import check_options, known_options
from schemas.errors import ConfigError
from schemas.tables import conform
from tests.support.instruction_world import HELD_OUT, USERS, built, corpus, sources

CATALOGUE_TASKS = ("title_to_codes", "codes_to_title")  # which no interaction is part of


def texts(rows: pl.DataFrame) -> pl.Series:
    said = rows.select(pl.col("messages").list.eval(pl.element().struct.field("content")).list.join("\n"))
    return said["messages"]


def test_the_registry_holds_every_file_of_its_folder() -> None:
    found: set[type] = set()
    for file in Path(features.instructions.__file__).parent.glob("*.py"):
        module = importlib.import_module(f"features.instructions.{file.stem}")
        found |= {each for each in vars(module).values() if inspect.isclass(each) and issubclass(each, Builder)}
    assert found - {Builder, OneByOne, NextItem} == set(INSTRUCTIONS.values())


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_documented_and_every_option_has_a_default(name) -> None:
    each = INSTRUCTIONS[name]
    assert "arXiv" in each.source
    assert each.__doc__
    assert set(each.needs) | set(each.reads) <= set(KEYS)
    parameters = inspect.signature(each.__init__).parameters
    defaults = {option: parameters[option].default for option in known_options(each)}
    assert inspect.Parameter.empty not in defaults.values()
    check_options(each, defaults, name)
    with pytest.raises(ConfigError, match="liked_abve: unknown, did you mean liked_above"):
        check_options(each, {"liked_abve": 3.0}, name)


@pytest.mark.parametrize("ratings", [False, True])
@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_rows_are_made_from_train_alone(name, ratings) -> None:
    made = sources(ratings)
    rows = built(name, made, **({"liked_above": 3.0} if ratings else {}))
    assert rows.height >= USERS
    known = corpus().train
    pairs = {(f"u{user}", made.corpus.items["id"][item]) for user, item in known.edges.T.tolist()}
    shown = rows.select("user_id", "source_ids").explode("source_ids").drop_nulls()
    assert shown.height > 0
    assert set(shown.rows()) <= pairs
    interactions = rows.filter(~pl.col("task").is_in(CATALOGUE_TASKS))
    for word in HELD_OUT:
        assert not texts(interactions).str.contains(word).any()
    positive = interactions.filter(pl.col("item_id").is_not_null() & (pl.col("label").fill_null(1.0) == 1.0))
    assert set(positive.select("user_id", "item_id").rows()) <= pairs
    if name in ("tallrec", "rella", "instructrec"):
        assert set(rows["label"].drop_nulls().unique()) == {0.0, 1.0}


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_the_held_out_part_decides_nothing(name) -> None:
    other = sources()
    part = other.corpus.part.copy()
    part[part == 1] = 3  # nobody knows of what was validation
    rows, without = built(name, other), built(name, replace(other, corpus=replace(other.corpus, part=part)))
    assert rows.equals(without)


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_a_row_is_a_question_and_an_answer_of_the_table(name) -> None:
    rows = built(name, sources()).with_columns(pl.lit("n").alias("name"), pl.lit(name).alias("builder"))
    rows = conform("instructions", rows)
    assert rows["row"].to_list() == list(range(rows.height))
    for messages in rows["messages"].to_list():
        assert [each["role"] for each in messages] == ["system", "user", "assistant"]
        assert all(each["content"].strip() for each in messages)
    assert (rows["rejected"].list.len() > 0).all() == (name == "s_dpo")
    asked = rows.filter(pl.col("label").is_not_null())
    answers = asked["messages"].list.last().struct.field("content")
    assert answers.to_list() == ["Yes" if label else "No" for label in asked["label"].to_list()]
    assert rows["user_id"].is_null().any() == (name == "lc_rec")
    users = texts(rows)
    assert not any(id in text for text in users.to_list() for id in ("i0", "u0", "item <"))


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_the_same_seed_gives_the_same_rows_whatever_the_blocks(name, monkeypatch) -> None:
    rows = built(name, sources())
    monkeypatch.setattr(base, "ROWS_AT_ONCE", 7)
    assert rows.equals(built(name, sources()))
    assert not rows.equals(built(name, sources(), seed=2)) or name == "bigrec"  # which draws nothing


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_some_examples_are_some_of_all_and_evenly_over_tasks(name) -> None:
    every, some = built(name, sources()), built(name, sources(), examples=24)
    assert 12 < some.height <= 24
    keys = ["prompt_hash", "user_id", "item_id"]
    assert some.join(every, on=keys, how="anti", nulls_equal=True).is_empty()
