"""An environment of its own for peers: what they pin clashes with what we pin, so they never meet."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import LoregraphError

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Environment:
    """A virtual environment that one command makes by pip from a requirements file, where it is missing."""

    folder: Path
    requirements: Path
    command: str  # that makes it

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def missing(self) -> str:
        """What a figure says whose peers are not there."""
        return f"skipped: not installed; run {self.command}"

    @property
    def is_set_up(self) -> bool:
        """Whether the environment stands and is the one that the requirements ask for."""
        return self._done.exists() and self._done.read_text(encoding="utf-8") == self._wanted

    def set_up(self) -> None:
        """Make the environment, unless it stands. Raises LoregraphError with pip's message where that fails."""
        if self.is_set_up:
            return
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(self.folder)],
            [str(self.python), "-m", "pip", "install", "--quiet", "-r", str(self.requirements)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise LoregraphError(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
        (self.folder / ".gitignore").write_text("*\n", encoding="utf-8")
        self._done.write_text(self._wanted, encoding="utf-8")

    @property
    def _done(self) -> Path:
        """The requirements that it was made from."""
        return self.folder / "installed.txt"

    @property
    def _wanted(self) -> str:
        return self.requirements.read_text(encoding="utf-8")
