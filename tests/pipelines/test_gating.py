"""Gates of a night: what they compare with, that nothing of a faulty source is published, and how one is loosened."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from features.store import DeltaStore
from pipelines.gating import with_profiles_before
from pipelines.job import run_night
from pipelines.night import open_night
from schemas.errors import GateError
from schemas.run import load_run
from tests.support.small_world import RUN, events

FIRST, SECOND = "2026-01-01", "2026-01-02"
SOURCE = ("users", "items", "interactions")


def half_of_the_books(file: Path) -> None:
    for name, column in (("items.parquet", "id"), ("interactions.csv", "item_id")):
        path = file.parent / "data" / name
        frame = pl.read_parquet(path) if name.endswith("parquet") else pl.read_csv(path)
        kept = frame.filter(pl.col(column) < "b20")
        kept.write_parquet(path) if name.endswith("parquet") else kept.write_csv(path)


def test_a_faulty_source_publishes_none_of_its_tables(world) -> None:
    file = world()
    run_night(file, step="ingest", ds=FIRST)
    lake = DeltaStore(str(file.parent / "lake"))
    live = {name: (lake.version(name), lake.read(name, FIRST).height) for name in SOURCE}
    half_of_the_books(file)
    with pytest.raises(GateError) as raised:
        run_night(file, step="ingest", ds=SECOND)
    said = str(raised.value)
    assert "items.rows_share: expected at least 80 % of the rows of the night before, found 0.5" in said
    assert "for example b20 is gone" in said
    assert "table interactions" in said, "all that is wrong is told at once"
    assert {name: (lake.version(name), lake.read(name, FIRST).height) for name in SOURCE} == live
    assert not any(lake.exists(name, SECOND) for name in SOURCE)
    folder = file.parent / "lake" / "_work" / "nights" / SECOND
    records = {name: json.loads((folder / "steps" / f"gate-{name}.json").read_text()) for name in SOURCE}
    assert [records[name]["success"] for name in SOURCE] == [True, False, False]
    assert (folder / records["items"]["data_docs"]).is_file()


def test_a_threshold_is_loosened_and_a_gate_is_switched_off_by_the_run_file(world, capsys) -> None:
    file = world()
    run_night(file, step="ingest", ds=FIRST)
    half_of_the_books(file)
    loose = "[gates]\n[gates.tables.items]\nmin_share = 0.4\nkept = 0.4\n[gates.tables.interactions]\nenabled = false\n"
    file.write_text(RUN.replace("[gates]\n", loose).replace("duplicates = 1.0\n", ""))
    run_night(file, step="ingest", ds=SECOND)
    assert DeltaStore(str(file.parent / "lake")).read("items", SECOND).height == 20
    assert "gate of interactions: switched off by gates.tables.interactions.enabled" in capsys.readouterr().err
    steps = file.parent / "lake" / "_work" / "nights" / SECOND / "steps"
    assert (steps / "gate-items.json").is_file()
    assert not (steps / "gate-interactions.json").exists()


def test_an_earlier_night_is_compared_with_those_before_it_alone(world) -> None:
    file = world()
    half_of_the_books(file)
    run_night(file, step="ingest", ds=SECOND)
    world(events())  # all books again, for a night that is made up for later
    run_night(file, step="ingest", ds=FIRST)
    half_of_the_books(file)
    with pytest.raises(GateError, match="rows_share"):
        run_night(file, step="ingest", ds=SECOND)


def test_a_text_that_changed_though_its_prompt_did_not_is_marked(world) -> None:
    file = world()
    lake, night = DeltaStore(str(file.parent / "lake")), open_night(load_run(file), SECOND)
    about = {"kind": "item", "recipe": "r", "field": "f", "text_hash": "", "model": "m", "split_id": "s"}
    before = pl.DataFrame({"id": ["1", "2", "3"], "key": ["a", "b", "c"], "text": ["one", "two", "three"], **about})
    lake.overwrite("profiles", before, FIRST)
    now = before.with_columns(key=pl.Series(["a", "b", "new"]), text=pl.Series(["one", "TWO", "THREE"]))
    assert with_profiles_before(night, now, reread=False)["changed"].to_list() == [False, True, None]
    assert with_profiles_before(night, now, reread=True)["changed"].null_count() == 3
