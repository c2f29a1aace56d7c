"""The locks follow from pyproject.toml and constraints.txt, and have a hash for every package."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from infra.release.locks import FOLDER, LOCKS, ROOT, build_requirements, is_fresh, normal, project, read_lock
from schemas.errors import ConfigError

PINS = {name: read_lock(FOLDER / f"{name}.txt") for name in LOCKS}
CONSTRAINTS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
CONSTRAINTS = {normal(name): version for name, version in CONSTRAINTS.items()}
# Kept out of constraints.txt: what came with CUDA, what only other systems and Pythons need, and what builds.
ELSEWHERE = re.compile(
    r"nvidia-.*|cuda-.*|triton|setuptools|tomlkit|pyyaml-ft|colorama|async-timeout|httpx2-jsfetch|werkzeug"
)


def direct(extras: tuple[str, ...]) -> list[Requirement]:
    """Every requirement of some extras, through those that they name."""
    table, wanted, found = project()["project"]["optional-dependencies"], list(extras), list[Requirement]()
    seen = set[str]()
    while wanted:
        extra = wanted.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for each in map(Requirement, table[extra]):
            if each.name == "loregraph":
                wanted += each.extras
            else:
                found.append(each)
    return [*found, *map(Requirement, project()["project"]["dependencies"])]


@pytest.mark.parametrize("name", [name for name in LOCKS if name != "build"])
def test_every_direct_dependency_is_locked_as_pyproject_allows(name: str) -> None:
    for requirement in direct(LOCKS[name]):
        assert requirement.specifier.contains(PINS[name][normal(requirement.name)].version), requirement


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_has_hashes_and_the_version_that_was_tested(name: str) -> None:
    for package, pin in PINS[name].items():
        assert pin.hashes, package
        if package in CONSTRAINTS:
            assert pin.version == CONSTRAINTS[package], package
        else:
            assert ELSEWHERE.fullmatch(package), f"{package} is not in constraints.txt"


def test_what_is_installed_together_is_locked_together() -> None:
    """Names that a locked package requires here are locked too, whatever the index says today."""
    for package in PINS["all"]:
        try:
            required = metadata.requires(package) or []
        except metadata.PackageNotFoundError:
            continue  # of another system
        for each in map(Requirement, required):
            if each.marker is None or each.marker.evaluate({"extra": ""}):
                assert normal(each.name) in PINS["all"], f"{package} requires {each.name}"


def test_locks_agree_on_what_they_share() -> None:
    for name in ("build", "night"):
        for package in PINS[name].keys() & PINS["all"].keys():
            assert PINS[name][package].version == PINS["all"][package].version, package
            assert PINS[name][package].hashes == PINS["all"][package].hashes, package
    assert {Requirement(each).name for each in build_requirements()} <= set(PINS["build"])


@pytest.mark.parametrize("name", LOCKS)
def test_no_index_and_no_path_stands_in_a_lock(name: str) -> None:
    text = (FOLDER / f"{name}.txt").read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text


def test_a_line_that_is_no_pin_is_named(tmp_path: Path) -> None:
    file = tmp_path / "lock.txt"
    file.write_text("# made\nnumpy>=2\n")
    with pytest.raises(ConfigError, match=r"lock.txt:2: expected NAME==VERSION or --hash=sha256:..., found 'numpy>=2'"):
        read_lock(file)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_is_what_the_index_gives_today(name: str) -> None:
    try:
        assert is_fresh(name), "run `python -m infra.release.locks`"
    except ConfigError as error:
        if "Failed to fetch" not in str(error):
            raise
        pytest.skip("the package index does not answer")
