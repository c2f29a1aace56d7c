"""Every command and option of `loregraph` as a page, read from the command itself: `docs/reference/commands.md`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generated_page import written_first
from sphinx.application import Sphinx
from typer.main import get_command

from language_models.simulator.options import _parser as simulator_parser
from pipelines.cli import app

PAGE = Path(__file__).parents[1] / "reference" / "commands.md"
HEAD = """# Every command and option

Made from the command itself by `make docs`; do not edit it here. `loregraph COMMAND --help` says the same.
[What the exit codes mean](../troubleshooting.md#exit-codes) is with the errors.

"""


def page() -> str:
    """The whole page, commands in the order of `loregraph --help`."""
    commands = get_command(app).commands  # type: ignore[attr-defined]  # of a group
    return HEAD + "\n".join(_command(name, command) for name, command in commands.items() if not command.hidden)


def _command(name: str, command: Any) -> str:
    if name == "simulate":
        return _simulator(command.help)
    arguments = [each for each in command.params if not each.opts[0].startswith("-")]
    options = [each for each in command.params if each.opts[0].startswith("-") and not each.hidden]
    usage = " ".join(["loregraph", name, *(_shown(each) for each in arguments), *_needed(options)])
    rows = [_row(_shown(each), each) for each in arguments] + [_row(_option(each), each) for each in options]
    table = ["| | | default |", "|---|---|---|", *rows, ""] if rows else []
    about = [" ".join(command.help.split()), ""]  # an option that a shell reads is no line break
    return "\n".join([f"## loregraph {name}", "", *about, "```sh", usage, "```", "", *table])


def _simulator(help: str) -> str:
    """`loregraph simulate` reads its options itself, without typer."""
    actions = [each for each in simulator_parser("loregraph simulate")._actions if each.dest != "help"]
    rows = [f"| `{each.option_strings[0]}` | {_cell(each.help or '')} |" for each in actions]
    lines = ["## loregraph simulate", "", help, "", "```sh", "loregraph simulate", "```", ""]
    return "\n".join([*lines, "| | |", "|---|---|", *rows, ""])


def _needed(options: list[Any]) -> list[str]:
    return [f"{each.opts[0]} {_value(each)}" for each in options if each.required]


def _shown(argument: Any) -> str:
    return argument.name.upper() + (" ..." if argument.nargs == -1 else "")


def _option(option: Any) -> str:
    names = "`, `".join([*option.opts, *option.secondary_opts])
    return names if option.is_flag else f"{names} {_value(option)}"


def _value(option: Any) -> str:
    kinds = {"run": "FILE", "lake": "LAKE", "ds": "DATE", "out": "PATH"}
    return str(option.metavar or kinds.get(option.name, option.name.upper()))


def _row(shown: str, parameter: Any) -> str:
    default = (
        "*needed*" if parameter.required else "" if parameter.default in (None, False) else f"`{parameter.default}`"
    )
    return f"| `{shown}` | {_cell(parameter.help or '')} | {default} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the page before the sources are read."""
    return written_first(app, PAGE, page)
