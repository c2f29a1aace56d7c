"""Nights over time: what `loregraph history` reads of them, that it is fast, and what the report draws."""

import json
import shutil
import threading
import time
from datetime import date, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.job import run_night
from pipelines.report.figures import night_by_night
from pipelines.watching.history import history, night_folders, read_history, release_of, row_of, table
from pipelines.watching.steps import _next_try
from pipelines.watching.summary import FILE, keep_summary, read_summary
from schemas.errors import BudgetError
from schemas.records import sha256
from schemas.run import load_run
from tests.support.faulty_endpoint import chat, endpoint
from tests.support.small_world import RUN
from tests.support.watched_world import BAD, GOOD

DS = "2026-01-01"


def answer_to(body: dict) -> str:
    """An answer of its own to every message, so that the gate sees no copies."""
    return json.dumps({"summarization": f"Those who like {sha256(body['messages'][-1]['content'])[:12]}."})


def test_a_night_in_figures_a_failed_one_with_its_error(nights) -> None:
    good, bad = history(nights.file)["nights"]
    assert (good["ds"], good["calls"], good["new"], good["model"], good["failed"]) == (GOOD, 77, 78, "lightgcn", {})
    assert good["lift"]["low"] <= good["lift"]["difference"] <= good["lift"]["high"]
    assert (good["release"]["outcome"], release_of(good), release_of(bad)) == ("promoted", "1", "")
    assert release_of({"release": {"outcome": "refused", "promoted": False, "number": 1}}) == "refused"
    assert good["tables"]["recommendations"]["rows"] == 760
    assert good["coverage"] == {"rlmrec.item": 1.0, "rlmrec.user": 1.0}
    assert set(good["steps"]) >= {"ingest", "split", "generate", "train", "evaluate", "recommend", "report"}
    assert (bad["ds"], bad["model"], bad["failed"]) == (BAD, None, {"generate": "GateError"})
    assert bad["gates"]["profiles"]["success"] is False


def test_the_command_prints_a_line_a_night_and_one_object(nights) -> None:
    said = CliRunner().invoke(app, ["history", "--run", str(nights.file), "--json"])
    assert said.exit_code == 0
    lines = said.stdout.splitlines()
    assert lines[0].split()[0] == "night"
    assert lines[1].split()[:4] == [GOOD, "0.0000", "77", "78"]
    assert lines[2].endswith("generate: GateError")
    found = json.loads(lines[-1])
    assert [night["ds"] for night in found["nights"]] == [GOOD, BAD]
    assert found["sums"]["calls"] == 77 + found["nights"][1]["calls"]
    only = CliRunner().invoke(app, ["history", "--run", str(nights.file), "--nights", "1"])
    assert GOOD not in only.stdout


def test_a_run_without_nights_says_so(world) -> None:
    assert table(history(world())) == ["mini: no nights yet; `loregraph night` makes one"]


def test_what_was_paid_stays_paid_when_the_night_runs_again_and_failed_runs_count(world, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-1")
    with endpoint(lambda body, attempt: chat(answer_to(body))) as server:
        paid = f'[llm]\nengine = "openai"\nmodel = "m"\nbase_url = "{server.url}"\nusd_per_million_output = 1000.0\n'
        file = world(run=RUN + paid + "max_output_tokens = 100\n")
        for step in ("ingest", "split"):
            run_night(file, step=step, ds=DS)
        with pytest.raises(BudgetError):
            run_night(file, step="generate", ds=DS, max_cost_usd=0.3)
        (stopped,) = history(file)["nights"]
        assert stopped["failed"] == {"generate": "BudgetError"}
        assert stopped["cost_usd"] == pytest.approx(0.02 * sum(server.attempts.values()))
        run_night(file, step="generate", ds=DS, max_cost_usd=10)
        run_night(file, step="generate", ds=DS)
        (night,) = history(file)["nights"]
        assert night["failed"] == {}
        assert night["calls"] == sum(server.attempts.values())
        assert night["cost_usd"] == pytest.approx(0.02 * night["calls"])


def test_a_summary_older_than_the_records_is_not_believed(nights, tmp_path: Path) -> None:
    folder = tmp_path / GOOD
    shutil.copytree(nights.work / "nights" / GOOD / "steps", folder / "steps")
    run = load_run(nights.file)
    kept = keep_summary(folder, run)
    assert read_summary(folder, "recall@20") == json.loads(json.dumps(kept))
    time.sleep(0.02)
    (folder / "steps" / "ingest.json").unlink()
    assert "ingest" not in read_summary(folder, "recall@20")["steps"]
    (folder / FILE).write_text(json.dumps({"form": 0}))
    assert read_summary(folder, "recall@20")["ds"] == GOOD


@pytest.fixture
def year(nights, tmp_path: Path) -> Path:
    """365 nights that are kept."""
    summary = json.loads((nights.work / "nights" / GOOD / FILE).read_text())
    for day in range(365):
        ds = str(date(2025, 1, 1) + timedelta(days=day))
        (tmp_path / "nights" / ds / "steps").mkdir(parents=True)
        told = {**summary, "ds": ds, "cost_usd": 0.1 + day / 1000}
        (tmp_path / "nights" / ds / FILE).write_text(json.dumps(told))
    (tmp_path / "nights" / "notes").mkdir()
    (tmp_path / "nights" / "2026-01-01").mkdir()  # opened to be read, nothing was run
    return tmp_path


def test_a_year_of_nights_is_read_at_once(nights, year: Path) -> None:
    run = load_run(nights.file)
    began = time.process_time()
    found = read_history(run, year)
    assert time.process_time() - began < 1.0  # about 0.07 s
    assert len(found) == len(night_folders(year)) == 365
    assert [night["ds"] for night in read_history(run, year, until="2025-03-01", most=3)] == [
        "2025-02-27",
        "2025-02-28",
        "2025-03-01",
    ]


def test_the_report_draws_cost_and_lift_night_by_night(nights, year: Path) -> None:
    rows = [row_of(night) for night in read_history(load_run(nights.file), year, most=90)]
    charts = dict(night_by_night({"nights": rows}))
    assert list(charts) == ["Cost", "Lift of the best model"]
    assert charts["Cost"].count("<path") > 90
    assert "difference in Recall@20 from popularity" in charts["Lift of the best model"]
    assert "2025-12-31" in charts["Cost"]
    free = dict(night_by_night({"nights": [{**row, "cost_usd": 0.0, "lift": None} for row in rows]}))
    assert list(free) == ["Calls"]
    assert night_by_night({"nights": rows[:1]}) == []


def test_the_page_of_a_second_night_has_the_section(nights, tmp_path: Path) -> None:
    shutil.copytree(nights.file.parent, tmp_path / "copy")
    run_night(tmp_path / "copy" / "run.toml", step="report", ds=BAD)
    folder = tmp_path / "copy" / "lake" / "_work" / "nights"
    page = (folder / BAD / "report.html").read_text()
    assert '<section id="nights"' in page
    assert "generate: GateError" in page
    assert '<section id="nights"' not in (folder / GOOD / "report.html").read_text()


def test_tries_at_the_same_time_get_different_numbers(tmp_path: Path) -> None:
    numbers: list[int] = []

    def count() -> None:
        for _ in range(100):
            numbers.append(_next_try(tmp_path / "tries" / "train"))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 401))


def test_a_record_keeps_memory_end_and_try_and_a_failure_goes_when_the_step_succeeds(nights) -> None:
    folder = nights.work / "nights" / GOOD
    record = json.loads((folder / "steps" / "split.json").read_text())
    assert record["try"] >= 1
    assert record["peak_mib"] > 50
    assert record["published"]["splits"]["rows"] == 380
    report = json.loads((folder / "report.json").read_text())
    assert not {"peak_mib", "ended_at", "try", "published"} & set(report["data"])
    assert not list((folder / "failed").glob("*.json"))
