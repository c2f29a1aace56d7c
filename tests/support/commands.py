"""Whether a command line of an image, a compose file or a manifest is one that the real command takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import typer

from language_models.simulator.options import read_options
from pipelines.cli import app

PARSE = "import json, sys; from airflow.cli.cli_parser import get_parser; "
PARSE += "[get_parser().parse_args(each) for each in json.load(sys.stdin)]"


def parse_loregraph(arguments: list[str]) -> None:
    """Raises where `loregraph` would refuse the arguments."""
    name, *rest = arguments
    if name == "simulate":
        read_options(rest, "simulate")
        return
    typer.main.get_command(app).commands[name].make_context(name, list(rest))  # type: ignore[attr-defined]


def parse_airflow(commands: list[list[str]], home: Path) -> None:
    """Raises where `airflow` would refuse one of the commands; in a process of its own."""
    env = {**os.environ, "AIRFLOW_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", PARSE], input=json.dumps(commands), text=True, capture_output=True, env=env
    )
    assert done.returncode == 0, done.stderr[-2000:]
