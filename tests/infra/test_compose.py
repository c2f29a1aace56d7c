"""The compose file: its schema, its lint, and what it promises of ports, users, secrets and commands."""

import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.airflow.pools import pools_json
from infra.compose.secrets import make_secrets
from infra.docker.dockerfile import read_stages
from infra.docker.rehearse import DOCKERFILE
from tests.support.commands import parse_airflow, parse_loregraph

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def filled(words: list[str]) -> list[str]:
    """Variables of the compose file as they are where .env says nothing."""
    words = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in words]
    return [re.sub(r"\$\{\w+:\?[^}]*\}", "drawn-by-secrets-py", word) for word in words]


def test_the_schema_of_compose_accepts_it() -> None:
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(FOLDER / "compose.yaml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_yamllint_finds_nothing_in_any_yaml_of_infra() -> None:
    pytest.importorskip("yamllint")
    command = [sys.executable, "-m", "yamllint", "--strict", "infra"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_read_only_unprivileged_and_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].split(":")[0] not in {"0", "root"}
    assert {"cpus", "memory", "pids"} == set(service["deploy"]["resources"]["limits"])
    assert re.search(r":\d+\.\d+", service["image"]), "an image is named by its version"


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "airflow-init"])
def test_a_service_that_stays_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_ports_are_on_the_loopback_address() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "ports" not in SERVICES["postgres"]
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_no_secret_stands_in_the_file() -> None:
    secret = re.compile(r"PASSWORD|SECRET|TOKEN|KEY|CONN")
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if secret.search(key) and not key.endswith("PASSWORDS_FILE"):
                assert value.startswith(("${", "/run/secrets/", "cat /run/secrets/")), key
    named = {each for service in SERVICES.values() for each in service.get("secrets", ())}
    assert named == set(COMPOSE["secrets"])
    assert all(value == {"file": f"secrets/{name}"} for name, value in COMPOSE["secrets"].items())


def test_commands_are_ones_that_loregraph_and_airflow_take(tmp_path: Path) -> None:
    airflow = [["db", "migrate"], ["pools", "import", "/tmp/pools.json"]]
    for service in SERVICES.values():
        target = service.get("build", {}).get("target")
        if target == "loregraph":
            parse_loregraph(filled(service["command"]))
        elif target == "airflow" and "entrypoint" not in service:
            airflow.append(service["command"])
            if service["healthcheck"]["test"][1] == "airflow":
                airflow.append(service["healthcheck"]["test"][2:])
    assert len(airflow) == 9
    parse_airflow(airflow, tmp_path)
    assert {"loregraph", "airflow"} <= set(read_stages(DOCKERFILE))


def test_the_run_file_beside_it_has_pools() -> None:
    found = json.loads(pools_json("infra/compose/runs/rehearsal.toml", ROOT))
    assert found["llm_simulator_8000"]["slots"] > 0


def test_every_variable_is_explained_in_the_example() -> None:
    used = set(re.findall(r"\$\{(\w+)", (FOLDER / "compose.yaml").read_text()))
    assert used == set(re.findall(r"^(\w+)=", (FOLDER / ".env.example").read_text(), flags=re.MULTILINE))


def test_secrets_are_drawn_once_and_fit_together(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text((FOLDER / ".env.example").read_text())
    make_secrets(tmp_path)
    made = {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}
    assert set(made) == set(COMPOSE["secrets"])
    assert made["postgres_password"] in made["airflow_database"]
    assert set(json.loads(made["airflow_users"])) == {"admin"}
    drawn = re.findall(
        r"^(?:LOREGRAPH_UI_TOKEN|SIMULATOR_KEY)=(\S{16,})$", (tmp_path / ".env").read_text(), re.MULTILINE
    )
    assert len(set(drawn)) == 2
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    make_secrets(tmp_path)
    assert {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()} == made
    assert drawn[0] in (tmp_path / ".env").read_text()


def test_secrets_are_never_committed() -> None:
    for file in (".env", "secrets/airflow_jwt"):
        assert (
            subprocess.run(["git", "check-ignore", "-q", f"infra/compose/{file}"], cwd=ROOT, check=False).returncode
            == 0
        )
