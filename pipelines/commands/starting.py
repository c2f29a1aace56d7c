"""The first minute: a run file for somebody's own files, and what stands in the way of a night."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.base import JsonOption, LakeOption, app, tell
from schemas.errors import ConfigError


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder with your files: Parquet, CSV, JSON lines.")],
    out: Annotated[Path | None, typer.Option("--out", help="The run file; NAME.toml here when left out.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Of the run; the folder's when left out.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a run file that is there.")] = False,
    column: Annotated[
        list[str] | None, typer.Option("--column", help="OURS=THEIRS, such as user_id=who; may be given again.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look at your files and write a commented run file that a night runs as it is."""
    from pipelines.starting.init import init as write
    from pipelines.starting.init import lines

    found = write(folder, out, name, force, _columns(column or []))
    tell(found, lines, as_json)


def _columns(given: list[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    for ours, _, theirs in pairs:
        if not ours or not theirs:
            raise ConfigError(f"--column: {ours!r}: expected OURS=THEIRS, such as user_id=who")
    return {ours.strip(): theirs for ours, _, theirs in pairs}


@app.command()
def doctor(
    run: Annotated[Path | None, typer.Option("--run", help="Run file (TOML); the machine alone when left out.")] = None,
    lake: LakeOption = None,
    call: Annotated[bool, typer.Option("--call", help="Also ask the endpoint for one token, which is paid.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check versions, Java, GPU, disk and clock, and with --run data, key, endpoint and ledger; say what to do next."""
    from pipelines.starting.doctor import examine, lines

    found = examine(run, lake, call)
    tell(found, lines, as_json)
    if not found["healthy"]:
        raise typer.Exit(1)
