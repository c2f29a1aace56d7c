"""Every run file of the repository names what there is."""

from pathlib import Path

import pytest

from features.recipes import RECIPES
from graph_models.objectives import OBJECTIVES
from pipelines.checks import check_run
from schemas.run import load_run
from tests.support.planted import planted, save_reader

FILES = sorted(Path("infra/runs").rglob("*.toml"))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model for the run files that tune one, which `python -m benchmarks.rankers reader` makes elsewhere."""
    return save_reader(tmp_path_factory.mktemp("reader"), planted(), hidden=32, layers=1)


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_run_file_of_the_repository_is_right(file: Path, reader: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOREGRAPH_READER", str(reader))
    check_run(load_run(file))


def test_the_sample_runs_every_recipe_and_every_objective() -> None:
    run = load_run(Path("infra/runs/recipes/sample.toml"))
    assert {recipe.name for recipe in run.recipes} == set(RECIPES)
    assert {objective.name for model in run.models for objective in model.objectives} == set(OBJECTIVES)
