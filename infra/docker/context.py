"""The build context: the files that .dockerignore lets reach the builder."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path


def context_files(root: Path) -> list[str]:
    """Files of the working copy (tracked, or new and not ignored) that .dockerignore leaves, relative to `root`."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    rules = read_rules(root / ".dockerignore")
    return [file for file in listed if (root / file).is_file() and not ignored(file, rules)]


def copy_context(root: Path, to: Path) -> None:
    """Put the build context into an empty folder."""
    for file in context_files(root):
        (to / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / file, to / file)


def read_rules(file: Path) -> list[tuple[re.Pattern[str], bool]]:
    """The patterns of a .dockerignore in order, each with whether it lets a file in again."""
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return [(_pattern(line.removeprefix("!")), line.startswith("!")) for line in lines if line and line[0] != "#"]


def ignored(file: str, rules: list[tuple[re.Pattern[str], bool]]) -> bool:
    """Whether the last pattern that matches the file, or a folder that it is in, keeps it out."""
    parts = file.split("/")
    names = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    verdicts = [not back for pattern, back in rules if any(pattern.fullmatch(name) for name in names)]
    return bool(verdicts) and verdicts[-1]


def _pattern(text: str) -> re.Pattern[str]:
    escaped = re.escape(text).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    return re.compile(escaped)
