"""The two pages that are made from the code are as the code is now, and leave nothing out."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest
from typer.main import get_command

from pipelines.cli import app
from tests.support.pages import ROOT

MADE = ("run_file_reference", "command_reference")


@pytest.fixture
def extension(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(ROOT / "docs" / "extensions")
    return importlib.import_module(request.param)


@pytest.mark.parametrize("extension", MADE, indirect=True)
def test_the_page_is_as_the_code_is(extension: ModuleType) -> None:
    assert extension.PAGE.read_text(encoding="utf-8") == extension.page(), "run `make docs` and commit docs/reference"


@pytest.mark.parametrize("extension", MADE[:1], indirect=True)
def test_every_key_says_what_it_means(extension: ModuleType) -> None:
    rows = [line for line in extension.page().splitlines() if line.startswith("| `")]
    assert len(rows) > 200
    assert [row for row in rows if row.endswith("|  |")] == []


@pytest.mark.parametrize("extension", MADE[1:], indirect=True)
def test_every_command_and_option_is_there(extension: ModuleType) -> None:
    sections = dict(part.split("\n", 1) for part in extension.page().split("\n## loregraph ")[1:])
    commands = get_command(app).commands
    assert {*sections} == {name for name, command in commands.items() if not command.hidden}
    for name, section in sections.items():
        for option in commands[name].params:
            assert option.hidden or option.opts[0] in section or option.name.upper() in section, (
                f"{name}: {option.name}"
            )


@pytest.mark.parametrize("extension", ["docstrings"], indirect=True)
def test_aligned_docstrings_are_shown_as_they_stand(extension: ModuleType) -> None:
    lines = ["Of |truth| and `a|b`.", "", "recall@k   hits / |truth|", "", "| seen | paid |"]
    shown = [
        "Of \\|truth\\| and `a|b`.",
        "",
        "::",
        "",
        "   recall@k   hits / |truth|",
        "",
        "::",
        "",
        "   | seen | paid |",
    ]
    assert extension.prepared(lines) == shown


@pytest.mark.parametrize("extension", ["outer_pages"], indirect=True)
def test_links_between_the_root_and_the_pages_hold(extension: ModuleType) -> None:
    source = ["[figures](../BENCHMARKS.md#one), [more](../../BENCHMARKS.md)"]
    extension.read(None, "recipes", source)
    assert source == ["[figures](benchmarks.md#one), [more](../benchmarks.md)"]
