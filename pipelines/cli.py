"""The `loregraph` command; its subcommands are in `pipelines.commands`.

Exit codes: 0 done, 2 usage or configuration, 3 a data gate failed, 4 budget reached, 1 anything else.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from types import TracebackType
from typing import Annotated

import typer

from graph_models.processes import processes
from pipelines.commands import nights, reading, releases, samples, serving, starting
from pipelines.commands.base import app
from pipelines.extras import missing_extra
from schemas.errors import ConfigError, LoregraphError

__all__ = ["app", "main"]

SUBCOMMANDS = (starting, samples, nights, releases, serving, reading)  # each adds its own to `app` where it is imported


def main() -> None:
    """Run the command; an error of ours ends as one readable message and its exit code, any other as it is, and why."""
    sys.excepthook = _unexpected
    try:
        app(standalone_mode=True)
    except LoregraphError as error:
        typer.echo(f"loregraph: {error}", err=True)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if (told := missing_extra(error)) is None:
            raise
        typer.echo(f"loregraph: {told}", err=True)
        sys.exit(told.exit_code)
    except KeyboardInterrupt:
        typer.echo("loregraph: stopped; run the same command again to go on", err=True)
        sys.exit(1)


def _unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The whole traceback, which whoever mends it needs, and behind it what to do."""
    sys.__excepthook__(kind, error, trace)
    typer.echo(
        "loregraph: this should have been a clear message, and is a mistake of Loregraph's or of what it stands on. "
        "What is finished is kept. `loregraph doctor` looks at this machine; please report these lines and the command",
        err=True,
    )


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"loregraph {version('loregraph')}")
        raise typer.Exit


@app.callback()
def _in_one_process(
    context: typer.Context,
    _: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand != "train" and (size := processes().size) > 1:
        raise ConfigError(f"{context.invoked_subcommand}: only train runs in several processes, found {size} here")


if __name__ == "__main__":
    main()
