"""The software bill of materials of a lock, as CycloneDX JSON: the same bytes whenever the lock is the same.

    python -m infra.release.sbom [--lock all] [--out dist/loregraph-all.cdx.json]

Source: https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from infra.release.locks import FOLDER, LOCKS, ROOT
from schemas.errors import ConfigError

SPECIFICATION = "1.6"


def main() -> int:
    """Write one; exit code 2 where the lock cannot be described."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lock", default="all", choices=sorted(LOCKS))
    parser.add_argument("--out", type=Path, help="the file; dist/loregraph-LOCK.cdx.json when left out")
    options = parser.parse_args()
    out = options.out or ROOT / "dist" / f"loregraph-{options.lock}.cdx.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_sbom(FOLDER / f"{options.lock}.txt", out)
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{out}\n")
    return 0


def write_sbom(lock: Path, out: Path) -> None:
    """Describe every package of a lock, with its hashes. Raises ConfigError where CycloneDX refuses it.

    It is checked against the schema of CycloneDX before it is written.
    """
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", str(lock), "--pyproject", "pyproject.toml"]
    command += ["--output-reproducible", "--spec-version", SPECIFICATION, "--output-format", "JSON", "--validate"]
    command += ["--output-file", str(out.resolve())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"{lock}: no bill of materials: {done.stderr.strip()[-1000:]}")


if __name__ == "__main__":
    sys.exit(main())
