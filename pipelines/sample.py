"""The sample that comes with the package, written into a folder of the user's: data, run files, faults."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

from schemas.errors import ConfigError

PARTS = (
    "sample/README.md",
    "sample/items.csv",
    "sample/interactions.parquet",
    "runs/sample.toml",
    "runs/rehearsal.toml",
    "faults/rehearsal.toml",
)  # below infra, as in the repository: every command of the documentation means the same


def write_sample(folder: Path) -> list[Path]:
    """The files, written where they are not there yet. Raises ConfigError before anything is written over."""
    made = {folder / "infra" / part: _content(part) for part in PARTS}
    for file, content in made.items():
        if file.exists() and file.read_bytes() != content:
            raise ConfigError(f"{file}: there already, and not as the sample has it; give another folder")
    for file, content in made.items():
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    return list(made)


def _content(part: str) -> bytes:
    with as_file(files("infra").joinpath(part)) as file:
        return file.read_bytes()
