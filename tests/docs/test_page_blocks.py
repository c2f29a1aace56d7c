"""Every fenced block of the documentation says what it is, and is true: Python runs, run files load, others parse."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.checks import check_run
from schemas.run import load_run
from tests.support.docs_world import LAKE, RUN_FILE
from tests.support.page_run_files import write_whole
from tests.support.pages import LANGUAGES, ROOT, Block, blocks

BLOCKS = blocks()
ELSEWHERE = {"docs/feature-store.md": "tests/features/test_feature_store_doc.py"}  # these need more than the sample
PYTHON = [block for block in BLOCKS if block.language == "python" and block.page not in ELSEWHERE]


def of(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


def test_every_block_says_what_it_is() -> None:
    unknown = [f"{block}: {block.language!r}" for block in BLOCKS if not _is_known(block)]
    assert not unknown, f"give these blocks a language of {sorted(LANGUAGES)}: {unknown}"


def _is_known(block: Block) -> bool:
    drawing = block.page in ("README.md", "CONTRIBUTING.md") and block.language == ""
    return drawing or block.is_directive or block.language in LANGUAGES


def test_what_is_not_run_says_why_and_is_little() -> None:
    code = [block for block in BLOCKS if block.language in ("python", "toml", "sh", "console")]
    unrun = [block for block in code if block.reason is not None]
    assert all(len(block.reason or "") >= 10 for block in unrun), unrun
    assert len(unrun) <= len(code) / 6, [f"{block}: {block.reason}" for block in unrun]


@pytest.mark.parametrize("block", of("toml"), ids=str)
def test_run_files_are_accepted(block: Block, tmp_path: Path) -> None:
    """One that is not run (`<!-- not run: ... -->`) names what is not here, such as a model's folder: it is loaded."""
    run = load_run(write_whole(block.text, tmp_path))
    if block.reason is None:
        check_run(run)


@pytest.mark.parametrize("page", sorted({block.page for block in PYTHON}))
def test_the_python_of_a_page_runs(page: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page share their names."""
    monkeypatch.chdir(home)
    names: dict[str, Any] = {"__name__": "page", "RELEASED": LAKE, "RUN_FILE": RUN_FILE}
    for block in (each for each in PYTHON if each.page == page):
        code = compile("\n" * (block.line - 1) + block.text, page, "exec")
        if block.reason is None:
            exec(code, names)


def test_pages_that_run_elsewhere_do() -> None:
    for test in ELSEWHERE.values():
        assert "run_block(" in (ROOT / test).read_text(encoding="utf-8")


@pytest.mark.parametrize("block", of("json") + of("jsonl"), ids=str)
def test_json_parses(block: Block) -> None:
    for text in block.text.splitlines() if block.language == "jsonl" else [block.text]:
        json.loads(text)


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_yaml_parses(block: Block) -> None:
    assert list(yaml.safe_load_all(block.text))


@pytest.mark.parametrize("block", of("sql"), ids=str)
def test_sql_parses(block: Block) -> None:
    duckdb = pytest.importorskip("duckdb")
    assert duckdb.extract_statements(block.text)


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = {
        str(Path(block.page).parent / line.strip())
        for block in of("{toctree}")
        for line in block.text.splitlines()
        if line.strip() and not line.startswith(":")
    }
    for page, _ in groupby(sorted(block.page for block in BLOCKS if block.page.startswith("docs/"))):
        assert page.removesuffix(".md") in listed or page == "docs/index.md", f"{page} is in no toctree"
