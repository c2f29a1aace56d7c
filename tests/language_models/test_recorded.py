"""The recorded engine: the right model's texts under the recipe's field names, and clear errors for a wrong file."""

import json

import polars as pl
import pytest

from language_models.engines import make_engine
from schemas.errors import ConfigError, DataError
from schemas.sections import Llm
from tests.support.prompts import make_prompt

ROWS = {
    "kind": ["item", "item", "item", "user"],
    "id": ["1", "2", "2", "1"],
    "field": ["description", "description", "aside", "interests"],
    "text": ["For children.", "For cooks.", "x", "Trains."],
    "model": ["gpt", "gpt", "gpt", "gpt"],
}


def engine(tmp_path, rows=ROWS, name="answers.parquet", **changes):
    pl.DataFrame(rows).write_parquet(tmp_path / name)
    base = {"engine": "recorded", "answers": str(tmp_path / name), "fields": {"description": "summarization"}}
    return make_engine(Llm(**base | changes))


def ask(engine, *ids):
    return list(engine.answer(make_prompt(id) for id in ids))


def test_a_recorded_text_becomes_the_recipes_field(tmp_path):
    first, second = ask(engine(tmp_path), "1", "2")
    assert json.loads(first.text) == {"summarization": "For children."}
    assert json.loads(second.text) == {"summarization": "For cooks."}, "fields that the recipe has not are left out"
    assert (first.model, first.cost_usd, first.input_tokens, first.finish_reason) == ("gpt", 0.0, 0, "stop")


def test_what_was_not_recorded_is_missing(tmp_path):
    [completion] = ask(engine(tmp_path), "99")
    assert (completion.finish_reason, completion.text) == ("missing", "")


def test_keys_follow_the_file_and_whom_it_is_about(tmp_path):
    one, other = make_prompt("1", "{}"), make_prompt("2", "{}")
    here = engine(tmp_path)
    assert here.key(one) != here.key(other), "equal texts about two items are two recordings"
    assert here.key(one) == engine(tmp_path, name="copy.parquet").key(one), "the content counts, not the path"
    changed = engine(tmp_path, ROWS | {"text": ["For all.", "For cooks.", "x", "Trains."]}, "new.parquet")
    assert here.key(one) != changed.key(one)


def test_of_several_models_one_must_be_named(tmp_path):
    rows = ROWS | {"model": ["gpt", "qwen", "qwen", "gpt"]}
    with pytest.raises(ConfigError, match=r"llm\.model: expected one of gpt, qwen, found offline"):
        engine(tmp_path, rows)
    one, two = ask(engine(tmp_path, rows, model="qwen"), "1", "2")
    assert (one.finish_reason, two.model) == ("missing", "qwen")
    with pytest.raises(ConfigError, match="expected one of gpt, found other"):
        engine(tmp_path, model="other")


def test_a_field_that_fits_nothing_is_an_error_and_not_a_silent_reject(tmp_path):
    with pytest.raises(ConfigError, match=r"recorded fields \['description'\].*summarization.*llm\.fields"):
        ask(engine(tmp_path, fields={}), "1")


def test_no_file_no_parquet_no_columns_and_no_setting(tmp_path):
    with pytest.raises(DataError, match="no such file of recorded answers"):
        make_engine(Llm(engine="recorded", answers=str(tmp_path / "none.parquet")))
    (tmp_path / "text.parquet").write_text("kind,id")
    with pytest.raises(DataError, match="expected a Parquet file"):
        make_engine(Llm(engine="recorded", answers=str(tmp_path / "text.parquet")))
    with pytest.raises(DataError, match="field, text missing"):
        engine(tmp_path, {"kind": ["item"], "id": ["1"], "model": ["m"]})
    with pytest.raises(ConfigError, match=r"llm\.answers: missing"):
        make_engine(Llm(engine="recorded"))


def test_two_texts_for_one_field_are_named(tmp_path):
    rows = {name: [*values, values[0]] for name, values in ROWS.items()}
    with pytest.raises(DataError, match="item 1: expected one text for description, found several"):
        engine(tmp_path, rows)


def test_numbers_as_ids_are_read_as_texts(tmp_path):
    rows = {"kind": ["item"], "id": [7], "field": ["description"], "text": ["Seven."], "model": ["m"]}
    [completion] = ask(engine(tmp_path, rows), "7")
    assert json.loads(completion.text) == {"summarization": "Seven."}
