"""Every command line of the documentation exists as it is shown; those that are quick and only read are run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from tests.support.page_commands import check, commands_of, lines_of, names_files, runnable
from tests.support.pages import Block, blocks

SHELL = [block for block in blocks() if block.language in ("sh", "console")]
TO_RUN = [
    pytest.param(arguments, id=f"{block} {line}"[:90])
    for block in SHELL
    if block.reason is None
    for line in lines_of(block)
    for command in commands_of(line)
    if (arguments := runnable(command)) is not None
]


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_every_command_exists_with_the_options_it_is_shown_with(block: Block) -> None:
    for line in lines_of(block):
        for words in filter(None, commands_of(line)):
            check(words)
            assert block.reason or all(file.exists() for file in names_files(words)), line


@pytest.mark.parametrize("arguments", TO_RUN)
def test_quick_commands_do_what_they_say(arguments: list[str], home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
    assert done.output.strip()


def test_the_first_minute_is_as_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its shell runs as it stands; our own commands are noted there and run after it, in this process."""
    shell = "".join(block.text for block in SHELL if block.page == "docs/first-minute.md" and block.reason is None)
    noted = 'loregraph() { printf "%s\\n" "$*" >> commands; }\n'
    subprocess.run(["bash", "-euc", noted + shell], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    for line in (tmp_path / "commands").read_text().splitlines():
        done = CliRunner().invoke(app, line.split())
        assert done.exit_code == 0, f"loregraph {line}: {done.output}\n{done.exception!r}"
    assert (tmp_path / "first" / "shop.toml").is_file()


def test_many_commands_are_run() -> None:
    assert len(TO_RUN) >= 20
