"""Keys that have been renamed: the old one works, says so, and never wins over the new one."""

from pathlib import Path

import pytest

from schemas.errors import ConfigError
from schemas.renamed import RENAMED, Renamed, with_new_names
from schemas.run import Run

FILE = Path("run.toml")
MOVED = {"llm.ceiling": Renamed("llm.max_cost_usd", "0.3.0"), "where": Renamed("data.path", "0.3.0")}


def test_an_old_key_becomes_the_new_one_and_says_until_when() -> None:
    raw = {"llm": {"ceiling": 5.0, "model": "m"}}
    with pytest.warns(FutureWarning, match=r"run.toml: llm.ceiling: renamed to llm.max_cost_usd; .* version 0.3.0"):
        with_new_names(raw, FILE, MOVED)
    assert raw == {"llm": {"max_cost_usd": 5.0, "model": "m"}}


def test_a_key_may_move_into_a_section_that_is_not_there() -> None:
    raw = {"where": "books"}
    with pytest.warns(FutureWarning):
        with_new_names(raw, FILE, MOVED)
    assert raw == {"data": {"path": "books"}}


def test_both_names_at_once_are_refused() -> None:
    raw = {"llm": {"ceiling": 5.0, "max_cost_usd": 4.0}}
    with pytest.raises(ConfigError, match=r"run.toml: llm.ceiling: renamed to llm.max_cost_usd, which is there too"):
        with_new_names(raw, FILE, MOVED)


@pytest.mark.filterwarnings("error")
def test_a_file_without_old_keys_is_left_alone() -> None:
    raw = {"llm": {"model": "m"}, "data": "not a table"}
    with_new_names(raw, FILE, MOVED)
    assert raw == {"llm": {"model": "m"}, "data": "not a table"}


def test_old_names_are_no_keys_and_new_names_are() -> None:
    for old, new in RENAMED.items():
        assert old.split(".")[0] in Run.model_fields or "." not in old
        assert new.key.split(".")[0] in Run.model_fields
