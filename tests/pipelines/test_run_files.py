"""Which run files Airflow runs, and what is said of those that are wrong."""

from pathlib import Path

import pytest

from pipelines.run_files import find_runs

HEAD = 'lake = "lake"\n[data]\npath = "."\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "one.toml").write_text(f'name = "one"\n{HEAD}[airflow]\n')
    (tmp_path / "deep" / "two.toml").write_text(f'name = "two"\n{HEAD}[airflow]\nretries = 0\n')
    (tmp_path / "other.toml").write_text(f'name = "other"\n{HEAD}')
    return tmp_path


def test_of_a_folder_those_with_an_airflow_section_are_taken(folder: Path) -> None:
    runs, errors = find_runs(str(folder), Path("/"))
    assert [run.name for run in runs] == ["two", "one"]
    assert errors == []


def test_a_file_that_is_named_needs_no_section_and_counts_once(folder: Path) -> None:
    runs, errors = find_runs("other.toml:one.toml:other.toml:.", folder)
    assert [run.name for run in runs] == ["other", "one", "two"]
    assert errors == []


def test_what_is_wrong_is_said_and_the_others_are_there(folder: Path) -> None:
    (folder / "again.toml").write_text(f'name = "two"\n{HEAD}[airflow]\n')
    (folder / "torn.toml").write_text("name = ")
    (folder / "typo.toml").write_text(f'name = "typo"\n{HEAD}[airflow]\nretrys = 1\n')
    runs, errors = find_runs(f"{folder}:missing.toml", folder)
    assert [run.name for run in runs] == ["two", "one"]
    said = "\n".join(map(str, errors))
    assert f"{folder}/deep/two.toml: name: 'two' is the name of {folder}/again.toml already" in said
    assert f"{folder}/torn.toml: not a TOML file" in said
    assert f"{folder}/typo.toml: airflow: retrys: unknown, did you mean retries?" in said
    assert f"{folder}/missing.toml: no such run file" in said
    assert len(errors) == 4
