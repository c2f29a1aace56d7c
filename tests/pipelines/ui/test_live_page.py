"""The run in progress: seen while it works, told from a killed one; (slow) a real night, watched, killed, ended."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from pipelines.progress import Progress
from pipelines.ui.now import now_of
from pipelines.ui.shelf import Shelf
from pipelines.watching.pulse import FOLDER, LOST_AFTER_S, beating, signs
from tests.support.simulator import ROOT, simulator
from tests.support.ui_world import SECOND

Pages = Callable[[Path], TestClient]
NIGHT = "2026-01-03"


def folder_of(file: Path, ds: str) -> Path:
    return file.parent / "lake" / "_work" / "nights" / ds


def state_of(text: str) -> str:
    found = re.search(r'data-state="(\w+)"', text)
    assert found is not None, text
    return found[1]


def test_an_ended_night_says_so(client: TestClient) -> None:
    text = client.get("/runs/mini/live").text
    assert state_of(text) == "ended"
    assert f"The night of {SECOND} has come to its end" in text
    assert text.count('<li class="done">') == 14
    assert "step finished" in text


def test_a_step_is_seen_while_it_runs_and_its_loss_is_told(own_nights: Path, page_of: Pages) -> None:
    pages, folder = page_of(own_nights), folder_of(own_nights, SECOND)
    (folder / "steps" / "report.json").unlink()
    (folder / "steps" / "train.json").unlink()
    progress = Progress(shown=False)
    with beating(folder, "train", "train", 3, progress), progress.track("train", 8) as advance:
        advance(6, "lightgcn, seed 1: <b>epoch 4</b>")
        end = time.monotonic() + 5
        while not any(each.done for each in signs(folder)) and time.monotonic() < end:
            time.sleep(0.05)
        text = pages.get("/runs/mini/live/now").text
        sign = signs(folder)[0]
    assert state_of(text) == "running"
    assert "6 of 8, 75.0%" in text
    assert '<progress max="8" value="6"' in text
    assert "&lt;b&gt;epoch 4" in text
    assert f"process {os.getpid()} on" in text
    assert '<li class="running"><span class="name">train' in text

    left = replace(sign, at=sign.at - LOST_AFTER_S - 1)
    (folder / FOLDER / "train.json").write_text(json.dumps(asdict(left)))
    text = pages.get("/runs/mini/live/now").text
    assert state_of(text) == "lost"
    assert "ended without a word" in text
    assert f"loregraph night --run {own_nights} --ds {SECOND}" in text


def test_what_is_left_is_told_as_the_night_before_took(own_nights: Path) -> None:
    folder = folder_of(own_nights, SECOND)
    (folder / "steps" / "report.json").unlink()
    before = json.loads((folder_of(own_nights, "2026-01-01") / "summary.json").read_text())["steps"]
    with beating(folder, "promote", "promote", 1, Progress(shown=False)):
        end = time.monotonic() + 5
        while not signs(folder) and time.monotonic() < end:
            time.sleep(0.01)
        found = now_of(Shelf(own_nights), SECOND)
    rest = before["report"]["seconds"] + before["promote"]["seconds"]
    assert found.left == pytest.approx(rest, abs=0.5)


@pytest.mark.slow
def test_a_real_night_is_watched_killed_and_watched_to_its_end(own_nights: Path, page_of: Pages) -> None:
    with simulator("--latency", "0.15", "--price-input", "10", "--price-output", "10") as endpoint:
        llm = f'[llm]\nengine = "openai"\nmodel = "simulated"\nbase_url = "{endpoint.url}"\nconcurrency = 1\n'
        prices = "usd_per_million_input = 10\nusd_per_million_output = 10\nmax_cost_usd = 50.0\n"
        own_nights.write_text(own_nights.read_text().replace("[gates]\n", f"{llm}{prices}[gates]\n"))
        pages, seen = page_of(own_nights), list[str]()
        process = start(own_nights)
        text = watch(pages, process, seen, lambda text: "ask rlmrec" in text and asked(text) > 10)
        assert re.search(r"\d+ of \d+, [\d.]+%", text)
        assert "US$" in text
        assert "cap of the run file US$ 50.00" in text
        process.send_signal(signal.SIGKILL)
        process.wait()
        end = time.monotonic() + LOST_AFTER_S + 5
        while state_of(text := pages.get("/runs/mini/live/now").text) != "lost" and time.monotonic() < end:
            time.sleep(0.2)
        assert state_of(text) == "lost"
        assert f"Process {process.pid} on" in text

        process = start(own_nights)
        watch(pages, process, seen, lambda text: state_of(text) == "ended")
        assert process.wait(60) == 0
    assert {"ingest", "generate", "train", "evaluate"} <= set(seen), seen
    assert signs(folder_of(own_nights, NIGHT)) == []
    assert "In flight</dt><dd>0" in pages.get("/runs/mini/live/now").text


def start(file: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pipelines.cli", "night", "--run", str(file), "--ds", NIGHT]
    settings = {**os.environ, "OPENAI_API_KEY": "simulated"}
    return subprocess.Popen(command, cwd=ROOT, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def asked(text: str) -> int:
    found = re.search(r"Calls tonight</dt><dd>([\d,]+)", text)
    return int(found[1].replace(",", "")) if found else 0


def watch(pages: TestClient, process: subprocess.Popen[bytes], seen: list[str], enough: Callable[[str], bool]) -> str:
    """Look every tenth of a second until something is seen; notes the steps that were seen running."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        text = pages.get("/runs/mini/live/now").text
        seen += re.findall(r'<li class="running"><span class="name">(\w+)', text)
        if enough(text):
            return text
        assert process.poll() in (None, 0), text
        time.sleep(0.1)
    raise AssertionError(f"not seen within two minutes: {text}")
