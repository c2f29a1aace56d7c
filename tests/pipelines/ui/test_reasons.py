"""Every reason that a reject can have is told in words."""

import ast
from pathlib import Path

import pytest

from features.readers.checks import _FAULTS
from pipelines.ui.rejects import MEANINGS, OTHER, meaning_of

ROOT = Path(__file__).parents[3]


def raised(folder: str) -> set[str]:
    """The reasons that stand as literals in an AnswerError of the code."""
    calls = [
        node.args[0]
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "AnswerError"
    ]
    constants = [part for call in calls for part in ast.walk(call) if isinstance(part, ast.Constant)]
    return {part.value for part in constants if isinstance(part.value, str)}


@pytest.mark.parametrize("folder", ["features", "language_models", "recommenders"])
def test_every_reason_of_the_code_has_words(folder) -> None:
    found = raised(folder)
    assert found, "no reason was found: the test reads the wrong place"
    assert found <= set(MEANINGS)


def test_faults_of_rows_and_endings_of_answers_have_words() -> None:
    from language_models.judging import NOT_ANSWERS

    assert {*_FAULTS, *NOT_ANSWERS} <= set(MEANINGS)


def test_calls_that_failed_and_reasons_of_later_versions_are_told_too() -> None:
    assert meaning_of("error:server") == meaning_of("something_new") == OTHER
    assert all(meaning and next_step for meaning, next_step in (*MEANINGS.values(), OTHER))
