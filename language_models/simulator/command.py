"""The command line of the simulator."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from schemas.errors import ConfigError, LoregraphError


def simulate(arguments: Sequence[str], program: str = "loregraph simulate") -> None:
    """Serve until a signal comes. Raises ConfigError on wrong options and where the extra `llm` is not installed."""
    try:
        from language_models.simulator.options import read_options
        from language_models.simulator.serving import serve
    except ModuleNotFoundError as error:
        raise ConfigError(f"simulate needs {error.name}: install loregraph[llm]") from None
    serve(read_options(arguments, program))


def main() -> None:
    """Run the command; an error of ours ends as one readable message and its exit code."""
    try:
        simulate(sys.argv[1:], "python -m language_models.simulator")
    except LoregraphError as error:
        sys.stderr.write(f"loregraph: {error}\n")
        sys.exit(error.exit_code)
