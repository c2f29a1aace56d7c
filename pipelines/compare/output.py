"""What a comparison leaves behind: compare.json, compare.md, lift.svg, and two tables of the lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.compare.chart import lift_svg
from pipelines.compare.finals import ALL, METRICS
from pipelines.compare.table import markdown
from pipelines.night import Night, write_json
from schemas.tables import TABLES

Row = Mapping[str, Any]


def write_all(night: Night, found: Row, whole: bool) -> dict[str, str]:
    """Write the files, and of a whole matrix the tables; a part of one goes to a folder beside. Returns the paths."""
    folder = night.folder / "compare" if whole else night.folder / "compare" / "part"
    write_json(folder / "compare.json", found)
    files = {"table": folder / "compare.md", "plot": folder / "lift.svg"}
    _write(files["table"], markdown(found))
    _write(files["plot"], lift_svg(points(found)))
    if whole:
        night.publish("comparisons", _frame("comparisons", [_cell_row(cell) for cell in found["cells"]]))
        night.publish("comparison_intervals", _frame("comparison_intervals", found["comparisons"]))
    return {"json": str(folder / "compare.json"), **{name: str(file) for name, file in files.items()}}


def points(found: Row) -> list[dict[str, Any]]:
    """What can be drawn: cells with text that are no controls but the title's, and whose cost is known."""
    drawn = []
    for cell in found["cells"]:
        row = cell["against"].get("twin") or cell["against"].get("baseline")
        known = cell["text"] is not None and cell["control_of"] is None and cell["usd_per_1000_users"] is not None
        if known and row is not None:
            interval = {key: row[key] for key in ("difference", "low", "high")}
            title = cell["control"] == "title"
            drawn.append({"name": cell["name"], "cost": cell["usd_per_1000_users"], "title": title, **interval})
    return drawn


def _cell_row(cell: Row) -> dict[str, Any]:
    names = ("name", "system", "text", "control", "control_of", "valid", "usd", "usd_per_1000_users", "usd_per_point")
    overall = cell["test"][ALL]
    figures = {metric: overall[metric] for metric in METRICS}
    settings = "; ".join(f"{name} = {value}" for name, value in cell["settings"].items())
    rest = {key: cell[key] for key in ("tried", "possible", "seconds", "search_seconds", "mib")}
    return {**{name: cell[name] for name in names}, **figures, "users": overall["users"], "settings": settings, **rest}


def _frame(table: str, rows: Sequence[Row]) -> pl.DataFrame:
    columns = dict(TABLES[table].columns)
    return pl.DataFrame([{name: row[name] for name in columns} for row in rows], schema=columns)


def _write(file: Path, text: str) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
