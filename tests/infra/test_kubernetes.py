"""The manifests: Kubernetes' own schemas, and what they promise of pods, secrets, probes and commands."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.run import load_run
from tests.support.commands import parse_airflow, parse_loregraph

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra" / "kubernetes"
Manifest = dict[str, Any]
KUSTOMIZATION: Manifest = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
MANIFESTS: list[Manifest] = [
    each for file in KUSTOMIZATION["resources"] for each in yaml.safe_load_all((FOLDER / file).read_text())
]


def pods() -> Iterator[tuple[str, Manifest]]:
    """Every pod that a manifest makes, by the manifest's name."""
    for each in MANIFESTS:
        if each["kind"] in {"Deployment", "Job"}:
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]
        elif each["kind"] == "CronJob":
            yield each["metadata"]["name"], each["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def containers() -> Iterator[tuple[str, Manifest]]:
    for name, pod in pods():
        yield from ((f"{name}/{each['name']}", each) for each in (*pod.get("initContainers", ()), *pod["containers"]))


PODS, CONTAINERS = dict(pods()), dict(containers())


def test_there_are_pods() -> None:
    assert set(PODS) == {
        *("night", "ui", "simulator", "airflow-init", "api-server", "scheduler", "dag-processor", "triggerer")
    }


@pytest.mark.parametrize("each", MANIFESTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_the_schemas_of_kubernetes_accept_it(each: Manifest) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    validator.validate(each, validator.latest_version(), strict=True)


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_no_privilege(name: str) -> None:
    pod, security = PODS[name], PODS[name]["securityContext"]
    assert pod["automountServiceAccountToken"] is False
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == 10001
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_is_read_only_and_bounded(name: str) -> None:
    container = CONTAINERS[name]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    volumes = {each["name"] for each in PODS[name.partition("/")[0]]["volumes"]}
    assert {each["name"] for each in container["volumeMounts"]} <= volumes


def test_what_stays_is_probed() -> None:
    for each in MANIFESTS:
        if each["kind"] == "Deployment":
            assert "livenessProbe" in each["spec"]["template"]["spec"]["containers"][0], each["metadata"]["name"]


def test_images_are_named_once_and_by_version() -> None:
    named = {each["name"]: each["newTag"] for each in KUSTOMIZATION["images"]}
    assert {container["image"] for container in CONTAINERS.values()} == set(named)
    assert all(tag.count(".") == 2 for tag in named.values())


def test_secrets_are_named_and_never_there() -> None:
    assert "Secret" not in {each["kind"] for each in MANIFESTS}
    for name, container in CONTAINERS.items():
        for variable in container.get("env", ()):
            if any(word in variable["name"] for word in ("KEY", "TOKEN", "SECRET", "PASSWORD")):
                assert "secretKeyRef" in variable["valueFrom"], name
    settings = next(each for each in MANIFESTS if each["kind"] == "ConfigMap")["data"]
    assert not [key for key in settings if key.endswith(("CONN", "SECRET", "SECRET_KEY", "FERNET_KEY"))]


def test_nobody_comes_in_unless_named_and_services_stay_inside() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in MANIFESTS if each["kind"] == "NetworkPolicy"}
    assert policies["nobody-comes-in"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert policies["page"]["egress"] == []
    assert all(each["spec"].get("type") is None for each in MANIFESTS if each["kind"] == "Service")
    labels = {each["metadata"]["name"]: each["spec"]["selector"] for each in MANIFESTS if each["kind"] == "Service"}
    assert set(labels) == {"ui", "simulator", "api-server"}


def test_commands_are_ones_that_loregraph_and_airflow_take(tmp_path: Path) -> None:
    airflow = []
    for name, container in CONTAINERS.items():
        if container["image"] == "loregraph":
            parse_loregraph(container["args"])
        elif "command" not in container:
            airflow.append(container["args"])
            if probe := container.get("livenessProbe", {}).get("exec"):
                airflow.append(probe["command"][1:])
        else:
            assert name in {"airflow-init/init", "api-server/login"}
    assert len(airflow) == 11
    parse_airflow(airflow, tmp_path)


def test_the_run_file_of_the_manifests_is_one() -> None:
    run = load_run(FOLDER / "run.toml")
    assert (run.lake, run.work) == ("/app/lake/rehearsal", "/app/work/rehearsal")


def test_kustomize_puts_them_together() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(["kubectl", "kustomize", str(FOLDER)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = list(yaml.safe_load_all(done.stdout))
    assert len(made) == len(MANIFESTS) + 1  # and the run file
    assert all(each["metadata"].get("namespace") == "loregraph" for each in made if each["kind"] != "Namespace")
