"""The whole comparison: what it finds where text helps and where not, that it goes on after a kill, and repeats."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.corpus import PARTS
from features.store import DeltaStore
from pipelines.compare.cells import make_cells
from pipelines.compare.matrix import run_compare
from pipelines.compare.trials import Bench
from pipelines.compare.tuning import tune
from pipelines.job import run_night
from tests.pipelines.compare.conftest import DS
from tests.support.compare_world import write_world

TEXT, SHUFFLED, RANDOM, TITLE = (
    f"lore_filter.{name}" for name in ("profiles", "profiles.shuffled", "profiles.random", "title-only")
)


def repeatable(table: str) -> list[str]:
    """The table without its last two columns, seconds and MiB."""
    return [re.sub(r"(\| [^|]+){2}\|$", "", line) for line in Path(table).read_text().splitlines()]


def test_where_texts_tell_something_the_lift_is_sure_and_its_price_is_known(told) -> None:
    cell = told.cell(TEXT)
    twin = cell["against"]["twin"]
    assert twin["against"] == "gf_cf"
    assert twin["low"] > 0
    assert twin["p_adjusted"] < 0.05
    assert cell["against"]["shuffled"]["low"] > 0
    assert cell["usd_per_1000_users"] > 0
    assert cell["usd_per_point"] == pytest.approx(cell["usd_per_1000_users"] / (100 * twin["difference"]))
    assert told.cell(TITLE)["usd_per_1000_users"] == 0.0
    assert told.cell(TITLE)["lift"]


def test_controls_without_content_are_at_zero_within_their_intervals(told) -> None:
    for name in (SHUFFLED, RANDOM):
        against = told.cell(name)["against"]["twin"]
        assert against["low"] <= 0 <= against["high"]
    assert not told.found["warnings"]


def test_where_texts_tell_nothing_there_is_no_lift_and_no_price_of_one(untold) -> None:
    cell = untold.cell(TEXT)
    assert cell["against"]["twin"]["low"] <= 0
    assert (cell["lift"], cell["usd_per_point"]) == (False, None)
    line = next(line for line in Path(untold.counts["table"]).read_text().splitlines() if "| profiles |" in line)
    assert "| no lift |" in line


def test_every_cell_gets_the_same_budget_or_its_whole_space(told) -> None:
    for cell in told.found["cells"]:
        budget = 2 if cell["system"] == "lightgcn" else 3
        assert cell["tried"] == len(cell["trials"]) == min(budget, cell["possible"])
        assert cell["trials"][0]["kind"] == "written"
        best = max(trial["value"] for trial in cell["trials"])
        assert next(t for t in cell["trials"] if t["value"] == best)["settings"] == cell["settings"]
    assert told.cell("popularity")["possible"] == 1


def test_again_in_the_same_lake_nothing_is_fitted(told) -> None:
    again = run_compare(told.file, ds=DS, skip_steps=True)
    assert again["fits"] == 0
    assert Path(again["table"]).read_text() == Path(told.counts["table"]).read_text()


def test_killed_it_goes_on_without_repeating_a_fit_to_the_table_of_another_lake(told, tmp_path) -> None:
    file = write_world(tmp_path)
    for step in ("ingest", "split", "generate", "encode", "materialize"):
        run_night(file, step=step, ds=DS)
    folder = file.parent / "lake" / "_work" / "compare"
    command = [sys.executable, "-m", "pipelines.cli", "compare", "--run", str(file), "--ds", DS, "--skip-steps"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(list(folder.glob("*/*.json"))) < 6:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(list(folder.glob("*/*.json")))
    again = run_compare(file, ds=DS, skip_steps=True)
    assert 6 <= done < told.counts["fits"]
    assert again["fits"] == told.counts["fits"] - done
    assert repeatable(again["table"]) == repeatable(told.counts["table"])


def test_other_test_events_change_no_choice_and_other_validation_events_do(told, tmp_path) -> None:
    def choices(part: str) -> list[list[float]]:
        corpus, edges = told.night.corpus(), told.night.corpus().edges.copy()
        mine = np.flatnonzero(corpus.part == PARTS.index(part))
        edges[1, mine] = np.random.default_rng(0).permutation(corpus.num_items)[: len(mine)]
        bench = Bench(replace(told.night, work=tmp_path / part), replace(corpus, edges=edges))
        cells = [cell for cell in make_cells(told.night.run) if not cell.graph]
        return [[trial["value"] for trial in tune(bench, cell, lambda *_: None).trials] for cell in cells]

    known = [[t["value"] for t in cell["trials"]] for cell in told.found["cells"] if cell["system"] != "lightgcn"]
    assert choices("test") == known
    assert choices("valid") != known


def test_the_lake_has_the_cells_and_their_intervals(told) -> None:
    lake = DeltaStore(str(told.file.parent / "lake"))
    cells, intervals = lake.read("comparisons", ds=DS), lake.read("comparison_intervals", ds=DS)
    assert cells["name"].to_list() == [cell["name"] for cell in told.found["cells"]]
    assert intervals.height == len(told.found["comparisons"])
    mine = intervals.filter((pl.col("name") == TEXT) & (pl.col("slice") == "all") & (pl.col("metric") == "recall@20"))
    assert set(mine["role"]) == {"baseline", "twin", "shuffled", "random", "title"}
    assert {"cold items", "tail items"} <= set(intervals["slice"])


def test_a_part_of_the_matrix_is_written_beside_and_costs_no_new_fit(told) -> None:
    before = Path(told.counts["table"]).read_text()
    part = run_compare(told.file, ds=DS, systems="lore_filter", skip_steps=True)
    assert part["fits"] == 0
    assert {cell["system"] for cell in part["cells"]} == {"gf_cf", "lore_filter"}
    assert Path(part["table"]).parent.name == "part"
    assert Path(told.counts["table"]).read_text() == before


def test_the_plot_shows_texts_and_no_controls(told) -> None:
    drawn = Path(told.counts["plot"]).read_text()
    assert TEXT in drawn
    assert TITLE in drawn
    assert SHUFFLED not in drawn
    assert "#010101" not in drawn  # stand-in colours


def test_no_checkpoint_is_left(told) -> None:
    assert not list((told.night.work / "compare" / "checkpoints").glob("*"))


def test_the_command_prints_table_paths_and_one_json_object(told, capsys) -> None:
    from typer.testing import CliRunner

    from pipelines.cli import app

    called = CliRunner().invoke(
        app, ["compare", "--run", str(told.file), "--ds", DS, "--skip-steps", "--json"], catch_exceptions=False
    )
    lines = called.stdout.splitlines()
    assert any(line.startswith("| `lore_filter` | profiles |") for line in lines)
    found = json.loads(lines[-1])
    assert found["baseline"] == told.found["baseline"]
    assert Path(found["json"]).exists()
