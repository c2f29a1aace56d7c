"""Instruction tables as files: Parquet, and JSON lines in the chat format that tuning tools read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from features.delta import arrow
from language_models.tokens import estimate_tokens
from pipelines.checks import check_run
from pipelines.night import Night, last_night, open_night, refuse_missing
from schemas.errors import ConfigError, StoreError
from schemas.run import load_run
from schemas.tables import TABLES, conform

ROWS_AT_ONCE = 50_000


def export(file: Path, out: Path, ds: str | None = None, lake: str | None = None) -> dict[str, Any]:
    """Write NAME.parquet and NAME.jsonl of every entry of [[instructions]] into a folder, each whole or not at all.

    A line is {"messages": [{"role", "content"}, ...]}, and "rejected" where there are worse answers. `ds`: by default
    the last night. Raises ConfigError where the run has no entry, StoreError where the night has no rows of one.
    """
    run = load_run(file, lake=lake)
    check_run(run)
    night = open_night(run, ds or last_night(run))
    if not run.instructions:
        raise ConfigError(
            f"{run.file}: instructions: found no entry; add [[instructions]] and run `loregraph instruct`"
        )
    refuse_missing(night, {"instructions": "instruct"}, "instructions")
    made = _made(night)
    for entry in run.instructions:
        if entry.name not in made:
            raise StoreError(
                f"instructions: {entry.name}: the table instructions has no rows of it in {night.ds}; "
                f"if the entry is new or changed, run `loregraph instruct --run {run.file} --ds {night.ds}` again"
            )
    try:
        out.mkdir(parents=True, exist_ok=True)
        written = [_write(night, entry.name, made[entry.name], out) for entry in run.instructions]
    except OSError as error:
        raise StoreError(f"{out}: cannot write there ({error.strerror}); choose another --out") from None
    return {"ds": night.ds, "instructions": written}


def lines(found: dict[str, Any]) -> list[str]:
    """A line for each entry: files, rows, tasks, length of a prompt."""
    return [
        f"{each['name']}: {each['rows']:,} rows ({', '.join(f'{task} {n:,}' for task, n in each['tasks'].items())}), "
        f"median prompt about {each['prompt_tokens']:,} tokens; {each['parquet']}, {each['jsonl']}"
        for each in found["instructions"]
    ]


def chat_lines(rows: pl.DataFrame) -> Iterator[str]:
    """Rows of the table as JSON lines."""
    for messages, rejected in rows.select("messages", "rejected").iter_rows():
        yield json.dumps({"messages": messages, **({"rejected": rejected} if rejected else {})}, ensure_ascii=False)


def _made(night: Night) -> dict[str, int]:
    """Name -> rows of tonight's table."""
    rows = night.read("instructions", columns=["name", "row"])
    return dict(rows.group_by("name", maintain_order=True).len().iter_rows())


def _write(night: Night, name: str, count: int, out: Path) -> dict[str, Any]:
    tasks, tokens = Counter[str](), list[int]()
    parquet, jsonl = out / f"{name}.parquet", out / f"{name}.jsonl"
    with _whole(parquet) as table, _whole(jsonl) as text:
        schema = arrow(TABLES["instructions"].empty()).schema
        with pq.ParquetWriter(table, schema, compression="zstd") as writer:
            for rows in _blocks(night, name, count):
                writer.write_table(arrow(rows))
                text.writelines(f"{line}\n".encode() for line in chat_lines(rows))
                tasks.update(rows["task"].to_list())
                tokens += _prompt_tokens(rows["messages"].to_list())
    told = {"name": name, "rows": count, "tasks": dict(tasks.most_common())}
    return {**told, "prompt_tokens": round(float(np.median(tokens))), "parquet": str(parquet), "jsonl": str(jsonl)}


def _blocks(night: Night, name: str, count: int) -> Iterator[pl.DataFrame]:
    """The rows of an entry in order, some at a time."""
    for start in range(0, count, ROWS_AT_ONCE):
        mine = (pl.col("name") == name) & pl.col("row").is_between(start, start + ROWS_AT_ONCE, closed="left")
        yield conform("instructions", night.read("instructions", where=mine).sort("row"))


def _prompt_tokens(messages: Sequence[Sequence[dict[str, str]]]) -> list[int]:
    """About how many tokens the system and user message of each example have."""
    return [sum(estimate_tokens(each["content"]) for each in said if each["role"] != "assistant") for said in messages]


@contextmanager
def _whole(file: Path) -> Iterator[IO[bytes]]:
    """A file that takes its place only when it is written to its end."""
    partial = file.with_name(f"{file.name}.partial")
    try:
        with partial.open("wb") as opened:
            yield opened
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
