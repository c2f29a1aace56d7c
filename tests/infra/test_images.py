"""The Dockerfile: linted, and what it promises of users, sources, extras and its context."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from infra.docker.context import context_files, ignored, read_rules
from infra.docker.dockerfile import chain, needed, read_stages
from infra.docker.rehearse import DOCKERFILE, TRIALS
from infra.release.locks import LOCKS
from schemas.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
STAGES = read_stages(DOCKERFILE)
TARGETS = ("loregraph", "airflow", "spark")


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not installed")
    done = subprocess.run([str(hadolint), str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_the_user_that_owns_nothing(target: str) -> None:
    user = next(step for stage in reversed(chain(STAGES, target)) if (step := stage.last("USER")))
    assert user.text == "10001:10001"


@pytest.mark.parametrize("target", TARGETS)
def test_no_tool_that_builds_reaches_an_image(target: str) -> None:
    layers = [stage.name for stage in chain(STAGES, target)]
    assert layers[0] == "runtime"
    assert not {"build", "loregraph-venv", "airflow-venv"} & set(layers)
    runs = " ".join(step.text for name in layers for step in STAGES[name].steps if step.word == "RUN")
    assert "pip" not in runs
    assert "gcc" not in runs


def test_every_image_below_is_named_by_a_full_version() -> None:
    bases = {stage.base for stage in STAGES.values()} - set(STAGES)
    assert bases
    for base in bases:
        name, _, tag = base.partition(":")
        assert name == "python"
        assert tag.count(".") == 2, base


def test_every_source_of_a_copy_is_in_the_context_or_in_the_stage_that_is_named() -> None:
    files = context_files(ROOT)
    for stage in STAGES.values():
        for step in (each for each in stage.steps if each.word == "COPY"):
            if "from" in step.flags:
                assert step.flags["from"] in STAGES
                continue
            for source in step.arguments[:-1]:
                assert any(file == source or file.startswith(f"{source}/") for file in files), step


def test_the_wheel_is_built_from_every_package_that_it_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    copied = {source for step in STAGES["build"].steps if step.word == "COPY" for source in step.arguments[:-1]}
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= copied


def test_locks_and_versions_of_the_images_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [step.text for stage in STAGES.values() for step in stage.steps if step.word == "ARG"]
    assert named == ["LOCK=night", "LOCK=all"]
    for lock in LOCKS.values():
        assert set(lock) <= set(project["optional-dependencies"])
    assert f'version="{project["version"]}"' in DOCKERFILE.read_text()


def test_every_installation_asks_for_hashes_or_takes_our_own_wheel() -> None:
    runs = [step.text for stage in STAGES.values() for step in stage.steps if step.word == "RUN"]
    installs = [part for run in runs for part in run.split("&&") if " install " in part and "pip" in part]
    assert len(installs) == 6
    for install in installs:
        assert "--require-hashes" in install or "--no-index /dist/*.whl" in install


def test_nothing_secret_or_superfluous_reaches_the_builder() -> None:
    rules = read_rules(ROOT / ".dockerignore")
    for kept_out in (".git/config", "infra/compose/.env", "infra/compose/secrets/airflow_jwt", "lake/sample/x", ".env"):
        assert ignored(kept_out, rules), kept_out
    assert ignored("pipelines/__pycache__/cli.cpython-311.pyc", rules)
    assert not ignored("pipelines/cli.py", rules)
    assert not ignored("infra/sample/items.csv", rules)


def test_a_target_needs_the_stages_that_it_copies_from() -> None:
    assert needed(STAGES, "loregraph") == ["build", "loregraph-venv", "runtime", "loregraph"]
    assert needed(STAGES, "spark") == ["build", "airflow-venv", "runtime", "airflow", "spark"]
    assert set(TRIALS) == set(TARGETS)


def test_an_instruction_that_the_rehearsal_does_not_know_is_named(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM python:3.11.14 AS one\nADD x \\\n  y\n")
    with pytest.raises(ConfigError, match=r"Dockerfile:2: ADD: not one of ARG"):
        read_stages(file)
