"""The command lines of the pages: what is a command, whether it exists as it is shown, and which ones are run."""

from __future__ import annotations

import importlib.util
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer._click.exceptions import ClickException
from typer.main import get_command

from language_models.simulator.options import read_options
from pipelines.cli import app
from tests.support.docs_world import BOOK, DS, LAKE, READER, RUN_FILE
from tests.support.pages import ROOT, Block

COMMANDS: dict[str, Any] = get_command(app).commands
OTHERS = {  # programs that are not ours: what stands behind them is not read
    *(
        "cd",
        "cp",
        "mkdir",
        "cat",
        "ls",
        "tail",
        "curl",
        "git",
        "export",
        "source",
        "pip",
        "pipx",
        "uv",
        "hf",
        "airflow",
    ),
    *("spark-submit", "torchrun", "vllm", "ollama", "docker", "kubectl", "helm", "psql", "df", "jq", "venv-pack"),
    *("printf", "echo", "for", "done"),
}
RUN = {  # quick ones that only read, or write what no other page reads
    *("list", "prompt", "plan", "top", "neighbours", "why", "table", "releases", "history", "features", "vacuum"),
}
STANDS_FOR = {"FILE": RUN_FILE, "URL": LAKE, "4711": READER, "0553213113": BOOK, "USER": READER, "ITEM": BOOK}
ASSIGNMENT = re.compile(r"^\w+=\S*$")


def lines_of(block: Block) -> Iterator[str]:
    """Whole command lines: of a console those after `$`, with lines that end in a backslash joined."""
    text = block.text.replace("\\\n", " ")
    for line in text.splitlines():
        if block.language == "console":
            if not line.startswith("$ "):
                continue
            line = line[2:]
        if line.strip() and not line.lstrip().startswith("#"):
            yield line.strip()


def commands_of(line: str) -> Iterator[list[str]]:
    """The commands of a line in words, without what is set before them or where they write; comments are left out."""
    words = shlex.split(line, comments=True)
    for joins, part in itertools.groupby(words, lambda word: word in ("|", "&&", "||", ";", "&")):
        if not joins:
            told = list(itertools.takewhile(lambda word: word not in (">", ">>", "2>&1", "<"), part))
            yield list(itertools.dropwhile(ASSIGNMENT.match, told))


def check(words: list[str]) -> None:
    """Raise AssertionError where there is no such command, option, file, target or module."""
    program, rest = Path(words[0]).name, words[1:]
    if program == "loregraph":
        check_ours(rest)
    elif program == "make":
        for target in (word for word in rest if "=" not in word and not word.startswith("-")):
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"make {target}: no target"
    elif program in ("python", "python3"):
        _check_python(rest)
    else:
        assert program in OTHERS, f"{program}: unknown program; a page names ours, or one of {sorted(OTHERS)}"


def check_ours(arguments: list[str]) -> None:
    """Parse as the command itself does, without running it."""
    assert arguments, "loregraph: no command"
    name, *rest = arguments
    if name.startswith("--"):
        return
    assert name in COMMANDS, f"loregraph {name}: no such command"
    if "--help" in rest:
        return
    if name == "simulate":
        read_options([_real(word) for word in rest], "loregraph simulate")
        return
    try:
        COMMANDS[name].make_context(name, [_sound(word) for word in rest])
    except ClickException as error:
        raise AssertionError(f"loregraph {shlex.join(arguments)}: {error.format_message()}") from None


def _sound(word: str) -> str:
    """A placeholder as the parser takes it: N stands for a number."""
    return "7" if word == "N" else word


def _check_python(rest: list[str]) -> None:
    if rest[:1] == ["-m"]:
        assert importlib.util.find_spec(rest[1]) or rest[1].endswith(".NAME"), f"python -m {rest[1]}: no such module"
    elif rest and not rest[0].startswith("-"):
        assert (ROOT / rest[0]).exists(), f"python {rest[0]}: no such file"


def runnable(words: list[str]) -> list[str] | None:
    """The arguments with which a command is run in the pages' folder, or None where it is only parsed."""
    if words[:1] != ["loregraph"] or len(words) < 2 or words[1] not in RUN or "--help" in words:
        return None
    real = [_real(word) for word in words[1:]]
    if real[:2] == ["why", "recommendation"]:
        return None  # nobody knows before the night who is offered what
    if real[0] == "plan" and "--ds" not in real:
        real += ["--ds", DS]  # else today's, of which there is no table
    options = list(itertools.pairwise(real))
    files = [word for flag, word in options if flag == "--run"]
    lakes = [word for flag, word in options if flag == "--lake"]
    mine = set(files) <= {RUN_FILE} and set(lakes) <= {LAKE}
    return real if mine and (files or lakes or words[1] in ("list", "prompt")) else None


def _real(word: str) -> str:
    return STANDS_FOR.get(word, word)


def names_files(words: list[str]) -> list[Path]:
    """Run files and fault scripts that are named and must be in the repository; what `cp` makes need not."""
    named = words[:-1] if words[0] == "cp" else words
    return [ROOT / word for word in named if word.startswith("infra/")]
