"""The layout to bring your own data in: interactions, items and users, each as Parquet, CSV or JSON lines."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from features.readers.checks import OPTIONAL
from features.readers.columns import known_names, mapped
from features.readers.files import FORMATS, read_table
from features.readers.source import FILE, ROW, Progress, Raw, Reader, folder_with
from schemas.errors import DataError
from schemas.sections import Data

INTERACTION_COLUMNS = ("user_id", "item_id", *OPTIONAL)


def locate(folder: Path) -> Path | None:
    return folder_with(folder, lambda candidate: _file(candidate, "interactions") is not None)


def read(folder: Path, data: Data, progress: Progress | None) -> Raw:
    """Read the tables of a folder. All columns of items and users are attributes, of the interactions we take ours.

    Raises DataError on a table in two formats or a column that is not there, ConfigError on a wrong name of ours.
    """
    known_names(data.columns, INTERACTION_COLUMNS, "data.columns")
    interactions = _table(folder, "interactions", data.columns, "data.columns", ("user_id", "item_id"), progress)
    assert interactions is not None, "locate has found the file"
    wanted = [name for name in INTERACTION_COLUMNS if name in interactions.columns]
    return Raw(
        interactions=interactions.select(*wanted, FILE, ROW),
        items=_table(folder, "items", data.item_columns, "data.item_columns", ("id",), progress),
        users=_table(folder, "users", data.user_columns, "data.user_columns", ("id",), progress),
        time_unit=data.time_unit,
    )


def _table(
    folder: Path, name: str, columns: dict[str, str], key: str, required: tuple[str, ...], progress: Progress | None
) -> pl.DataFrame | None:
    file = _file(folder, name)
    return None if file is None else mapped(read_table(file, progress), columns, key, required)


def _file(folder: Path, name: str) -> Path | None:
    files = [folder / f"{name}.{ending}" for ending in FORMATS if (folder / f"{name}.{ending}").is_file()]
    if len(files) > 1:
        raise DataError(f"{folder}: expected one {name} file, found {', '.join(file.name for file in files)}; keep one")
    return files[0] if files else None


READER = Reader(f"interactions.{{{','.join(FORMATS)}}}, items.* and users.* (optional)", locate, read)
