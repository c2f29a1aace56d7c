"""Short forms of what the LLM engine must show; R3 and R17 are suites of tests/language_models."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("openai")

from benchmarks.figures import Figure, at_least, at_most, exactly, failing, stated
from benchmarks.llm_engine.breakage import breakage, clock_back
from benchmarks.llm_engine.crash import crash
from benchmarks.llm_engine.money import cap, duplicates, nights, reparse, two_workers
from benchmarks.llm_engine.pace import Phase, capacity, quota
from benchmarks.llm_engine.scale import memory, resume
from benchmarks.llm_engine.speed import Result, ratio, speed


def expect_all(figures: list[Figure]) -> None:
    assert figures
    assert not failing(figures), "\n".join(map(str, failing(figures)))


def test_r1_r2_a_kill_loses_nothing_pays_for_no_acknowledged_answer_twice_and_changes_no_table(tmp_path: Path) -> None:
    expect_all(crash(tmp_path, rows=200, kills=1, concurrency=16))


def test_r4_two_workers_on_one_ledger_never_send_the_same_call(tmp_path: Path) -> None:
    expect_all(two_workers(tmp_path, 300))


def test_r5_equal_prompts_are_asked_once(tmp_path: Path) -> None:
    expect_all(duplicates(tmp_path, 500))


def test_r6_a_night_pays_for_what_changed_and_says_so_before(tmp_path: Path) -> None:
    expect_all(nights(tmp_path, 300))


def test_r7_a_cap_is_never_passed_and_nearly_used_up(tmp_path: Path) -> None:
    expect_all(cap(tmp_path, 1500, concurrency=64))


@pytest.mark.slow
def test_r8_an_announced_quota_is_used_and_not_passed(tmp_path: Path) -> None:
    expect_all(quota(tmp_path, warm_s=4, measured_s=8, burst_s=1))


@pytest.mark.slow
def test_r9_a_hidden_capacity_that_changes_is_found_again(tmp_path: Path) -> None:
    expect_all(capacity(tmp_path, 10))


@pytest.mark.slow
def test_r10_the_engine_is_as_fast_as_the_sdk_on_aiohttp_and_its_ledger_costs_little(tmp_path: Path) -> None:
    expect_all(speed(tmp_path, waves=10, ledger_waves=20, rounds=3))


@pytest.mark.slow
def test_r11_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    expect_all(memory(tmp_path, 500, 4000))


@pytest.mark.slow
def test_r12_finished_rows_are_passed_over(tmp_path: Path) -> None:
    """At half the demanded speed: a busy machine takes longer, and the figure itself is the benchmark's."""
    expect_all(resume(tmp_path, 1000, 30_000, most_s=0.6, clock="cpu_s"))


@pytest.mark.slow
def test_r13_what_breaks_stops_the_night_with_one_message_and_no_half_published_table(tmp_path: Path) -> None:
    expect_all(breakage(tmp_path, 600))


def test_r13_a_clock_that_goes_back_changes_nothing(tmp_path: Path) -> None:
    expect_all(clock_back(tmp_path, 500))


def test_r16_a_new_parser_reads_old_answers_without_a_call(tmp_path: Path) -> None:
    expect_all(reparse(tmp_path, 200))


def test_a_figure_fails_on_the_wrong_side_of_its_mark() -> None:
    figures = [
        exactly("R5", "calls", 11, 10),
        at_most("R7", "spent", 1.01, 1.0),
        at_least("R8", "used", 94.9, 95.0),
        exactly("R5", "calls", 10, 10),
        at_most("R7", "spent", 1.0, 1.0),
        at_least("R8", "used", 95.0, 95.0),
        stated("R10", "rate", "1,000/s"),
    ]
    assert failing(figures) == figures[:3]
    assert str(figures[0]).startswith("FAIL R5")


def test_a_phase_that_never_comes_back_to_its_capacity_is_infinitely_late() -> None:
    assert Phase(64, [250.0] * 5).back_s == 0
    assert Phase(64, [0.0, 0.0, 250.0, 250.0, 250.0]).back_s == 2
    assert Phase(64, [100.0] * 5).back_s == float("inf")


def test_a_ratio_is_taken_round_by_round() -> None:
    runs = {"ours": [200.0, 20.0, 300.0], "peer": [100.0, 10.0, 300.0]}
    results = {name: [Result(rate, 1.0, 0.1) for rate in rates] for name, rates in runs.items()}
    assert ratio(results, "ours", "peer") == 2.0


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.llm_engine", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def test_the_command_prints_its_figures_as_json_and_leaves_no_folder(tmp_path: Path) -> None:
    done = run("--check", "--only", "R5", "--json", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [figure["requirement"] for figure in found["figures"]] == ["R5"]
    assert found["failing"] == []
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_requirement_is_named() -> None:
    done = run("--only", "R99")
    assert done.returncode == 2
    assert "R99: expected some of R1, R2" in done.stderr
