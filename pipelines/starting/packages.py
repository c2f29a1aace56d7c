"""Python and the installed packages against what the project asks for, extra by extra."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from pipelines.starting.check import Check

DISTRIBUTION = "loregraph"
PYTHON = (3, 11)
NIGHT = ("graph", "text", "minilm", "llm", "gates", "report")  # what a night needs, as the extra `night` has them
NOT_USED = ("dev", "all", "night")  # extras that are lists of others, or for those who change the code
REQUIREMENT = re.compile(r"^(?P<name>[\w.-]+)(?:\[[\w,.-]+\])?\s*\(?(?P<versions>[^;)]*)\)?(?:;(?P<marker>.*))?$")
EXTRA = re.compile(r"extra\s*==\s*['\"]([\w.-]+)['\"]")


@dataclass(frozen=True)
class Requirement:
    """A package and the versions that will do, such as `>=2.3,<3`; `extra` is None where it is always needed."""

    name: str
    versions: str
    extra: str | None


def requirements() -> list[Requirement]:
    """Of this project: as its checkout says, which may be newer than what was installed, else as it is installed."""
    try:
        lines = _in_checkout() or metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return []
    return [found for line in lines if (found := _requirement(line)) is not None]


def _in_checkout() -> list[str]:
    file = Path(__file__).parents[2] / "pyproject.toml"
    if not file.is_file():
        return []
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    optional = project.get("optional-dependencies", {}).items()
    return [*project["dependencies"], *(f"{line}; extra == '{name}'" for name, lines in optional for line in lines)]


def check_python() -> Check:
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < PYTHON:
        wanted = ".".join(str(part) for part in PYTHON)
        return Check("python", "fail", f"{found} at {sys.executable}", f"install Python {wanted} or newer")
    return Check("python", "ok", f"{found} at {sys.executable}")


def check_packages(asked: Iterable[Requirement], needed: Iterable[str] | None) -> list[Check]:
    """A check of what is always needed, one of every extra that is needed, and one of the others together.

    `needed`: extras without which the run cannot run; None: no run is known, and those of a night are worth a warning.
    """
    asked = list(asked)
    if not asked:
        return [Check("packages", "warn", "loregraph is not installed as a package", "run: pip install -e '.[night]'")]
    extras = {each.extra for each in asked if each.extra and each.extra not in NOT_USED}
    wanted = [extra for extra in sorted(extras) if extra in (NIGHT if needed is None else set(needed))]
    checks = [_check("packages", [each for each in asked if each.extra is None], "fail", DISTRIBUTION)]
    state = "warn" if needed is None else "fail"
    for extra in wanted:
        mine = [each for each in asked if each.extra == extra]
        checks.append(_check(f"extra {extra}", mine, state, f"'{DISTRIBUTION}[{extra}]'"))
    return [*checks, _others(asked, sorted(extras.difference(wanted)))]


def _check(name: str, asked: list[Requirement], state: str, install: str) -> Check:
    wrong = [problem for each in asked if (problem := _problem(each)) is not None]
    if not wrong:
        return Check(name, "ok", ", ".join(f"{each.name} {_version(each.name)}" for each in asked))
    return Check(name, "fail" if state == "fail" else "warn", "; ".join(wrong), f"run: pip install {install}")


def _others(asked: list[Requirement], extras: list[str]) -> Check:
    there = [extra for extra in extras if all(_problem(each) is None for each in asked if each.extra == extra)]
    absent = [extra for extra in extras if extra not in there]
    said = [f"installed: {', '.join(there)}"] if there else []
    said += [f"not installed: {', '.join(absent)} (only for those who use them)"] if absent else []
    return Check("other extras", "ok", "; ".join(said) or "none")


def _problem(asked: Requirement) -> str | None:
    version = _version(asked.name)
    if version is None:
        return f"{asked.name}: not installed"
    if not satisfies(version, asked.versions):
        return f"{asked.name}: expected {asked.versions}, found {version}"
    return None


def satisfies(version: str, wanted: str) -> bool:
    """Whether a version fulfils such conditions as `>=2.3,<3` and `==1.0.*`; numbers alone are compared."""
    return all(_satisfies(version, condition.strip()) for condition in wanted.split(",") if condition.strip())


def _satisfies(version: str, condition: str) -> bool:
    match = re.match(r"(==|>=|<=|!=|~=|<|>)\s*([\w.*+!-]+)", condition)
    if match is None:
        return True
    sign, wanted = match.groups()
    size = max(len(numbers(version)), len(numbers(wanted)))
    if sign == "==" and wanted.endswith(".*"):
        size = len(numbers(wanted))
    mine, other = ((numbers(each) + (0,) * size)[:size] for each in (version, wanted))
    return {"==": mine == other, ">=": mine >= other, "<=": mine <= other, "!=": mine != other, "<": mine < other}.get(
        sign, mine > other if sign == ">" else mine >= other
    )


def numbers(version: str) -> tuple[int, ...]:
    """The release numbers of a version: `2.13.0+cpu` and `2.13.0rc1` are (2, 13, 0)."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _requirement(line: str) -> Requirement | None:
    match = REQUIREMENT.match(line.strip())
    if match is None or match["name"] == DISTRIBUTION:
        return None
    extra = EXTRA.search(match["marker"] or "")
    return Requirement(match["name"], match["versions"].strip(), extra[1] if extra else None)
