"""The sample, for those who have installed the package alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.base import app


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="Where to; here when left out.")] = Path(),
) -> None:
    """Write the sample and its run files into a folder, where they are not there yet."""
    from pipelines.sample import write_sample

    for file in write_sample(folder):
        typer.echo(str(file))
    typer.echo(f"next: loregraph night --run {folder / 'infra' / 'runs' / 'sample.toml'}", err=True)
