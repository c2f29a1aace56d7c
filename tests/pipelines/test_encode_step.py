"""The step that encodes: what it reports, what it says of texts that were cut, and what a cap leaves behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from features.store import DeltaStore
from pipelines.job import run_night
from pipelines.steps.vectors import CHUNK, spread
from schemas.errors import BudgetError
from tests.support.simulator import simulator
from tests.support.small_world import RUN, books
from tests.support.tiny_model import save_tiny_model

DS = "2026-01-01"
ITEMS = RUN.replace('item = "rlmrec.item/summarization", user = "rlmrec.user/summarization"', 'item = "title"')


def encode(file):
    """The counts of the step, after those that it needs."""
    for step in ("ingest", "split", "encode"):
        summary = run_night(file, step=step, ds=DS)
    return summary


def counts(file):
    return pl.read_json(file.parent / "lake" / "_work" / "nights" / DS / "steps" / "encode.json").row(0, named=True)


def test_texts_that_were_cut_are_counted_and_said(world, capsys):
    file = world(run=ITEMS + "[encoder]\nmax_tokens = 5\n")  # three words of a title and two tokens around them
    assert encode(file)["encoded"] == 40
    found = counts(file)
    assert (found["encoder"], found["truncated"], found["truncation_rate"]) == ("all-MiniLM-L6-v2 (5 tokens)", 40, 1.0)
    assert (found["tokens"], found["cost_usd"]) == (200, 0.0)
    assert (
        '100.0 % of the texts were cut at 5 tokens; `encoder.long = "chunk"` reads them whole'
        in capsys.readouterr().err
    )
    encode(file)
    again = counts(file)
    assert (again["encoded"], again["truncated"], again["truncation_rate"], again["tokens"]) == (0, 0, 0.0, 0)


@pytest.mark.parametrize("encoder", ["", 'max_tokens = 5\nlong = "chunk"\n'])
def test_nothing_is_said_where_nothing_was_cut(world, capsys, encoder):
    file = world(run=ITEMS + "[encoder]\n" + encoder)
    encode(file)
    assert (counts(file)["truncated"], counts(file)["truncation_rate"]) == (0, 0.0)
    assert "were cut" not in capsys.readouterr().err


def test_what_was_encoded_before_the_cap_is_kept_and_not_paid_again(world):
    with simulator() as sim:
        paid = (
            f'[encoder]\nkind = "openai"\nname = "e"\nbase_url = "{sim.url}"\ndimensions = 8\nusd_per_million = 1.0\n'
        )
        file = world(run=ITEMS + paid + "max_cost_usd = 0.0055\n")
        many = pl.DataFrame({"id": [f"x{n}" for n in range(2000)], "title": [f"Book {n}" for n in range(2000)]})
        pl.concat([books(), many], how="diagonal").write_parquet(file.parent / "data" / "items.parquet")
        with pytest.raises(BudgetError, match=r"encoder\.max_cost_usd"):
            encode(file)
        lake, spent = DeltaStore(str(file.parent / "lake")), sim.stats()["embedding_tokens"]
        assert lake.read("vectors").height == CHUNK
        assert 0 < spent <= 5500

        file.write_text((ITEMS + paid).replace("usd_per_million = 1.0", "usd_per_million = 2.0"))
        assert encode(file)["encoded"] == 2040 - CHUNK
        found, more = counts(file), sim.stats()["embedding_tokens"] - spent
        assert lake.read("vectors").height == 2040
    assert (found["tokens"], found["truncated"]) == (more, 0)
    assert found["cost_usd"] == pytest.approx(more * 2e-6)


def many_books(world, extra: str) -> Path:
    """A world of 8,040 titles and a tiny encoder that takes seconds for them; the steps before `encode` are done."""
    file = world(run=ITEMS + '[encoder]\nkind = "hf"\nname = "./tiny"\nbatch_size = 8\n' + extra)
    save_tiny_model(file.parent / "tiny")
    more = pl.DataFrame(
        {"id": [f"x{n}" for n in range(8000)], "title": [f"Book {n} " * (1 + n % 4) for n in range(8000)]}
    )
    pl.concat([books(), more], how="diagonal").write_parquet(file.parent / "data" / "items.parquet")
    for step in ("ingest", "split"):
        run_night(file, step=step, ds=DS)
    return file


def started(file: Path, log: Path) -> subprocess.Popen:
    """`loregraph encode`, returned once it has written something."""
    code = "from pipelines.cli import main; main()"
    command = [sys.executable, "-c", code, "encode", "--run", str(file), "--ds", DS]
    process = subprocess.Popen(command, stderr=log.open("w"), env={**os.environ, "OMP_NUM_THREADS": "1"})
    lake = DeltaStore(str(file.parent / "lake"))
    while not lake.exists("vectors"):
        assert process.poll() is None, log.read_text()
        time.sleep(0.01)
    return process


def children_of(pid: int) -> list[int]:
    """The worker processes; multiprocessing's own resource tracker is one of them."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def goes_on(file: Path) -> int:
    """Finish what a run has left; returns how many texts had their vectors. Nothing is there twice or missing."""
    lake = DeltaStore(str(file.parent / "lake"))
    kept = lake.read("vectors").height
    file.write_text(file.read_text().replace("workers = 2", "workers = 1"))
    assert run_night(file, step="encode", ds=DS)["encoded"] == 8040 - kept
    assert lake.read("vectors")["text_hash"].n_unique() == lake.read("vectors").height == 8040
    return kept


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_a_run_that_is_killed_with_its_workers_at_work_encodes_only_what_is_missing(world, tmp_path):
    file = many_books(world, "workers = 2\n")
    process = started(file, tmp_path / "log")
    workers = children_of(process.pid)
    assert len(workers) >= 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in workers):
        assert time.monotonic() < deadline, "workers end by themselves after the shard that they are at"
        time.sleep(0.05)
    assert 0 < goes_on(file) < 8040


def test_sigterm_ends_the_step_with_what_is_kept(world, tmp_path):
    file = many_books(world, "")
    process = started(file, tmp_path / "log")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 1
    kept = goes_on(file)
    assert 0 < kept < 8040
    assert (
        f"encode: stopped by a signal; {kept:,} of 8,040 new texts are encoded and kept"
        in (tmp_path / "log").read_text()
    )


def test_long_and_short_chunks_take_turns():
    chunks = [pl.DataFrame({"n": [n]}) for n in range(5)]
    assert [chunk["n"][0] for chunk in spread(chunks)] == [0, 4, 1, 3, 2]
    assert spread([]) == []
