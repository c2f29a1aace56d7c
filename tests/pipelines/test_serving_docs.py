"""docs/serving.md tells the truth: its commands are there, and the sample's run file takes what it shows."""

import re
import shlex
from pathlib import Path

from typer.main import get_command

from pipelines.checks import check_run
from pipelines.cli import app
from schemas.run import load_run
from schemas.sections import Recommend
from schemas.tables import TABLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def test_every_command_is_there_with_the_options_it_is_shown_with() -> None:
    commands = get_command(app).commands
    lines = [shlex.split(line) for line in re.findall(r"^loregraph .*$", PAGE, flags=re.MULTILINE)]
    assert len(lines) == 5  # at the beginning of a line
    for _, name, *arguments in lines:
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in arguments if word.startswith("--")} <= known


def test_the_sample_takes_the_blocks_that_are_shown(tmp_path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 2
    sample = (ROOT / "infra" / "runs" / "sample.toml").read_text(encoding="utf-8")
    (tmp_path / "run.toml").write_text("\n".join([sample, *blocks]), encoding="utf-8")
    run = load_run(tmp_path / "run.toml")
    check_run(run)
    assert (run.recommend.neighbours, run.recommend.index) == (20, "usearch")
    assert (run.models[-1].cold_items, run.models[-1].cold_spread) == ("text", 0.9)


def test_keys_defaults_and_columns_are_those_of_the_code() -> None:
    for name, shown in re.findall(r"^\| `(\w+)` \| `?\"?(\w+)\"?`? \|", PAGE, flags=re.MULTILINE):
        assert str(getattr(Recommend(), name)) == shown
    for name in ("recommendations", "neighbours"):
        columns = re.findall(r"`(\w+)`", re.search(rf"`{name}` \(([^)]*)\)", PAGE)[1])
        assert columns == list(TABLES[name].columns)
