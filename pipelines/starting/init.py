"""`loregraph init`: look at a folder and write a run file whose night runs without an edit."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from features.readers import read_source
from features.readers.amazon import READER as AMAZON
from features.readers.movielens import READER as MOVIELENS
from features.readers.neutral import locate
from features.readers.source import Source
from pipelines.starting.choices import Choices, choose
from pipelines.starting.sheets import Sheet, sheets_of
from pipelines.starting.tables import Tables, recognise
from pipelines.starting.text import Facts, run_file
from pipelines.starting.wording import shown, thousands
from schemas.errors import ConfigError, StoreError
from schemas.run import Run, load_run
from schemas.sections import Data

NAME = r"[a-z0-9][a-z0-9_-]*"


def init(
    folder: Path,
    out: Path | None = None,
    name: str | None = None,
    force: bool = False,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Write a run file for a folder's files and return what was recognised, chosen and left open.

    `columns`: {ours: theirs}, where names do not tell. Raises DataError where the files cannot be read or recognised,
    ConfigError where the run file is there already, StoreError where it cannot be written.
    """
    name = _name(folder, name)
    out = out or Path(f"{name}.toml")
    if out.exists() and not force:
        raise ConfigError(f"{out}: is there already; give --force to replace it, or --out for another file")
    sheets, wrong = sheets_of(folder)
    data, tables = _recognised(folder, sheets, wrong, columns or {})
    source = read_source(data)
    choices = choose(source, data, _names(folder, tables))
    written = data.model_copy(update={"path": _relative(folder, out)})
    facts = Facts(
        name=name,
        folder=str(folder),
        lake=f"lake/{name}",
        data=written,
        choices=choices,
        users=source.users.height,
        items=source.items.height,
        interactions=source.interactions.height,
        has_items_file=len(source.items.columns) > 1,
    )
    _write(out, run_file(facts))
    return _found(out, facts, tables, source, choices)


def lines(found: dict[str, Any]) -> list[str]:
    """What was recognised, what was not, and the next commands."""
    said = [f"{table}: {each['file']}, {thousands(each['rows'])} rows" for table, each in found["tables"].items()]
    said += [f"  {ours} is {shown(theirs)}" for ours, theirs in found["columns"].items() if theirs]
    said += [
        f"{key}: {value if value is not None else 'none'} ({why})" for key, (value, why) in found["chosen"].items()
    ]
    said += [f"note: {note}" for note in found["notes"]]
    file = found["file"]
    return [
        *said,
        f"wrote {file}",
        "next:",
        f"  loregraph plan --run {file}    what a night asks, and what it costs",
        f"  loregraph night --run {file}   the night, up to the report",
        f"  loregraph ui --run {file}      the report and the tables in a browser",
    ]


def _recognised(
    folder: Path, sheets: Sequence[Sheet], wrong: Sequence[str], columns: Mapping[str, str]
) -> tuple[Data, Tables | None]:
    if not columns and (published := _published(folder, sheets)) is not None:
        return published, None
    tables = recognise(folder, sheets, columns, wrong)
    events = tables.sheets["interactions"]
    usual = locate(folder, Data(path=str(folder))) == folder
    names = {table: sheet.name for table, sheet in tables.sheets.items()}
    if usual and all(name.split(".")[0] == table for table, name in names.items()):
        names = {}
    data = Data(
        path=str(folder),
        files=names,
        separator=events.separator,
        columns=tables.columns["interactions"],
        item_columns=tables.columns.get("items", {}),
        user_columns=tables.columns.get("users", {}),
        time_unit=tables.time_unit or "s",
    )
    return data, tables


def _published(folder: Path, sheets: Sequence[Sheet]) -> Data | None:
    """A folder as GroupLens or Amazon Reviews 2023 packs it."""
    data = Data(path=str(folder))
    by_name = {sheet.name: set(sheet.frame.columns) for sheet in sheets}
    latest = {"userId", "movieId", "rating", "timestamp"} <= by_name.get(
        "ratings.csv", set()
    ) and "movies.csv" in by_name
    old = any((folder / name).is_file() for name in ("u.data", "ratings.dat"))
    if (latest or old) and MOVIELENS.locate(folder, data) == folder:
        return data.model_copy(update={"format": "movielens"})
    reviews = [name for name, columns in by_name.items() if {"user_id", "parent_asin"} <= columns]
    if reviews and AMAZON.locate(folder, data) == folder:
        return data.model_copy(update={"format": "amazon"})
    return None


def _names(folder: Path, tables: Tables | None) -> list[str]:
    """Files and columns, whose names may say what is recommended."""
    if tables is None:
        return []
    sheets = tables.sheets.values()
    used = [theirs for columns in tables.columns.values() for theirs in columns.values()]
    return [
        *(each.name for each in sheets),
        *used,
        *(name for each in sheets for name in each.frame.columns),
        folder.name,
    ]


def _name(folder: Path, name: str | None) -> str:
    if name is None:
        return re.sub(r"[^a-z0-9_-]+", "-", folder.resolve().name.lower()).strip("-_") or "mine"
    if not re.fullmatch(NAME, name):
        raise ConfigError(f"--name: {name!r}: expected small letters, digits, - and _, such as my-books")
    return name


def _relative(folder: Path, out: Path) -> str:
    return Path(os.path.relpath(folder.resolve(), out.resolve().parent)).as_posix()


def _write(out: Path, text: str) -> None:
    """Whole or not at all; what was written is read back as a night reads it."""
    partial = out.with_name(f".{out.name}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        _check(load_run(partial))
        partial.replace(out)
    except OSError as error:
        raise StoreError(
            f"{out}: cannot be written ({error.strerror}); give --out a file where you may write"
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def _check(run: Run) -> None:
    """Look up the names that were written, where the extras of a night are installed."""
    with suppress(ModuleNotFoundError):
        from pipelines.checks import check_run

        check_run(run)


def _found(out: Path, facts: Facts, tables: Tables | None, source: Source, choices: Choices) -> dict[str, Any]:
    counts = {"interactions": facts.interactions, "items": facts.items, "users": facts.users}
    files = {table: sheet.name for table, sheet in tables.sheets.items()} if tables else {"interactions": "its files"}
    chosen = {key: (each.value, each.why) for key, each in _chosen(choices).items()}
    return {
        "file": str(out),
        "format": facts.data.format,
        "tables": {table: {"file": shown(file), "rows": counts[table]} for table, file in files.items()},
        "columns": {**facts.data.columns, **{f"item {k}": v for k, v in facts.data.item_columns.items()}},
        "time_unit": facts.data.time_unit,
        "chosen": chosen,
        "texts": list(choices.texts),
        "left_out": list(choices.left_out),
        "notes": [*(tables.notes if tables else ()), *source.notes],
    }


def _chosen(choices: Choices) -> dict[str, Any]:
    return {
        "min_rating": choices.min_rating,
        "k_core": choices.k_core,
        "split": choices.split,
        "noun": choices.noun,
    }
