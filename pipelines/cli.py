"""The `loregraph` command; its subcommands are in `pipelines.commands`.

Exit codes: 0 done, 2 usage or configuration, 3 a data gate failed, 4 budget reached, 1 anything else.
"""

from __future__ import annotations

import sys

import typer

from graph_models.processes import processes
from pipelines.commands import nights, reading, releases, serving
from pipelines.commands.base import app
from schemas.errors import ConfigError, LoregraphError

__all__ = ["app", "main"]

SUBCOMMANDS = (nights, releases, serving, reading)  # each adds its own to `app` where it is imported


def main() -> None:
    """Run the command; an error of ours ends as one readable message and its exit code."""
    try:
        app(standalone_mode=True)
    except LoregraphError as error:
        typer.echo(f"loregraph: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("loregraph: stopped; run the same command again to go on", err=True)
        sys.exit(1)


@app.callback()
def _in_one_process(context: typer.Context) -> None:
    if context.invoked_subcommand != "train" and (size := processes().size) > 1:
        raise ConfigError(f"{context.invoked_subcommand}: only train runs in several processes, found {size} here")


if __name__ == "__main__":
    main()
