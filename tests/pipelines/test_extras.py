"""A package that is not installed is named with the extra that brings it; the sample is written whole, over nothing."""

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.extras import EXTRA_OF, missing_extra
from pipelines.sample import PARTS, write_sample
from schemas.errors import ConfigError
from schemas.run import load_run

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTION = {"sklearn": "scikit-learn", "airflow": "apache-airflow", "starlette": "fastapi"}  # where names differ


def test_every_extra_brings_what_it_is_named_for() -> None:
    for package, extra in EXTRA_OF.items():
        wanted = DISTRIBUTION.get(package, package).replace("_", "-")
        if package == "aiohttp":
            wanted = "openai[aiohttp]"
        assert any(each.startswith(wanted) for each in PROJECT["optional-dependencies"][extra]), package


def test_a_missing_package_is_named_with_its_extra() -> None:
    error = missing_extra(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"))
    assert error is not None
    assert str(error).startswith("torch: not installed; pip install 'loregraph[graph]'")
    assert error.exit_code == 2


def test_a_module_of_nobodys_stays_an_error_of_ours() -> None:
    assert missing_extra(ModuleNotFoundError("No module named 'pipelines.nought'", name="pipelines.nought")) is None


def test_the_version_is_the_projects() -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.stdout) == (0, f"loregraph {PROJECT['version']}\n")


def test_the_sample_is_as_in_the_repository_and_its_run_files_find_it(tmp_path: Path) -> None:
    assert len(write_sample(tmp_path)) == len(PARTS)
    for part in PARTS:
        assert (tmp_path / "infra" / part).read_bytes() == (ROOT / "infra" / part).read_bytes()
    run = load_run(tmp_path / "infra" / "runs" / "sample.toml")
    assert Path(run.lake) == tmp_path / "lake" / "sample"
    assert (Path(run.data.path) / "items.csv").exists()


def test_a_file_of_the_user_is_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "infra" / "runs" / "sample.toml"
    write_sample(tmp_path)
    file.write_text("mine")
    (tmp_path / "infra" / "sample" / "items.csv").unlink()
    with pytest.raises(ConfigError, match=r"sample.toml: there already, and not as the sample has it"):
        write_sample(tmp_path)
    assert file.read_text() == "mine"
    assert not (tmp_path / "infra" / "sample" / "items.csv").exists()
