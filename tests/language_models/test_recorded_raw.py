"""Answers recorded as they came: whole texts, in versions, about users or items; and what is wrong with a file."""

import polars as pl
import pytest

from language_models.engines import make_engine
from schemas.errors import ConfigError, DataError
from schemas.sections import Llm
from tests.support.prompts import make_prompt

RAW = {
    "item_id": ["1", "1", "2"],
    "version": ["v2", "v1", "v1"],
    "raw": ['{"summarization": "Later."}', "Sure! {...}", '{"summarization": "Only."}'],
}


def engine(tmp_path, rows=RAW, **changes):
    pl.DataFrame(rows).write_parquet(tmp_path / "raw.parquet")
    return make_engine(Llm(engine="recorded", answers=str(tmp_path / "raw.parquet"), **changes))


def ask(engine, *ids):
    return list(engine.answer(make_prompt(id) for id in ids))


def test_a_version_is_given_as_it_came(tmp_path):
    first, second = ask(engine(tmp_path, model="v1"), "1", "2")
    assert (first.text, first.model, first.finish_reason) == ("Sure! {...}", "v1", "stop")
    assert second.text == '{"summarization": "Only."}'


def test_without_a_name_all_versions_stand_one_below_the_other(tmp_path):
    merged = engine(tmp_path)
    first, second = ask(merged, "1", "2")
    assert first.text == 'Sure! {...}\n{"summarization": "Later."}', "in the order of their names"
    assert second.text == '{"summarization": "Only."}'
    assert merged.model == "v1+v2"


def test_versions_have_keys_of_their_own(tmp_path):
    prompt = make_prompt("1")
    keys = {engine(tmp_path, **named).key(prompt) for named in ({}, {"model": "v1"}, {"model": "v2"})}
    assert len(keys) == 3


def test_a_version_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"raw\.parquet: llm\.model: expected one of v1, v2, found v3"):
        engine(tmp_path, model="v3")


def test_what_was_not_recorded_or_is_empty_is_missing(tmp_path):
    rows = {"item_id": ["1", "2"], "raw": [None, ""]}
    assert [answer.finish_reason for answer in ask(engine(tmp_path, rows), "1", "2", "3")] == ["missing"] * 3


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ({"kind": ["item"], "id": ["7"], "raw": ["a"]}, "a"),
        ({"item_id": [7], "raw": ["a"]}, "a"),
        ({"item_id": ["7"], "raw": ["a"], "model": ["gpt"], "version": ["v1"]}, "a"),
        ({"item_id": ["7", "7"], "raw": ["a", "b"], "version": [None, "z"]}, "a\nb"),
        ({"item_id": ["7", "7"], "raw": ["a", "b"], "version": [1, 2]}, "a\nb"),
        ({"item_id": ["7"], "raw": ["a"], "text": ["something else"]}, "a"),
        ({"user_id": ["7"], "raw": ["a"]}, ""),  # about a user, and an item is asked about
    ],
)
def test_columns_say_whom_it_is_about(tmp_path, rows, text):
    [answer] = ask(engine(tmp_path, rows), "7")
    assert answer.text == text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"raw": ["a"]}, r"raw\.parquet: expected columns .*; kind, id missing"),
        ({"kind": ["item"], "raw": ["a"]}, "id missing"),
        (
            {"item_id": ["7", "7"], "raw": ["a", "b"], "version": ["v1", "v1"]},
            "item 7: expected one text for a version",
        ),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        engine(tmp_path, rows, model="v1" if "version" in rows else "offline")


@pytest.mark.parametrize("columns", [["user_id", "raw"], ["kind", "id", "field", "text", "model"]])
def test_an_empty_file_is_no_recording(tmp_path, columns):
    with pytest.raises(ConfigError, match="expected one of none"):
        engine(tmp_path, {name: pl.Series([], dtype=pl.String) for name in columns})
