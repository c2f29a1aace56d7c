"""The lake read by a real Spark session."""

import shutil

import polars as pl
import pytest

from features.spark import local_session, read_table
from features.store import DeltaStore
from schemas.errors import StoreError

pytest.importorskip("pyspark")
if shutil.which("java") is None:
    pytest.skip("Spark needs Java 17 on the PATH", allow_module_level=True)


@pytest.fixture(scope="module")
def spark():
    session = local_session()
    yield session
    session.stop()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = DeltaStore(str(tmp_path_factory.mktemp("lake")))
    for ds, ids in (("2026-01-01", ["a", "b"]), ("2026-01-02", ["a", "c"])):
        vectors = pl.Series([[1.0, 2.0], [3.0, 4.0]], dtype=pl.List(pl.Float32))
        store.overwrite("things", pl.DataFrame({"id": ids, "vector": vectors}), ds)
    store.overwrite("things", pl.DataFrame({"id": ["z"], "vector": [[5.0, 6.0]]}).cast(store_schema()), "2026-01-01")
    return store


def store_schema():
    return {"vector": pl.List(pl.Float32)}


def test_only_the_live_version_is_read(spark, store) -> None:
    assert sorted(row.id for row in read_table(spark, store, "things").collect()) == ["a", "c", "z"]


def test_one_night_equals_what_polars_reads(spark, store) -> None:
    frame = read_table(spark, store, "things", "2026-01-02").select("id", "vector").toArrow()
    assert pl.from_arrow(frame).sort("id").equals(store.read("things", ds="2026-01-02").sort("id"))


def test_a_missing_night_says_so(spark, store) -> None:
    with pytest.raises(StoreError, match="nothing to read for 2026-02-01"):
        read_table(spark, store, "things", "2026-02-01")
