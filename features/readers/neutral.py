"""The layout to bring your own data in: interactions, items and users, each as Parquet, CSV or JSON lines.

`data.files` names files that are called otherwise: `files = { interactions = "ratings.csv", items = "books.csv" }`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from features.readers.checks import OPTIONAL
from features.readers.columns import known_names, mapped
from features.readers.files import FORMATS, NAMED_FORMATS, read_table
from features.readers.source import FILE, ROW, Progress, Raw, Reader, folder_with
from schemas.errors import ConfigError, DataError, unknown_name
from schemas.sections import Data

Table = Literal["interactions", "items", "users"]
INTERACTION_COLUMNS = ("user_id", "item_id", *OPTIONAL)


def locate(folder: Path, data: Data) -> Path | None:
    return folder_with(folder, lambda candidate: _file(candidate, "interactions", data) is not None)


def read(folder: Path, data: Data, progress: Progress | None) -> Raw:
    """Read the tables of a folder. All columns of items and users are attributes, of the interactions we take ours.

    Raises DataError on a table in two formats or a column that is not there, ConfigError on a wrong name of ours.
    """
    known_names(data.columns, INTERACTION_COLUMNS, "data.columns")
    interactions = _table(folder, "interactions", data, "columns", ("user_id", "item_id"), progress)
    assert interactions is not None, "locate has found the file"
    wanted = [name for name in INTERACTION_COLUMNS if name in interactions.columns]
    return Raw(
        interactions=interactions.select(*wanted, FILE, ROW),
        items=_table(folder, "items", data, "item_columns", ("id",), progress),
        users=_table(folder, "users", data, "user_columns", ("id",), progress),
        time_unit=data.time_unit,
    )


def _table(
    folder: Path, name: Table, data: Data, key: str, required: tuple[str, ...], progress: Progress | None
) -> pl.DataFrame | None:
    file = _file(folder, name, data)
    if file is None:
        return None
    return mapped(read_table(file, progress, data.separator), getattr(data, key), f"data.{key}", required)


def _file(folder: Path, name: Table, data: Data) -> Path | None:
    if (named := data.files.get(name)) is not None:
        return _named(folder, name, named)
    files = [folder / f"{name}.{ending}" for ending in FORMATS if (folder / f"{name}.{ending}").is_file()]
    if len(files) > 1:
        raise DataError(f"{folder}: expected one {name} file, found {', '.join(file.name for file in files)}; keep one")
    return files[0] if files else None


def _named(folder: Path, name: Table, named: str) -> Path | None:
    """The file that `data.files` names; None where it may be in another folder, as that of the interactions may."""
    file = folder / named
    if not named.endswith(tuple(f".{ending}" for ending in NAMED_FORMATS)):
        raise ConfigError(f"data.files.{name}: {named}: expected a file that ends in {', '.join(NAMED_FORMATS)}")
    if file.is_file():
        return file
    if name == "interactions":
        return None
    there = sorted(each.name for each in folder.iterdir() if each.is_file())
    raise DataError(unknown_name(f"{folder}: data.files.{name}", named, there))


READER = Reader(f"interactions.{{{','.join(FORMATS)}}}, items.* and users.* (optional)", locate, read)
