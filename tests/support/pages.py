"""The pages of the documentation as their fenced blocks: language, line, text, and why one is not run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^(?P<indent> *)(?P<marks>```+|~~~+)(?P<language>[^\s`]*)(?: .*)?$")
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>.+) -->\s*$")
LANGUAGES = {"python", "toml", "sh", "console", "sql", "json", "jsonl", "yaml", "ini", "dockerfile", "text", "csv"}
GENERATED = ("reference",)  # made from the code itself


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is that of its first line, `reason` why it is not run."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_directive(self) -> bool:
        return self.language.startswith("{")


def pages() -> list[Path]:
    """README, CONTRIBUTING and everything under docs that a reader reads."""
    found = [*(ROOT / "docs").rglob("*.md")]
    under = [each for each in found if not {"_build", *GENERATED} & set(each.relative_to(ROOT / "docs").parts)]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(under)]


def blocks() -> list[Block]:
    return [block for page in pages() for block in blocks_of(page)]


def blocks_of(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    name, at = str(page.relative_to(ROOT)), 0
    while at < len(lines):
        opened = FENCE.match(lines[at])
        at += 1
        if opened is None:
            continue
        start = at
        while lines[at].strip() != opened["marks"]:
            at += 1
        inside = [line.removeprefix(opened["indent"]) for line in lines[start:at]]
        language = opened["language"] or _guessed(inside)
        yield Block(name, start + 1, language, "\n".join(inside) + "\n", _reason(lines[: start - 1]))
        at += 1


def _guessed(lines: list[str]) -> str:
    """README and CONTRIBUTING are read on a Git host, where a block needs no language; it is code all the same."""
    return "sh" if any(re.match(r"(loregraph|make|python|pip) ", line) for line in lines) else ""


def _reason(before: list[str]) -> str | None:
    filled = [line for line in before if line.strip()]
    said = NOT_RUN.search(filled[-1]) if filled else None
    return said["reason"] if said else None
