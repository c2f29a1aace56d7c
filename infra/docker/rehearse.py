"""The build steps of the Dockerfile, executed in a clean root without a container engine.

    python -m infra.docker.rehearse [--target loregraph] [--lock FILE] [--bind FOLDER]

Executed are COPY (of what .dockerignore leaves), RUN, ENV, ARG, USER, WORKDIR and VOLUME; then the image's command, as
its user, in a read-only root. Not executed: the base image, for which this machine stands, and every step that calls
apt-get. It needs root, for mounts; they are in a namespace of their own and end with it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from infra.docker.context import copy_context
from infra.docker.dockerfile import Step, chain, needed, read_stages
from infra.docker.layers import Layers, run_inside

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "infra" / "docker" / "Dockerfile"
PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
OF_THE_CLIENT = (
    "PIP_",
    "SSL_CERT",
    "HTTP",
    "http",
    "NO_PROXY",
    "no_proxy",
)  # how this machine reaches its package index
NIGHT = ["loregraph", "night", "--run", "infra/runs/sample.toml", "--ds", "2025-06-28"]
TRIALS: dict[str, list[list[str]]] = {
    "loregraph": [
        ["loregraph", "--version"],
        ["loregraph", "list", "recipes"],
        [
            "sh",
            "-c",
            "! touch /app/here /opt/loregraph/here 2> /tmp/refused && test $(grep -c Read-only /tmp/refused) = 2",
        ],
        ["loregraph", "doctor", "--run", "infra/runs/sample.toml"],
        NIGHT,
        ["loregraph", "table", "releases", "--lake", "lake/sample"],
    ],
    "airflow": [
        ["airflow", "version"],
        ["airflow", "db", "migrate"],
        ["sh", "-c", "python -m infra.airflow.pools --run infra/runs > /tmp/pools.json"],
        ["airflow", "pools", "import", "/tmp/pools.json"],
        ["airflow", "dags", "reserialize"],
        ["airflow", "dags", "list"],
    ],
}
TRIALS["spark"] = TRIALS["airflow"]


@dataclass
class State:
    """What instructions of a stage set for those that follow."""

    env: dict[str, str] = field(default_factory=lambda: {"PATH": PATH, "HOME": "/root"})
    args: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    folder: str = "/"
    volumes: list[str] = field(default_factory=list)


class Rehearsal:
    """Builds stages in a folder and tells of each step."""

    def __init__(self, folder: Path, lock: Path | None, binds: list[Path]) -> None:
        self.stages = read_stages(DOCKERFILE)
        self.layers, self.binds, self.lock = Layers(folder), binds, lock
        self.context = folder / "context"
        self.roots: dict[str, Path] = {}
        self.skipped: list[str] = []
        self.context.mkdir()
        copy_context(ROOT, self.context)
        if lock is not None:
            shutil.copy(lock, self.context / "infra" / "locks" / "rehearsed.txt")

    def build(self, target: str) -> State:
        """Every stage that the target needs; the settings of its last one. Raises SystemExit where a step fails."""
        states: dict[str, State] = {}
        for name in needed(self.stages, target):
            base = states.get(self.stages[name].base, State())
            state = State(dict(base.env), {}, base.user, base.folder, list(base.volumes))
            say(f"\n{name}: FROM {self.stages[name].base}")
            self.roots[name] = self.layers.mount([each.name for each in chain(self.stages, name)], self.binds)
            for step in self.stages[name].steps:
                self._do(step, name, state)
            states[name] = state
        return states[target]

    def _do(self, step: Step, name: str, state: State) -> None:
        started = time.monotonic()
        match step.word:
            case "ENV":
                state.env |= {key: _filled(value, state) for key, _, value in map(_pair, step.arguments)}
            case "ARG":
                key, _, value = step.text.partition("=")
                state.args[key] = "rehearsed" if key == "LOCK" and self.lock else value
            case "USER":
                state.user = step.text
            case "WORKDIR":
                state.folder = step.text
                (self.roots[name] / step.text.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "VOLUME":
                state.volumes += step.arguments
            case "COPY":
                self._copy(step, name, state)
            case "RUN" if "apt-get" in step.text:
                self.skipped.append(f"line {step.line}: RUN {step.text}")
            case "RUN":
                client = {key: value for key, value in os.environ.items() if key.startswith(OF_THE_CLIENT)}
                env = {**client, **state.env, **state.args}
                if code := run_inside(self.roots[name], ["/bin/sh", "-c", step.text], env, state.user, state.folder):
                    raise SystemExit(f"line {step.line}: RUN ended with {code}: {step.text}")
        if step.word in {"RUN", "COPY"}:
            say(f"  {time.monotonic() - started:6.1f} s  line {step.line}: {step.word} {step.text[:90]}")

    def _copy(self, step: Step, name: str, state: State) -> None:
        *sources, to = step.arguments
        source_root = self.roots[step.flags["from"]] if "from" in step.flags else self.context
        place = self.roots[name] / os.path.normpath(Path(state.folder) / to).lstrip("/")
        for source in sources:
            found = source_root / source.lstrip("/")
            if found.is_dir():
                shutil.copytree(found, place, symlinks=True, dirs_exist_ok=True)
            else:
                target = place / found.name if to.endswith("/") or len(sources) > 1 else place
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, target)

    def try_out(self, target: str, state: State) -> None:
        """The image's commands as its user, in a root that cannot be written to. Raises SystemExit where one fails."""
        root = self.roots[target]
        self.layers.freeze(root, state.volumes)
        say(f"\n{target}: as {state.user}, read-only but for /tmp and {', '.join(state.volumes)}")
        for command in TRIALS.get(target, []):
            started = time.monotonic()
            code = run_inside(root, command, state.env, state.user, state.folder)
            say(f"  {time.monotonic() - started:6.1f} s  exit code {code}: {' '.join(command)}")
            if code:
                raise SystemExit(f"{' '.join(command)}: ended with {code}")


def main() -> int:
    """Build and try a target; exit code 1 where a step fails or nothing can be mounted."""
    options = _read_options()
    if not options.inside:
        return _in_a_namespace()
    started = time.monotonic()
    rehearsal = Rehearsal(options.inside, options.lock, options.bind)
    state = rehearsal.build(options.target)
    rehearsal.try_out(options.target, state)
    image = rehearsal.stages["build"].base
    say(f"\ndone in {time.monotonic() - started:.0f} s; not executed: the base image {image} (this machine instead)")
    for each in rehearsal.skipped:
        say(f"not executed: {each}")
    return 0


def _in_a_namespace() -> int:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        say("nothing was executed: mounts need root and unshare; a container engine needs neither from you")
        return 1
    with tempfile.TemporaryDirectory(prefix="loregraph-image-") as folder:
        command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", __spec__.name]
        return subprocess.run([*command, *sys.argv[1:], "--inside", folder], check=False).returncode


def _pair(text: str) -> tuple[str, str, str]:
    return text.partition("=")


def _filled(value: str, state: State) -> str:
    """A value with the variables set before in it."""
    for key, known in {**state.args, **state.env}.items():
        value = value.replace(f"${{{key}}}", known).replace(f"${key}", known)
    return value


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="loregraph", choices=sorted(TRIALS))
    parser.add_argument("--lock", type=Path, help="a lock to install instead of the target's own")
    parser.add_argument("--bind", type=Path, action="append", default=[], help="folder of packages that pip reads here")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
