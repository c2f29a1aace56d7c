"""docs/tuned-recommenders.md tells the truth: its run file is accepted, and its defaults are those of the code."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from recommenders import RECOMMENDERS, check_model
from recommenders.tuned.base import Tuned
from recommenders.tuned.options import LanguageModelOptions, RerankerOptions
from schemas.run import load_run
from tests.support.planted import planted, save_reader

PAGE = (Path(__file__).parents[3] / "docs" / "tuned-recommenders.md").read_text(encoding="utf-8")
TUNED = {name: each for name, each in RECOMMENDERS.items() if issubclass(each, Tuned)}
OPTIONS = PAGE.split("## Options")[1].split("## Cards")[0]


def shown(row: str) -> dict[str, str]:
    """Names and defaults of one row of the table of options."""
    line = re.search(rf"^\| {row} \| (.*) \|$", OPTIONS, flags=re.MULTILINE)
    assert line, row
    return dict(re.findall(r"`(\w+)` ([\w.\[\]]+)", re.sub(r"\([^)]*\)", "", line[1])))


def defaults(options: type) -> dict[str, str]:
    whole = options()
    found = {each.name: getattr(whole, each.name) for each in fields(options)}
    return {
        name: str(value).lower() if value is None or value is True or value is False else str(value)
        for name, value in found.items()
    }


def test_the_run_file_is_accepted(tmp_path):
    save_reader(tmp_path / "models" / "Qwen3-0.6B", planted())
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "run.toml").write_text(
        f'name = "films"\nbaseline = "knn"\nlake = "lake"\n[data]\npath = "data"\n{block}', encoding="utf-8"
    )
    run = load_run(tmp_path / "run.toml")
    assert [model.name for model in run.models] == ["knn", "svd", "tallrec", "a_llmrec"]
    for model in run.models:
        check_model(model, run)


@pytest.mark.parametrize("name", TUNED)
def test_every_tuned_recommender_has_a_card_and_its_options(name):
    assert f"**`{name}`**" in PAGE
    shared = defaults(RerankerOptions if issubclass(TUNED[name].Options, RerankerOptions) else LanguageModelOptions)
    own = {key: value for key, value in defaults(TUNED[name].Options).items() if shared.get(key) != value}
    told = shown(f"`{name}`") if own else {}
    assert told == own


def test_the_shared_options_have_their_defaults():
    assert shown("all") == defaults(LanguageModelOptions)
    both = {**shown("all"), **shown("with candidates")}
    assert both == defaults(RerankerOptions)
