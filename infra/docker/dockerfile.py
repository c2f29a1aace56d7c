"""A Dockerfile as stages and steps: as much of its language as ours uses.

Source: https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigError

WORDS = frozenset(
    "ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL RUN USER VOLUME WORKDIR".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction: its word, the rest of its line, and the line that it begins on."""

    word: str
    text: str
    line: int

    @property
    def flags(self) -> dict[str, str]:
        """`--name=value` before the arguments."""
        flags = [word for word in shlex.split(self.text) if word.startswith("--")]
        return dict(flag[2:].partition("=")[::2] for flag in flags)

    @property
    def arguments(self) -> list[str]:
        """The words without flags; of a JSON form its strings."""
        if self.text.startswith("["):
            return [str(each) for each in json.loads(self.text)]
        return [word for word in shlex.split(self.text) if not word.startswith("--")]


@dataclass(frozen=True, slots=True)
class Stage:
    """A FROM and what follows it. `base` is another stage's name or an image."""

    name: str
    base: str
    steps: tuple[Step, ...]

    def last(self, word: str) -> Step | None:
        """The instruction that counts where each replaces the one before."""
        return next((step for step in reversed(self.steps) if step.word == word), None)


def read_stages(file: Path) -> dict[str, Stage]:
    """The stages of a Dockerfile in order. Raises ConfigError for a word that is not known here."""
    stages: dict[str, Stage] = {}
    name, base, steps = "", "", list[Step]()
    for step in _steps(file):
        if step.word != "FROM":
            steps.append(step)
            continue
        if name:
            stages[name] = Stage(name, base, tuple(steps))
        base, _, name = [*step.arguments, "AS", str(len(stages))][:3]
        steps = []
    return {**stages, name: Stage(name, base, tuple(steps))}


def chain(stages: dict[str, Stage], target: str) -> list[Stage]:
    """A stage and those that it stands on, the lowest first."""
    found = [stages[target]]
    while (base := found[0].base) in stages:
        found.insert(0, stages[base])
    return found


def needed(stages: dict[str, Stage], target: str) -> list[str]:
    """Every stage that a target needs, in the order of the file."""
    wanted, todo = set[str](), [target]
    while todo:
        name = todo.pop()
        if name in stages and name not in wanted:
            wanted.add(name)
            todo += [stages[name].base, *(step.flags.get("from", "") for step in stages[name].steps)]
    return [name for name in stages if name in wanted]


def _steps(file: Path) -> Iterator[Step]:
    logical, start = "", 0
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if line.lstrip().startswith("#") or not (logical or line.strip()):
            continue
        start = start if logical else number
        logical += line
        if logical.endswith("\\"):
            logical = logical[:-1]
            continue
        word, _, text = re.sub(r"\s+", " ", logical).strip().partition(" ")
        if word not in WORDS:
            raise ConfigError(f"{file}:{start}: {word}: not one of {', '.join(sorted(WORDS))}")
        yield Step(word, text, start)
        logical = ""
