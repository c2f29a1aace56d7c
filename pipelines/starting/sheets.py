"""The files of a folder as tables, whatever they are called."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from features.readers.files import DELIMITED, NAMED_FORMATS, read_table
from features.readers.lines import BOM, text_blocks
from features.readers.source import FILE, ROW
from schemas.errors import DataError

SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Sheet:
    """One file as a table."""

    file: Path
    frame: pl.DataFrame  # the columns as they are called there
    separator: str | None = None  # between fields, where it is not the one that goes without saying

    @property
    def name(self) -> str:
        return self.file.name


def sheets_of(folder: Path) -> tuple[list[Sheet], list[str]]:
    """The tables of a folder by file name, and what is wrong with the others. Raises DataError for no folder."""
    if not folder.is_dir():
        state = "found a file; name its folder" if folder.exists() else "found nothing there"
        raise DataError(f"{folder}: expected a folder with your files, {state}")
    sheets, wrong = list[Sheet](), list[str]()
    for file in files_of(folder):
        try:
            sheets.append(_sheet(file))
        except DataError as error:
            wrong.append(str(error))
    return sheets, wrong


def files_of(folder: Path) -> list[Path]:
    """Regular files of a format that the readers know; names of which a run file can speak, hidden ones left out."""
    endings = tuple(f".{ending}" for ending in NAMED_FORMATS)
    there = (file for file in folder.iterdir() if file.name.endswith(endings) and not file.name.startswith("."))
    return sorted(file for file in there if file.is_file() and not _is_broken(file.name))


def _is_broken(name: str) -> bool:
    return any(0xD800 <= ord(each) < 0xE000 for each in name)  # bytes that are no UTF-8: TOML cannot write them


def _sheet(file: Path) -> Sheet:
    if not file.name.endswith(tuple(f".{ending}" for ending in DELIMITED)):
        return Sheet(file, read_table(file).drop(FILE, ROW))
    usual = "\t" if ".tsv" in file.suffixes else ","
    separator = _separator(file, usual)
    return Sheet(file, read_table(file, None, separator).drop(FILE, ROW), separator if separator != usual else None)


def _separator(file: Path, usual: str) -> str:
    """The one that cuts the header into most names; the usual one where none does."""
    head = next((block for _, block in text_blocks(file)), b"")
    line = head.removeprefix(BOM).split(b"\n", 1)[0].decode(errors="replace")[:100_000]
    counts = Counter({each: len(_cells(line, each)) for each in (usual, *SEPARATORS)})
    return counts.most_common(1)[0][0]


def _cells(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line.rstrip("\r")], delimiter=separator), [])
    except csv.Error:
        return []
