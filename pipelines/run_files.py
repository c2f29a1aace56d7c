"""Which run files Airflow runs: those that are named, and of a folder those that have an `[airflow]` section."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from pathlib import Path

from schemas.errors import ConfigError
from schemas.run import Run, load_run

DEFAULT = "infra/runs"


def find_runs(named: str, base: Path) -> tuple[list[Run], list[ConfigError]]:
    """The runs of files and folders, separated by ':' and relative to `base`; and what is wrong with the others.

    One that cannot be read takes no other down. Of two files with the same name the first one stays.
    """
    runs, errors = dict[str, Run](), list[ConfigError]()
    for file in dict.fromkeys(_files(named or DEFAULT, base)):
        try:
            run = _scheduled(file)
            if run is not None:
                _refuse_second(run, runs)
                runs[run.name] = run
        except ConfigError as error:
            errors.append(error)
    return list(runs.values()), errors


def _files(named: str, base: Path) -> Iterable[tuple[Path, bool]]:
    """Run files in order, each with whether it was named itself."""
    for each in filter(None, named.split(os.pathsep)):
        place = (base / Path(each).expanduser()).resolve()
        if place.is_dir():
            yield from ((file, False) for file in sorted(place.rglob("*.toml")))
        else:
            yield place, True


def _scheduled(found: tuple[Path, bool]) -> Run | None:
    """The run of a file; None where it was found in a folder and does not say that Airflow runs it."""
    file, named = found
    return load_run(file) if named or _says_so(file) else None


def _says_so(file: Path) -> bool:
    try:
        return "airflow" in tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{file}: not a TOML file: {error}") from None


def _refuse_second(run: Run, runs: dict[str, Run]) -> None:
    if run.name in runs and runs[run.name].file != run.file:
        raise ConfigError(
            f"{run.file}: name: {run.name!r} is the name of {runs[run.name].file} already; DAGs and assets are named "
            "after it, so give one of the two another"
        )
