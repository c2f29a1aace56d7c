"""README tells the truth about the tree, the commands and the files it names."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tree_names_every_folder_and_no_other() -> None:
    named = set(re.findall(r"^(\w+)/ ", README, flags=re.MULTILINE))
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    folders = {file.split("/")[0] for file in tracked if "/" in file and not file.startswith((".", "docs/"))}
    assert named == folders


def test_every_file_and_folder_that_is_named_is_there() -> None:
    named = re.findall(r"(?:infra|features|docs|graph_models)/[\w/.-]+\w", README)
    assert named
    for path in named:
        assert (ROOT / path).exists(), path


def test_every_step_and_list_that_is_named_is_a_command() -> None:
    shown = subprocess.run([sys.executable, "-m", "pipelines.cli", "--help"], capture_output=True, text=True).stdout
    steps = re.findall(r"--([a-z]+)-+>", README)
    assert len(steps) == 14
    for name in [*steps, "night", "list", "table"]:
        assert f" {name} " in shown


def test_the_run_file_examples_are_accepted(tmp_path: Path) -> None:
    from schemas.run import load_run

    blocks = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 2
    assert all(tomllib.loads(block) for block in blocks)
    file = tmp_path / "run.toml"
    file.write_text("\n".join(blocks))
    assert load_run(file).llm.max_cost_usd == 5.0


def test_every_make_target_that_is_named_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make (night|ui|test|airflow|lint|docs|audit|sbom|release)\b", README)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
