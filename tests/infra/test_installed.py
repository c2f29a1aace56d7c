"""The command alone, installed from its wheel into an empty environment as pipx does it: slow, and needs an index."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from infra.docker.context import copy_context
from infra.release.build import build
from infra.release.locks import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`loregraph` in an environment with nothing but its core dependencies."""
    pytest.importorskip("uv")
    folder = tmp_path_factory.mktemp("pipx")
    copy_context(ROOT, folder / "source")
    build(folder / "source", folder / "dist", 1_800_000_000)
    wheel, python = next((folder / "dist").glob("*.whl")), folder / "venv" / "bin" / "python"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(folder / "venv")], check=True)
    install = [
        *uv,
        "pip",
        "install",
        "--python",
        str(python),
        "--constraint",
        str(ROOT / "constraints.txt"),
        str(wheel),
    ]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if "Failed to fetch" in done.stderr:
        pytest.skip("the package index does not answer")
    assert done.returncode == 0, done.stderr
    return folder / "venv" / "bin" / "loregraph"


def run(command: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(command), *words], cwd=folder, capture_output=True, text=True, check=False)


def test_nothing_heavy_was_installed(command: Path) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "list", "--python", str(command.with_name("python"))],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "loregraph" in listed
    for heavy in ("torch", "airflow", "pyspark", "great", "transformers", "pandas"):
        assert heavy not in listed


@pytest.mark.parametrize(
    "words",
    [
        ("--version",),
        ("--help",),
        ("list", "recipes"),
        ("list", "engines"),
        ("list", "encoders"),
        ("sample",),
        ("doctor",),
    ],
)
def test_it_works_alone(command: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(command, tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_a_run_file_is_written_for_ones_own_files(command: Path, tmp_path: Path) -> None:
    run(command, tmp_path, "sample")
    done = run(command, tmp_path, "init", "infra/sample", "--out", "mine.toml")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine.toml").is_file()


def test_a_table_can_be_read(command: Path, tmp_path: Path) -> None:
    pl.DataFrame({"id": ["b1", "b2"], "title": ["Emma", "Persuasion"]}).write_delta(tmp_path / "lake" / "items")
    done = run(command, tmp_path, "table", "items", "--lake", "lake")
    assert done.returncode == 0, done.stderr
    assert "Persuasion" in done.stdout
    assert "2 rows" in done.stderr


@pytest.mark.parametrize("words", [("night",), ("ingest",), ("ui",)])
def test_what_is_missing_is_named_with_its_extra(command: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    run(command, tmp_path, "sample")
    done = run(command, tmp_path, *words, "--run", "infra/runs/sample.toml")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "loregraph[" in done.stderr
