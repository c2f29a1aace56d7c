"""What a shell offers after TAB: names that are known, without what takes long to import."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import typer


def kinds(incomplete: str) -> list[str]:
    """Of `loregraph list`."""
    from pipelines.listing import REGISTRIES

    return _starting(incomplete, REGISTRIES)


def recipes(incomplete: str) -> list[str]:
    from features.recipes import RECIPES

    return _starting(incomplete, RECIPES)


def tables(incomplete: str) -> list[str]:
    from schemas.tables import TABLES

    return _starting(incomplete, TABLES)


def models(context: typer.Context, incomplete: str) -> list[str]:
    """Of the run file that the line names; none where it names none that can be read."""
    named = _run_file(context).get("models", [])
    entries = named if isinstance(named, list) else []
    return _starting(incomplete, [str(each.get("name", "")) for each in entries if isinstance(each, dict)])


def _starting(incomplete: str, names: Any) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _run_file(context: typer.Context) -> dict[str, Any]:
    file = context.params.get("run")
    try:
        return tomllib.loads(Path(str(file)).read_text(encoding="utf-8")) if file else {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return {}
