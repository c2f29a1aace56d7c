"""The command itself, the options that several subcommands share, and how a finding is printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.commands.completing import models

app = typer.Typer(
    name="loregraph",
    help="What language models know about a catalogue, as feature tables, and recommenders trained on them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

RunOption = Annotated[Path, typer.Option("--run", help="Run file (TOML).", show_default=False)]
DsOption = Annotated[str | None, typer.Option("--ds", help="Date of the night, YYYY-MM-DD; today (UTC) when left out.")]
PastOption = Annotated[str | None, typer.Option("--ds", help="Night to read; the last one when left out.")]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="The one that is published when left out.", autocompletion=models)
]
CountOption = Annotated[int, typer.Option("--k", min=1, help="How many items.")]
LakeOption = Annotated[
    str | None, typer.Option("--lake", help="Folder or URL of the tables, instead of the run file's.")
]
CostOption = Annotated[
    float | None, typer.Option("--max-cost", min=0, help="Stop with exit code 4 before spending more dollars.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]


def tell(found: Any, lines: Callable[[Any], list[str]], as_json: bool) -> None:
    """What was found, in lines, and with --json as one object at the end."""
    typer.echo("\n".join(lines(found)))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))
