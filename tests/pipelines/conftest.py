"""The small world of `tests.support.small_world`, written to a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.support.small_world import RUN, books, events


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., Path]:
    """Write data and run file; returns the run file. `rows` replaces the events, `run` edits the run file."""

    def write(rows: list[tuple[str, str, int]] | None = None, run: str = RUN, folder: str = "world") -> Path:
        home = tmp_path / folder
        (home / "data").mkdir(parents=True, exist_ok=True)
        books().write_parquet(home / "data" / "items.parquet")
        frame = pl.DataFrame(rows or events(), schema=["user_id", "item_id", "timestamp"], orient="row")
        frame.write_csv(home / "data" / "interactions.csv")
        (home / "run.toml").write_text(run, encoding="utf-8")
        return home / "run.toml"

    return write
