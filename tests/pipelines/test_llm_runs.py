"""A night at an endpoint: what it plans, pays, reports and leaves behind, and what it never shows."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request

import polars as pl
import pytest

from features.store import DeltaStore
from pipelines.job import run_night
from tests.support.simulator import simulator
from tests.support.small_world import RUN

DS = "2026-01-01"
SECRET = "sk-planted-4711-never-to-be-seen"
PRICED = """
[llm]
engine = "openai"
model = "simulated"
base_url = "{url}"
concurrency = 8
usd_per_million_input = 1.0
usd_per_million_output = 4.0
"""


@pytest.fixture
def sim(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with simulator("--price-input", "1", "--price-output", "4", "--key", SECRET) as endpoint:
        yield endpoint


@pytest.fixture
def at(world, sim):
    def write(extra="", folder="world"):
        return world(run=RUN + PRICED.format(url=sim.url) + extra, folder=folder)

    return write


def loregraph(*arguments, **environment):
    command = [sys.executable, "-m", "pipelines.cli", *map(str, arguments)]
    env = {**os.environ, "OPENAI_API_KEY": SECRET, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)


def steps(file, *names):
    """Steps in this process, which is quicker; the summary of the last."""
    return [run_night(file, step=name, ds=DS) for name in names][-1]


def test_a_plan_says_the_price_and_the_cap_stops_with_exit_code_4_and_keeps_everything(at, sim, capsys):
    file = at()
    plan = steps(file, "ingest", "split", "plan")
    assert "items to ask" in capsys.readouterr().err
    assert sim.stats()["requests"] == 0, "a plan asks nothing"
    items, users = plan["plan"]["recipes"]
    assert (items["to_ask"], users["to_ask"]) == (40, 37), "of two readers with equal prompts one is asked about"
    cap = items["expected_cost_usd"] * 0.25
    stopped = loregraph("generate", "--run", file, "--ds", DS, "--max-cost", cap)
    assert stopped.returncode == 4, stopped.stderr
    assert "--max-cost" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    paid = sim.stats()
    assert 0 < paid["paid"] < 40
    assert paid["cost_usd"] <= cap
    whole = steps(file, "generate")
    assert sim.stats()["paid_twice"] == 0
    assert whole["asked"] == 77 - paid["paid"]
    runs = DeltaStore(str(file.parent / "lake")).read("llm_runs", ds=DS).sort("started")
    assert runs["outcome"].to_list() == ["BudgetError", "done", "done"]
    assert runs["asked"].sum() == 77
    assert runs["cost_usd"].sum() == pytest.approx(sim.stats()["cost_usd"])
    real = runs.filter(pl.col("recipe") == "rlmrec.item")["input_tokens"].sum()
    assert 0.9 <= items["input_tokens"] / real <= 1.1


def test_a_wrong_key_ends_the_run_and_says_which_variable_holds_it(at):
    file = at()
    steps(file, "ingest", "split")
    done = loregraph("generate", "--run", file, "--ds", DS, OPENAI_API_KEY="sk-wrong-key-0815")
    assert done.returncode == 1
    assert "OPENAI_API_KEY" in done.stderr
    assert "sk-wrong-key-0815" not in done.stderr
    assert "Traceback" not in done.stderr


def test_metrics_are_served_while_asking_and_left_as_a_text_file(at, sim):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file = at(f"metrics_port = {port}\n")
    steps(file, "ingest", "split")
    sim.faults({"latency": 1.0})
    command = [sys.executable, "-m", "pipelines.cli", "generate", "--run", str(file), "--ds", DS]
    env = {**os.environ, "OPENAI_API_KEY": SECRET}
    with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as process:
        seen = ""
        deadline = time.monotonic() + 60
        while "loregraph_llm_asked{" not in seen and time.monotonic() < deadline:
            time.sleep(0.2)
            try:
                seen = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2).read().decode()
            except OSError:
                seen = ""
        sim.faults({})
        assert process.wait(60) == 0
    assert 'loregraph_llm_asked{model="simulated",recipe="rlmrec.item",run="mini",shard="0"}' in seen
    left = (file.parent / "lake" / "_work" / "nights" / DS / "metrics" / "rlmrec.user-0.prom").read_text()
    assert 'loregraph_llm_asked{model="simulated",recipe="rlmrec.user",run="mini",shard="0"} 37.0' in left


def test_sigterm_ends_a_night_cleanly_and_the_next_command_goes_on(at, sim):
    file = at()
    steps(file, "ingest", "split")
    sim.faults({"latency": 0.5})
    command = [sys.executable, "-m", "pipelines.cli", "generate", "--run", str(file), "--ds", DS]
    env = {**os.environ, "OPENAI_API_KEY": SECRET}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while sim.stats()["paid"] < 8 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "run the same command again to go on" in said
    assert "Traceback" not in said
    sim.change({"latency": 0.0})
    done = steps(file, "generate")
    stats = sim.stats()
    assert (stats["paid"], stats["paid_twice"]) == (77, 0)
    assert 0 < done["asked"] < 77


def test_reparse_reads_the_ledger_again_and_asks_nothing(at, sim):
    file = at()
    steps(file, "ingest", "split", "generate")
    before = sim.stats()["requests"]
    done = loregraph("reparse", "rlmrec.item", "--run", file, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["asked"], summary["readable"], summary["readable_before"]) == (0, 40, 40)
    assert sim.stats()["requests"] == before
    assert "0 calls" in done.stderr
    unknown = loregraph("reparse", "rlmrec.itm", "--run", file)
    assert unknown.returncode == 2
    assert "did you mean rlmrec.item" in unknown.stderr


def test_a_cap_without_a_known_price_is_refused(world, sim):
    text = PRICED.format(url=sim.url).replace("usd_per_million_input = 1.0\nusd_per_million_output = 4.0\n", "")
    done = loregraph("plan", "--run", world(run=RUN + text), "--ds", DS, "--max-cost", "1")
    assert done.returncode == 2
    assert "no price" in done.stderr


def test_published_calls_are_marked_in_the_ledger(at):
    file = at()
    steps(file, "ingest", "split", "generate")
    with sqlite3.connect(file.parent / "lake" / "_work" / "ledger.sqlite") as ledger:
        states = ledger.execute("SELECT state, count(*) FROM calls GROUP BY state").fetchall()
    assert states == [("published", 77)]
    profiles = DeltaStore(str(file.parent / "lake")).read("profiles", ds=DS)
    assert profiles.filter(pl.col("field") == "summarization").height == 78
