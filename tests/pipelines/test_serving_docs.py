"""docs/serving.md tells the truth: the sample's run file takes what it shows; tests/docs reads its commands."""

import re
from pathlib import Path

from pipelines.checks import check_run
from schemas.run import load_run
from schemas.sections import Recommend
from schemas.tables import TABLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


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
