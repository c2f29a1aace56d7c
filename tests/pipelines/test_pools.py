"""Pools: one per endpoint over all runs, as small as the most careful of them wants it."""

from pathlib import Path

import pytest

from pipelines.pools import TRAINING, pool_of, pools
from schemas.run import Run, load_run
from schemas.sections import Llm

RECIPES = '[[recipes]]\nname = "rlmrec.item"\n[[recipes]]\nname = "rlmrec.user"\nllm = {{ {own} }}\n'


def run_of(folder: Path, name: str, airflow: str, own: str = "") -> Run:
    llm = 'engine = "openai"\nbase_url = "http://127.0.0.1:8000/v1"\nshards = 8\n'
    text = (
        f'name = "{name}"\nlake = "l"\n[data]\npath = "."\n[airflow]\n{airflow}\n[llm]\n{llm}{RECIPES.format(own=own)}'
    )
    (folder / f"{name}.toml").write_text(text)
    return load_run(folder / f"{name}.toml")


@pytest.mark.parametrize(
    ("llm", "name"),
    [
        (Llm(), "llm_offline"),
        (Llm(engine="openai"), "llm_api_openai_com"),
        (Llm(engine="openai", base_url="https://key:secret@LLM.example:8443/v1"), "llm_llm_example_8443"),
        (Llm(engine="hf", model="/models/big"), "llm_hf"),
    ],
)
def test_a_pool_is_named_after_its_endpoint_and_holds_no_secret(llm: Llm, name: str) -> None:
    assert pool_of(llm) == name


def test_runs_that_share_an_endpoint_share_a_pool_of_the_smaller_size(tmp_path: Path) -> None:
    careful, eager = run_of(tmp_path, "careful", "pool_slots = 3"), run_of(tmp_path, "eager", "")
    made = pools([eager, careful])
    assert {name: pool["slots"] for name, pool in made.items()} == {TRAINING: 1, "llm_127_0_0_1_8000": 3}
    assert not any(pool["include_deferred"] for pool in made.values()), "a batch that waits takes no slot"


def test_a_recipe_with_an_endpoint_of_its_own_has_a_pool_of_its_own(tmp_path: Path) -> None:
    made = pools([run_of(tmp_path, "two", "", 'base_url = "http://other:1/v1"')])
    assert {name: pool["slots"] for name, pool in made.items()} == {
        TRAINING: 1,
        "llm_127_0_0_1_8000": 8,
        "llm_other_1": 8,
    }
