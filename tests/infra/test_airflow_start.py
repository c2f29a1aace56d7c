"""The local Airflow: what it refuses, what its services agree on, and (slow) one real start and stop."""

import json
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("psutil")

import psutil

from infra.airflow.start import StartError, make_pools, only_one, serve, settings

REPOSITORY = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def run_file(tmp_path: Path) -> str:
    (tmp_path / "run.toml").write_text("")
    return str(tmp_path / "run.toml")


def test_a_run_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"nothing.toml: no such run file"):
        serve(tmp_path, str(tmp_path / "nothing.toml"), free_port())


def test_a_port_that_is_taken_is_named(tmp_path: Path, run_file: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=rf"port {port} cannot be used: .*--port"):
            serve(tmp_path, run_file, port)


def test_a_home_that_is_in_use_is_named(tmp_path: Path, run_file: str) -> None:
    with only_one(tmp_path), pytest.raises(StartError, match=r"is running in .* already"):
        serve(tmp_path, run_file, free_port())
    with only_one(tmp_path):
        pass  # free again


def test_the_services_agree_on_one_loopback_address(tmp_path: Path) -> None:
    found = settings(tmp_path, "run.toml", 8123)
    assert found["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert found["AIRFLOW__API__PORT"] == "8123"
    assert found["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:8123"
    assert found["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8123/execution/"


def test_run_files_are_found_from_where_the_user_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings(tmp_path, "a.toml:/b.toml", 1)["LOREGRAPH_RUN"] == f"{tmp_path}/a.toml:/b.toml"


def test_postgresql_is_spoken_to_through_the_driver_that_the_ledger_has(tmp_path: Path) -> None:
    found = settings(tmp_path, "run.toml", 1, "postgresql://me@host:5433/airflow")
    names = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC")
    assert {found[name] for name in names} == {"postgresql+psycopg://me@host:5433/airflow"}


def test_a_wrong_run_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('name = "x"\nlak = "lake"\n')
    environment = settings(tmp_path, str(tmp_path / "run.toml"), 1)
    with pytest.raises(StartError, match="lak: unknown, did you mean lake"):
        make_pools(environment, tmp_path)


def test_secrets_are_made_once_and_are_private(tmp_path: Path) -> None:
    first, again, elsewhere = (settings(home, "run.toml", 1) for home in (tmp_path, tmp_path, made(tmp_path / "other")))
    name = "AIRFLOW__API_AUTH__JWT_SECRET"
    assert first[name] == again[name] != elsewhere[name]
    files = [tmp_path / "jwt.secret", tmp_path / "session.secret", tmp_path / "passwords.json"]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.slow
@pytest.mark.airflow
def test_it_starts_serves_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """A start from nothing, a login, the list of DAGs, and Ctrl-C."""
    port, output = free_port(), tmp_path / "output"
    (tmp_path / "run.toml").write_text(f'name = "empty"\nlake = "{tmp_path}/lake"\n[data]\npath = "{tmp_path}"\n')
    command = [sys.executable, str(REPOSITORY / "infra/airflow/start.py"), "--port", str(port)]
    command += ["--home", str(tmp_path / "home"), "--run", str(tmp_path / "run.toml")]
    with output.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        ready = wait_for_line(process, output, r"ready: (\S+)  login (\S+)  password (\S+)")
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 4
        assert dag_ids(*ready.groups()) == [
            f"loregraph_empty_{part}" for part in ("embeddings", "profiles", "training")
        ]
    finally:
        process.send_signal(signal.SIGINT)
    assert process.wait(90) == 0
    assert [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []


def wait_for_line(process: subprocess.Popen[bytes], output: Path, pattern: str) -> re.Match[str]:
    for _ in range(240):
        if found := re.search(pattern, output.read_text()):
            return found
        assert process.poll() is None, output.read_text()
        time.sleep(1)
    raise AssertionError(output.read_text())


def dag_ids(address: str, user: str, password: str) -> list[str]:
    body = json.dumps({"username": user, "password": password}).encode()
    login = urllib.request.Request(f"{address}/auth/token", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(login, timeout=30) as answer:
        token = json.load(answer)["access_token"]
    request = urllib.request.Request(f"{address}/api/v2/dags", headers={"Authorization": f"Bearer {token}"})
    for _ in range(60):
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = sorted(dag["dag_id"] for dag in json.load(answer)["dags"])
        if len(found) == 3:
            break
        time.sleep(1)
    return found
