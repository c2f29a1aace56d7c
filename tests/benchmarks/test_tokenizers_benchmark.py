"""The comparison with published semantic ids: its table, and on Beauty that ours are no worse where it counts."""

import os
from pathlib import Path

import polars as pl
import pytest

from benchmarks.tokenizers import DS, STEPS, codes_of, published, table
from pipelines.job import run_night
from pipelines.night import open_night
from schemas.run import load_run

BEAUTY = Path(os.environ.get("LOREGRAPH_DATA", "../shared/data")) / "beauty"
RUN = """
name = "tokens"
lake = "lake"
[data]
path = "{path}"
[split]
rule = "leave_one_out"
[[semantic_ids]]
name = "rq_kmeans"
item = "title"
[[semantic_ids]]
name = "rq_vae"
tokenizer = "rq_vae"
item = "title"
options = {{ epochs = 120 }}
"""


def test_published_codes_are_put_into_the_order_of_items() -> None:
    rows = pl.DataFrame({"item_id": ["b", "c", "a"], "code": [[1, 2], [3, 4], [5, 6]]})
    assert codes_of(rows, pl.Series(["a", "b", "c"])).tolist() == [[5, 6], [1, 2], [3, 4]]


def test_the_table_has_a_line_for_each_set_of_codes() -> None:
    report = {
        **{"sizes": [256] * 6, "used": [1.0, 0.5], "perplexity": [201.4], "distinct": 11_000, "collisions": 0.066},
        **{"largest_tie": 25, "purity": [0.49, 0.07], "collaborative": [0.5, None]},
    }
    lines = list(table([("ours", 63.2, report), ("theirs", None, report)]))
    line = "| `ours` | 63 | 256 256 256 256 ... | 100% 50% | 201 | 11,000 | 6.6% | 25 | 49.0% 7.0% | 0.50 - |"
    assert lines[2:] == [line, line.replace("`ours` | 63", "`theirs` | ")]


@pytest.mark.slow
@pytest.mark.skipif(not (BEAUTY / "items.parquet").exists(), reason=f"no {BEAUTY}; set LOREGRAPH_DATA")
def test_beauty_beside_published_codes(tmp_path: Path) -> None:
    """Encodes 12,101 titles and fits two tokenizers: some minutes."""
    file = tmp_path / "run.toml"
    file.write_text(RUN.format(path=BEAUTY.resolve()))
    for step in STEPS:
        run_night(file, step=step, ds=DS)
    night = open_night(load_run(file), DS)
    ours = {each["name"]: each["report"] for each in night.records("tokenize")[0]["semantic_ids"]}
    (theirs, prefix) = (report for _, _, report in published(night))
    assert (theirs["distinct"], theirs["largest_tie"]) == (12_088, 3)
    for report in ours.values():
        assert report["items"] == 12_101
        assert report["collisions_left"] == 0.0
        assert min(report["used"]) == 1.0
        assert report["purity"][0] > prefix["purity"][0]
    assert ours["rq_vae"]["collisions"] < 0.1
    assert ours["rq_kmeans"]["distinct"] > 10_000
