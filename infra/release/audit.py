"""Known vulnerabilities of the locked packages, by pip-audit; what is known and accepted stands in allowed.toml.

    python -m infra.release.audit             exit code 1 for a vulnerability that is not allowed, or no longer
    python -m infra.release.audit --strict    also where packages could not be looked up, as before a release

pip-audit calls a package that its service does not answer for "skipped" and says that no vulnerability is known. Here
such packages are counted and told: nothing found is a finding only for what was looked up.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from infra.release.locks import FOLDER, LOCKS, normal
from schemas.errors import ConfigError

ALLOWED = Path(__file__).with_name("allowed.toml")
WITHIN_S = 300  # for one lock


@dataclass(frozen=True, slots=True)
class Found:
    """What an audit of one lock has found."""

    looked_up: int  # packages that the service answered for
    skipped: tuple[str, ...]  # packages that it did not
    vulnerabilities: tuple[tuple[str, str, str], ...]  # package, version, id
    unreachable: str = ""  # why nothing could be asked

    @property
    def complete(self) -> bool:
        """Whether every package was looked up."""
        return not self.skipped and not self.unreachable


def main() -> int:
    """Audit every lock and tell; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strict", action="store_true", help="fail where packages could not be looked up")
    strict = parser.parse_args().strict
    allowed = read_allowed(ALLOWED)
    codes = [report(name, ask(FOLDER / f"{name}.txt"), allowed, strict) for name in LOCKS]
    return max(codes)


def ask(lock: Path) -> Found:
    """What pip-audit says of a lock; a service that cannot be reached is a finding of its own, and no error."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--require-hashes", "--disable-pip"]
    command += ["--vulnerability-service", "pypi", "--format", "json", "--progress-spinner", "off", "--timeout", "15"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN_S)
        return read_answer(json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        return Found(0, (), (), f"no answer within {WITHIN_S} s")
    except ValueError:
        return Found(0, (), (), (done.stderr.strip().splitlines() or ["no answer"])[-1])


def read_answer(answer: Mapping[str, Any]) -> Found:
    """pip-audit's JSON: packages that were looked up, that were not, and what is known of them."""
    entries = answer["dependencies"]
    skipped = tuple(each["name"] for each in entries if "skip_reason" in each)
    known = tuple(
        (each["name"], each["version"], vulnerability["id"])
        for each in entries
        for vulnerability in each.get("vulns", ())
    )
    return Found(len(entries) - len(skipped), skipped, known)


def read_allowed(file: Path) -> dict[tuple[str, str], date]:
    """Until when each (package, id) is accepted. Raises ConfigError for an entry without reason or last day."""
    found = {}
    for number, entry in enumerate(tomllib.loads(file.read_text(encoding="utf-8")).get("allowed", []), start=1):
        if set(entry) != {"package", "id", "reason", "until"} or not entry["reason"].strip():
            raise ConfigError(f"{file}: entry {number}: expected package, id, reason and until, found {sorted(entry)}")
        if not isinstance(entry["until"], date):
            raise ConfigError(f"{file}: entry {number}: until: expected a date, found {entry['until']!r}")
        found[normal(entry["package"]), entry["id"]] = entry["until"]
    return found


def refused(
    known: Sequence[tuple[str, str, str]], allowed: Mapping[tuple[str, str], date], today: date
) -> list[tuple[str, str, str]]:
    """The vulnerabilities that are not accepted, or no longer."""
    return [each for each in known if today > allowed.get((normal(each[0]), each[2]), date.min)]


def report(name: str, found: Found, allowed: Mapping[tuple[str, str], date], strict: bool) -> int:
    """Tell what was found in a lock; 1 where it must not stay so."""
    bad = refused(found.vulnerabilities, allowed, datetime.now(UTC).date())
    accepted = len(found.vulnerabilities) - len(bad)
    say(f"{name}: {found.looked_up} packages looked up, {len(bad)} vulnerabilities, {accepted} more accepted")
    for package, version, id in bad:
        say(f"  {package} {version}: {id}; raise its pin in constraints.txt, or say in {ALLOWED.name} why it may stay")
    if found.unreachable:
        say(f"  NOT AUDITED: {found.unreachable}")
    elif found.skipped:
        shown = ", ".join(found.skipped[:5]) + (", ..." if len(found.skipped) > 5 else "")
        say(f"  NOT AUDITED: the service has no answer for {len(found.skipped)} packages: {shown}")
    return int(bool(bad) or (strict and not found.complete))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
