"""A release in dist/: wheel, source archive, bills of materials, checksums; the same bytes from the same commit.

    python -m infra.release.build [--commit HEAD] [--out dist]

What is built is the commit, not the working copy. Times inside the files are the commit's (SOURCE_DATE_EPOCH).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from infra.release.locks import FOLDER, ROOT
from infra.release.sbom import write_sbom
from schemas.errors import ConfigError

SBOMS = ("night", "all")  # the locks that are described


def main() -> int:
    """Build everything; exit code 2 where something cannot be built."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commit", default="HEAD", help="what to build")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder, made anew")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder)
            check_out(options.commit, source)
            build(source, options.out, time_of(options.commit))
        for name in SBOMS:
            write_sbom(FOLDER / f"{name}.txt", options.out / f"loregraph-{name}.cdx.json")
        write_checksums(options.out)
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write((options.out / "SHA256SUMS").read_text())
    return 0


def check_out(commit: str, to: Path) -> None:
    """The files of a commit, without the rest of the working copy."""
    archive = to.with_suffix(".tar")
    _git("archive", "--format=tar", f"--output={archive}", commit)
    with tarfile.open(archive) as files:
        files.extractall(to, filter="data")
    archive.unlink()


def time_of(commit: str) -> int:
    """When a commit was made, in unix seconds."""
    return int(_git("show", "--no-patch", "--format=%ct", commit))


def build(source: Path, out: Path, epoch: int) -> list[Path]:
    """Wheel and source archive of a source tree. Raises ConfigError with what hatchling says."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("loregraph-*"):
        old.unlink()
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out.resolve()), "-t", "wheel", "-t", "sdist"]
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    done = subprocess.run(command, cwd=source, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"{source}: hatchling cannot build it: {(done.stderr or done.stdout).strip()}")
    return sorted(out.glob("loregraph-*"))


def write_checksums(folder: Path) -> None:
    """SHA256SUMS of the folder, as `sha256sum --check` reads it."""
    files = sorted(file for file in folder.iterdir() if file.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
