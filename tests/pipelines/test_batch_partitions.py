"""Partitions through the Batch API: each wave in a batch of its own, every partition once, whatever goes wrong."""

import json
import random
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from features.store import DeltaStore
from pipelines.batch_steps import advance_recipe
from pipelines.job import run_night
from pipelines.steps import ask, publish
from schemas.run import load_run
from tests.support.simulator import Simulator, simulator
from tests.support.small_world import BOOKS, DAY, READERS, RUN

DS, RECIPE = "2026-01-01", "liber.partition"
QUIET = {"batch_delay_s": 0.05}
SETTINGS = "[gates]" + RUN.split("[gates]")[1].split("[[models]]")[0]
LLM = """
[llm]
engine = "openai"
mode = "batch"
model = "simulated"
base_url = "{url}"
batch_requests = 25
batch_poll_s = 0.05
usd_per_million_input = 10.0
usd_per_million_output = 20.0
"""
LIBER = """
[[recipes]]
name = "liber.partition"
options = { noun = "book", max_items = 4 }
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Simulator]:
    with simulator("--price-input", "10", "--price-output", "20") as sim:
        yield sim


@pytest.fixture
def sim(endpoint: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-any")
    endpoint.faults(QUIET)
    endpoint.reset()
    return endpoint


def events() -> list[tuple[str, str, int]]:
    """Ten books each in an order of one's own: nobody's second partition is another one's first."""
    return [
        (f"r{reader:02}", f"b{book:02}", 1_700_000_000 + day * DAY)
        for reader in range(READERS)
        for day, book in enumerate(random.Random(reader).sample(range(BOOKS), 10))
    ]


@pytest.fixture
def file(world, sim: Simulator) -> Path:
    """A night that has been ingested and split: everybody has two partitions of four books."""
    written = world(events(), RUN.split("[[recipes]]")[0] + LLM.format(url=sim.url) + LIBER + SETTINGS)
    for step in ("ingest", "split"):
        run_night(written, step=step, ds=DS)
    return written


def advance(file: Path) -> list[dict]:
    """What the operator does between its waits, until nothing is open; at most for half a minute."""
    steps, until = [advance_recipe(str(file), DS, RECIPE)], time.monotonic() + 30
    while steps[-1]["open"] and time.monotonic() < until:
        time.sleep(0.1)
        steps.append(advance_recipe(str(file), DS, RECIPE, json.loads(json.dumps(steps[-1]))))
    assert not steps[-1]["open"]
    return steps


def partitions(file: Path) -> pl.DataFrame:
    publish(load_run(file), DS)
    return DeltaStore(str(file.parent / "lake")).read("partitions", ds=DS).sort("user_id", "part")


def prompts(file: Path) -> list[tuple[str, str]]:
    """Who was asked, and with which summary so far."""
    return [(id, re.search(r'"summary": "(.*?)"', text)[1]) for id, text in calls(file)]


def calls(file: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(file.parent / "lake" / "_work" / "ledger.sqlite") as ledger:
        return ledger.execute("SELECT id, user FROM calls ORDER BY id").fetchall()


def test_the_second_wave_is_asked_when_the_first_has_landed_and_nothing_twice(file, sim):
    steps = advance(file)
    paid = sim.stats()
    assert (paid["paid"], paid["paid_twice"], paid["batches_created"]) == (2 * READERS, 0, 4)
    assert [step["open"] for step in steps][-1] is False
    assert max(len(step["batches"]) for step in steps) == 2, "a wave of 38 is two files of 25; the waves follow"
    assert (steps[-1]["counts"]["asked"], steps[-1]["counts"]["rejected"]) == (2 * READERS, 0)
    assert steps[-1]["counts"]["cost_usd"] == pytest.approx(paid["cost_usd"])
    rows = partitions(file)
    assert rows["part"].to_list() == [1, 2] * READERS
    assert all(rows["texts"].list.len() > 0)
    before = dict(rows.filter(pl.col("part") == 1).select("user_id", pl.col("texts").list.first()).rows())
    assert sorted(prompts(file)) == sorted([*before.items(), *((user, "None") for user in before)])


def test_the_same_night_again_submits_nothing(file, sim):
    advance(file)
    paid = sim.stats()["paid"]
    steps = advance(file)
    assert [step["open"] for step in steps] == [False]
    assert (steps[0]["counts"]["asked"], steps[0]["counts"]["cached"]) == (0, 2 * READERS)
    assert sim.stats()["paid"] == paid
    assert sim.stats()["batches_created"] == 4


def test_one_command_that_waits_comes_to_the_same(file, sim):
    counts = ask(load_run(file), DS, recipe=RECIPE)
    assert (counts["asked"], sim.stats()["paid"], sim.stats()["paid_twice"]) == (2 * READERS, 2 * READERS, 0)
    assert partitions(file)["part"].to_list() == [1, 2] * READERS


def test_the_next_partition_waits_for_the_follow_up_to_an_answer_that_cannot_be_read(file, sim):
    sim.change({"wrong_schema": 0.3})
    steps = advance(file)
    counts, stats = steps[-1]["counts"], sim.stats()
    assert counts["follow_ups"] > 5
    assert counts["asked"] == 2 * READERS == len(calls(file)), "with one summary so far, not with two"
    assert stats["paid"] == counts["asked"] + counts["follow_ups"]
    rows = partitions(file)
    assert rows["part"].to_list() == [1, 2] * READERS
    before = dict(rows.filter(pl.col("part") == 1).select("user_id", pl.col("texts").list.first()).rows())
    shown = [(user, text or "None") for user, text in before.items()]  # one that could never be read shows nothing
    assert sorted(prompts(file)) == sorted([*shown, *((user, "None") for user in before)])


def test_a_run_that_ends_in_between_is_gone_on_with(file, sim):
    advance_recipe(str(file), DS, RECIPE)  # submitted, and its worker is gone
    time.sleep(0.3)
    advance(file)
    assert (sim.stats()["paid"], sim.stats()["paid_twice"]) == (2 * READERS, 0)
    assert partitions(file)["part"].to_list() == [1, 2] * READERS
