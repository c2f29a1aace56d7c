"""What a shell offers after TAB, asked by the protocol that bash, zsh and fish speak."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def offered(line: str) -> list[str]:
    """What bash is given for a line whose last word is being written."""
    words = line.split(" ")
    asked = {"_LOREGRAPH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    code = "import sys; sys.argv[0] = 'loregraph'; from pipelines.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True, timeout=60
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("loregraph do", ["doctor"]),
        ("loregraph list rec", ["recipes", "recommenders"]),
        ("loregraph prompt rlmrec.", ["rlmrec.item", "rlmrec.user"]),
        ("loregraph table embed", ["embeddings"]),
        ("loregraph init data --na", ["--name"]),
        (
            "loregraph top u1 --run infra/runs/sample.toml --model alpha",
            ["alpharec", "alpharec.title", "alpharec.shuffled"],
        ),
        ("loregraph top u1 --run missing.toml --model alpha", []),
    ],
)
def test_bash_is_offered_the_names_there_are(line, found) -> None:
    assert sorted(offered(line)) == sorted(found)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_its_script(shell) -> None:
    code = "import sys; sys.argv = ['loregraph', '--show-completion']; from pipelines.cli import main; main()"
    asked = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code.replace("'--show-completion'", f"'--show-completion', '{shell}'")],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
    )
    assert "_LOREGRAPH_COMPLETE" in done.stdout
