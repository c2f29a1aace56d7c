"""`train` in two processes of torchrun: the models of one process, told and written once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.job import run_night
from tests.support.small_world import RUN

DS = "2026-01-01"
NO_TEXT = RUN[: RUN.index('[[models]]\nname = "aligned"')].replace("max_epochs = 4", 'max_epochs = 4\nloss = "softmax"')
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]


def prepared(world, folder: str) -> Path:
    file = world(
        run=NO_TEXT.replace("seeds = [1]", "seeds = [1, 2]") + "[models.training]\nrefit = true\n", folder=folder
    )
    for step in ("ingest", "split"):
        run_night(file, step, DS)
    return file


def written(file: Path) -> dict[str, dict]:
    """File below the work folder -> what it says, where it is JSON."""
    work = file.parent / "lake" / "_work"
    found = [each for each in work.rglob("*") if each.is_file()]
    return {
        str(each.relative_to(work)): json.loads(each.read_text()) if each.suffix == ".json" else {} for each in found
    }


@pytest.mark.slow
def test_two_processes_train_what_one_does_and_write_it_once(world) -> None:
    alone, shared = (prepared(world, folder) for folder in ("alone", "shared"))
    run_night(alone, "train", DS)
    command = [*TORCHRUN, "pipelines.cli", "train", "--run", str(shared), "--ds", DS, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert sum(line.startswith("train ") for line in done.stderr.splitlines()) == 1

    one, two = written(alone), written(shared)
    assert one.keys() == two.keys()
    results = [name for name in one if name.endswith("result.json")]
    assert len(results) == 4
    for name in results:
        assert two[name]["valid"] == pytest.approx(one[name]["valid"], abs=1e-9), name
        assert two[name]["best_epoch"] == one[name]["best_epoch"]
        assert two[name]["report"] == ({"parallel": {"processes": 2}} if two[name]["backbone"] else {})
    (record,) = (two[name] for name in two if name.endswith("steps/train.json"))
    assert (record["fitted"], record["reused"]) == (4, 0)
    assert [model["name"] for model in json.loads(done.stdout)["models"]] == ["popularity"] * 2 + ["lightgcn"] * 2


def test_only_train_runs_in_several(tmp_path: Path) -> None:
    several = {**os.environ, "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}
    command = [sys.executable, "-m", "pipelines.cli", "night", "--run", str(tmp_path / "run.toml")]
    done = subprocess.run(command, capture_output=True, text=True, env=several, timeout=60)
    assert done.returncode == 2
    assert "night: only train runs in several processes, found 2 here" in done.stderr
