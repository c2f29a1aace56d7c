"""The pools of the run files as JSON, as a command of its own."""

import json
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def pools(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "infra/airflow/pools.py", *options]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_the_pools_of_the_repository_are_printed() -> None:
    done = pools()
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["loregraph_training"]["slots"] == 1
    assert found["llm_offline"]["slots"] == 4


def test_a_wrong_run_file_is_named(tmp_path: Path) -> None:
    done = pools("--run", str(tmp_path / "none.toml"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "none.toml: no such run file" in done.stderr
