"""The block for Spark of docs/feature-store.md, in a real session."""

from features.store import DeltaStore
from tests.support.feature_store_page import run_block
from tests.support.released_world import BOOKS, READERS, VECTOR, release


def test_spark_reads_the_versions_of_the_release(spark, tmp_path) -> None:
    store = DeltaStore(str(tmp_path / "lake"))
    release(store, "2026-01-01", 1)
    store.overwrite("embeddings", store.read("embeddings", "2026-01-01").head(1), "2026-01-01")  # not released
    rows = run_block("Spark", store.root, spark=spark)["per_source"].collect()
    assert [tuple(row) for row in rows] == [
        ("item", VECTOR, BOOKS),
        ("user", "rlmrec.user/summarization@tiny", READERS),
    ]
