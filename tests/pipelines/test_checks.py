"""Every run file of the repository names what there is."""

from pathlib import Path

import pytest

from features.recipes import RECIPES
from graph_models.objectives import OBJECTIVES
from pipelines.checks import check_run
from schemas.run import load_run

FILES = sorted(Path("infra/runs").rglob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_run_file_of_the_repository_is_right(file: Path) -> None:
    check_run(load_run(file))


def test_the_sample_runs_every_recipe_and_every_objective() -> None:
    run = load_run(Path("infra/runs/recipes/sample.toml"))
    assert {recipe.name for recipe in run.recipes} == set(RECIPES)
    assert {objective.name for model in run.models for objective in model.objectives} == set(OBJECTIVES)
