"""The pages about nights: what a run has recorded is on them, what is not there is said, nothing of others is run."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from pipelines.job import run_night
from schemas.errors import GateError
from tests.support.ui_world import FIRST, SECOND

Pages = Callable[[Path], TestClient]


def work_of(file: Path) -> Path:
    return file.parent / "lake" / "_work"


def test_the_overview_tells_the_last_night_and_links_every_night(client: TestClient, nights_file: Path) -> None:
    text = client.get("/runs/mini").text
    assert f"The night of {SECOND} is live." in text
    summary = json.loads((work_of(nights_file) / "nights" / SECOND / "summary.json").read_text())
    assert f"<dd>{summary['valid']:.4f}</dd>" in text
    assert [ds for ds in (FIRST, SECOND) if f"/runs/mini/nights/{ds}" in text] == [FIRST, SECOND]
    assert text.count('<svg class="plot"') >= 2
    assert re.search(r"release 2 is live since \d{4}", text)
    assert f"loregraph promote --to 1 --run {nights_file}" in text
    assert f"--to 2 --run {nights_file}" not in text


def test_a_night_has_its_steps_tables_gates_and_questions(client: TestClient, nights_file: Path) -> None:
    text = client.get(f"/runs/mini/nights/{FIRST}").text
    records = work_of(nights_file) / "nights" / FIRST / "steps"
    for step in ("ingest", "generate", "train", "promote", "report"):
        assert f'<th scope="row">{step}' in text
    gate = json.loads((records / "gate-profiles.json").read_text())
    for each in gate["results"]:
        assert each["observed"] in text
    assert "profiles" in text
    assert "offline" in text
    assert "the first release" in text
    assert client.get("/runs/mini/nights/2026-02-01").status_code == 404
    assert client.get("/runs/mini/nights/..%2f..%2fetc").status_code in (404, 422)


def test_the_report_is_as_it_was_written_and_may_run_nothing(client: TestClient, nights_file: Path) -> None:
    answer = client.get(f"/runs/mini/nights/{FIRST}/report")
    assert answer.content == (work_of(nights_file) / "nights" / FIRST / "report.html").read_bytes()
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    missing = client.get("/runs/mini/nights/2026-02-01/report")
    assert missing.status_code == 404
    assert "loregraph report" in missing.text


def test_a_night_that_failed_says_why_and_what_to_do(own_nights: Path, page_of: Pages) -> None:
    text = own_nights.read_text(encoding="utf-8").replace("[gates]\n", "[gates]\nmin_characters = 3000\n")
    own_nights.write_text(text, encoding="utf-8")
    with pytest.raises(GateError):
        run_night(own_nights, step="generate", ds=SECOND)
    pages = page_of(own_nights)
    overview = pages.get("/runs/mini").text
    assert f"The night of {SECOND} failed" in overview
    night = pages.get(f"/runs/mini/nights/{SECOND}").text
    assert "<h3>generate: GateError</h3>" in night
    assert "mend the source or the threshold" in night
    assert f"loregraph generate --run {own_nights} --ds {SECOND}" in night
    assert '<span class="bad">failed</span> profiles' in night


def test_what_a_task_of_airflow_failed_with_is_told_and_escaped(own_nights: Path, page_of: Pages) -> None:
    told = {
        "task": "train",
        "error": "KilledError",
        "message": "<img src=x onerror=alert(1)>",
        "next_step": "Clear it.",
    }
    folder = work_of(own_nights) / "nights" / SECOND
    (folder / "failures.jsonl").write_text(json.dumps(told | {"at": "2026-01-02T03:00:00+00:00", "try": 3}) + "\n")
    text = page_of(own_nights).get(f"/runs/mini/nights/{SECOND}").text
    assert "train: KilledError" in text
    assert "Clear it." in text
    assert "<img" not in text
    assert "&lt;img" in text


def test_a_run_without_a_night_says_how_to_make_one(own_nights: Path, page_of: Pages, tmp_path: Path) -> None:
    own_nights.write_text(own_nights.read_text().replace('lake = "lake"', f'lake = "{tmp_path}/none"'))
    pages = page_of(own_nights)
    for path in ("/runs/mini", "/runs/mini/live", "/runs/mini/users"):
        assert f"loregraph night --run {own_nights}" in pages.get(path).text
    assert not (tmp_path / "none").exists()


def test_a_page_is_there_at_once_and_draws_without_matplotlib(client: TestClient) -> None:
    had = "matplotlib" in sys.modules
    client.get("/runs/mini")
    began = time.perf_counter()
    assert client.get("/runs/mini").status_code == 200
    assert time.perf_counter() - began < 0.3
    assert ("matplotlib" in sys.modules) == had
