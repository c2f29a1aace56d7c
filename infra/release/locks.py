"""The locks that images and audits read: every package with its version and the hashes of its published files.

    python -m infra.release.locks            write infra/locks/*.txt again
    python -m infra.release.locks --check    exit code 1 where they no longer follow from their sources

They follow from pyproject.toml and constraints.txt. What stands after `--` goes to `uv pip compile`; for the CPU build
of PyTorch, into a folder of your own: `python -m infra.release.locks --out my-locks -- --torch-backend cpu`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra" / "locks"
LOCKS: Mapping[str, tuple[str, ...]] = {  # the extras of each
    "build": (),  # what makes a wheel of Loregraph, and of PySpark, which is published as source alone
    "night": ("night", "postgres"),
    "all": ("all",),
}
ENTRY = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)(?: ; ([^\\]+?))? \\$")
HASH = re.compile(r"^    --hash=(sha256:[0-9a-f]{64})(?: \\)?$")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of a lock. `marker` says on which machines it is installed; empty: on all."""

    version: str
    marker: str
    hashes: tuple[str, ...]


def main() -> int:
    """Write the locks, or check them; exit code 1 where one is stale."""
    options = _read_options()
    if options.check:
        stale = [name for name in LOCKS if not is_fresh(name, options.uv)]
        for name in stale:
            sys.stderr.write(
                f"infra/locks/{name}.txt: stale; run `python -m infra.release.locks` and look at the diff\n"
            )
        return 1 if stale else 0
    for name in LOCKS:
        write_lock(name, options.out / f"{name}.txt", options.uv)
        sys.stdout.write(f"{options.out / name}.txt: {len(read_lock(options.out / f'{name}.txt'))} packages\n")
    return 0


def write_lock(name: str, file: Path, more: Sequence[str] = ()) -> None:
    """Resolve one lock into a file; pins that stand there already are kept where they still fit.

    Raises ConfigError with what uv says where it cannot be resolved.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "uv", "pip", "compile", *_sources(name), "--output-file", str(file.resolve())]
    command += ["--constraints", "constraints.txt", "--python-version", "3.11", "--universal", "--generate-hashes"]
    command += ["--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--quiet"]
    command += ["--custom-compile-command", "python -m infra.release.locks", *more]
    given = "\n".join(build_requirements()) if name == "build" else None
    done = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"infra/locks/{name}.txt: uv cannot resolve it: {done.stderr.strip()}")


def is_fresh(name: str, more: Sequence[str] = ()) -> bool:
    """Whether the lock in the repository is what its sources give today."""
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / f"{name}.txt"
        shutil.copy(FOLDER / f"{name}.txt", again)
        write_lock(name, again, more)
        return again.read_text() == (FOLDER / f"{name}.txt").read_text()


def build_requirements() -> list[str]:
    """What `[build-system]` names, and setuptools for packages that are published as source."""
    return [*project()["build-system"]["requires"], "setuptools"]


def project() -> dict[str, Any]:
    """pyproject.toml as it stands."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def read_lock(file: Path) -> dict[str, Pin]:
    """The packages of a lock by normal name. Raises ConfigError for a line that is no pin, hash or comment."""
    found: dict[str, tuple[str, str, list[str]]] = {}
    name = ""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if entry := ENTRY.match(line):
            name = normal(entry[1])
            found[name] = (entry[2], entry[3] or "", [])
        elif (hashed := HASH.match(line)) and name:
            found[name][2].append(hashed[1])
        elif line and not line.startswith("#"):
            raise ConfigError(f"{file}:{number}: expected NAME==VERSION or --hash=sha256:..., found {line!r}")
    return {each: Pin(version, marker, tuple(hashes)) for each, (version, marker, hashes) in found.items()}


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _sources(name: str) -> list[str]:
    if name == "build":
        return ["-"]
    return ["pyproject.toml", *(word for extra in LOCKS[name] for word in ("--extra", extra))]


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the locks")
    parser.add_argument("uv", nargs="*", metavar="-- OPTION", help="more options for uv pip compile")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
