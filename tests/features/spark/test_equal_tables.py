"""What Spark makes of a table is what Polars makes of it: splits, k-cores, embeddings, and what is read and written."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features import splits as polars
from features.corpus import make_corpus
from features.delta import arrow
from features.embedding_rows import embedding_rows
from features.histories import ask_each, shown
from features.recipes import make_recipes
from features.spark import has_connector, read_table
from features.spark.embeddings import embeddings
from features.spark.frames import from_polars, to_polars
from features.spark.histories import asked
from features.spark.k_core import k_core_of
from features.spark.order import numbered
from features.spark.splits import make_splits
from features.spark.tables import FILE, ROW, read_placed
from features.spark.writing import append, digest_of, overwrite, write_files
from features.store import DeltaStore
from schemas.errors import ConfigError, DataError, StoreError
from schemas.sections import Recipe, Refresh, Split
from schemas.tables import TABLES, conform

DS = "2026-01-01"
VECTORS = pl.Schema({"id": pl.String, "vector": pl.List(pl.Float32), "at": pl.Datetime("us")})
FEW = settings(
    max_examples=4,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # an example takes a second: none is made smaller
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
IDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=3)


@st.composite
def interactions(draw):
    """Pairs, each once, with ids of any characters and times and positions that often tie."""
    users, items = (draw(st.lists(IDS, min_size=4, max_size=12, unique=True)) for _ in range(2))
    pairs = st.tuples(st.sampled_from(users), st.sampled_from(items))
    rows = draw(st.lists(pairs, min_size=20, max_size=60, unique=True))
    frame = pl.DataFrame(rows, schema={"user_id": pl.String, "item_id": pl.String}, orient="row")
    with_column = {
        "timestamp": st.integers(0, draw(st.sampled_from([0, 2, 50]))),
        "position": st.integers(0, 3),
        "split": st.sampled_from(["train", "train", "test", draw(st.sampled_from(["train", "valid"]))]),
        "rating": st.floats(1, 5, width=32),
    }
    size = {"min_size": len(rows), "max_size": len(rows)}
    kept = draw(st.sets(st.sampled_from(list(with_column))))
    return frame.with_columns(pl.Series(name, draw(st.lists(with_column[name], **size))) for name in sorted(kept))


def stored(folder: Path, frame: pl.DataFrame, files: int = 1) -> DeltaStore:
    """The rows as a night of `interactions`, in so many files."""
    store = DeltaStore(str(folder))
    store.overwrite("interactions", frame.slice(0, frame.height // files), DS)
    for number in range(1, files):
        rows = frame.slice(number * (frame.height // files), frame.height // files if number < files - 1 else None)
        write_deltalake(f"{folder}/interactions", arrow(rows.with_columns(ds=pl.lit(DS))), mode="append")
    return store


def outcome(work):
    try:
        return work()
    except (DataError, ConfigError) as error:
        return type(error), str(error)


def on_spark(spark, store, split, until=None):
    made = make_splits(read_placed(spark, store, "interactions", DS), split, until, buckets=3)
    rows = to_polars(made.rows).sort("order")
    made.rows.unpersist()
    return rows, made.summary


def in_polars(store, split, until=None):
    rows = conform("splits", polars.make_splits(store.read("interactions", ds=DS), split, until)).sort("order")
    return rows, polars.split_summary(rows)


def assert_same_splits(spark, store, split, until=None):
    got, want = outcome(lambda: on_spark(spark, store, split, until)), outcome(lambda: in_polars(store, split, until))
    if isinstance(want[0], type):
        assert got == want
        return
    assert got[0].schema == want[0].schema
    assert got[0].equals(want[0])
    assert got[1] == want[1]


@FEW
@given(
    frame=interactions(),
    rule=st.sampled_from(["published", "time", "ratio", "leave_one_out", "oldest"]),
    seed=st.integers(0, 2**40),
)
def test_any_rows_get_the_parts_order_and_id_of_polars(spark, tmp_path_factory, frame, rule, seed):
    split = Split(rule=rule, seed=seed, valid=0.2, test=0.2, valid_rows="last", cold_items=0.1 * (seed % 2))
    assert_same_splits(spark, stored(tmp_path_factory.mktemp("lake"), frame), split)


WORLD = pl.DataFrame(
    [(f"ü{n % 11}", f"i{n * 7 % 31}", n * n % 17, ["train", "test"][n % 5 == 0]) for n in range(120)],
    schema=["user_id", "item_id", "timestamp", "split"],
    orient="row",
).unique(["user_id", "item_id"], maintain_order=True)


@pytest.mark.parametrize("rule", ["published", "time", "ratio", "leave_one_out", "oldest"])
def test_every_rule_over_several_files_and_up_to_a_moment(spark, tmp_path, rule):
    store = stored(tmp_path, WORLD, files=2)
    assert_same_splits(spark, store, Split(rule=rule, valid=0.2, test=0.2, cold_users=0.2), until=14)


def test_what_polars_refuses_is_refused_in_the_same_words(spark, tmp_path):
    store = stored(tmp_path, WORLD)
    assert_same_splits(spark, store, Split(rule="time"), until=0)
    assert_same_splits(spark, store, Split(rule="leave_one_out", min_interactions=1000))
    with pytest.raises(DataError, match="expected events before"):
        on_spark(spark, store, Split(rule="time"), until=0)


def test_numbers_follow_each_other_from_piece_to_piece(spark, tmp_path):
    store = stored(tmp_path, WORLD)
    rows = numbered(read_placed(spark, store, "interactions", DS), ["timestamp"], pieces=5)
    want = WORLD.sort("timestamp", maintain_order=True).with_columns(order=pl.int_range(pl.len(), dtype=pl.Int64))
    assert to_polars(rows.drop(FILE, ROW)).sort("order").equals(want)


@FEW
@given(frame=interactions(), k=st.integers(2, 5))
def test_any_k_core_is_that_of_polars_in_its_order(spark, frame, k):
    assert k_core_of(spark, frame, k).equals(polars.k_core(frame, k))


def test_embeddings_are_joined_as_in_polars(spark):
    texts = pl.DataFrame({"kind": "item", "id": ["a", "b", "c"], "source": "title@e", "text_hash": ["x", "y", "x"]})
    rows = {"encoder": ["e", "f"], "text_hash": ["x", "y"], "vector": [[0.6, 0.8], [1.0, 0.0]]}
    vectors = pl.DataFrame(rows, schema=TABLES["vectors"].columns)
    made = embeddings(from_polars(spark, texts), from_polars(spark, vectors), "e")
    known = vectors.filter(pl.col("encoder") == "e")
    want = embedding_rows(texts.join(known, on="text_hash", how="left", maintain_order="left"))
    assert to_polars(made).sort("id").equals(want)
    assert want["dim"].to_list() == [2, None, 2]
    made.unpersist()


@pytest.fixture
def things(tmp_path):
    store = DeltaStore(str(tmp_path / "lake"))
    for ds, ids in (("2026-01-01", ["a", "b"]), ("2026-01-02", ["a", "c"])):
        vectors = pl.Series([[1.0, 2.0], [3.0, 4.0]], dtype=pl.List(pl.Float32))
        store.overwrite("things", pl.DataFrame({"id": ids, "vector": vectors}), ds)
    last = pl.DataFrame({"id": ["z"], "vector": [[5.0, 6.0]]}, schema_overrides={"vector": pl.List(pl.Float32)})
    store.overwrite("things", last, "2026-01-01")
    return store


def test_only_the_asked_version_is_read(spark, things):
    assert sorted(row.id for row in read_table(spark, things, "things").collect()) == ["a", "c", "z"]
    assert sorted(row.id for row in read_table(spark, things, "things", version=0).collect()) == ["a", "b"]


def test_one_night_equals_what_polars_reads(spark, things):
    frame = to_polars(read_table(spark, things, "things", "2026-01-02").select("id", "vector"))
    assert frame.sort("id").equals(things.read("things", ds="2026-01-02").sort("id"))


def test_a_missing_night_says_so(spark, things):
    with pytest.raises(StoreError, match="nothing to read for 2026-02-01"):
        read_table(spark, things, "things", "2026-02-01")


def some(ids):
    at = [datetime(2026, 1, 1, 12, 0, 0, 123456)] * len(ids)
    return pl.DataFrame({"id": ids, "vector": [[float(n), 0.5] for n in range(len(ids))], "at": at}, schema=VECTORS)


def test_a_night_that_spark_writes_is_one_commit_that_every_reader_understands(spark, things):
    rows = some(["ü", "b", "c"])
    version, height = overwrite(things, "new", from_polars(spark, rows), VECTORS, DS)
    assert (height, version) == (3, 1)  # version 0 has the columns and no night
    assert things.read("new", ds=DS).sort("id").equals(rows.sort("id"))
    assert to_polars(read_table(spark, things, "new", DS).drop("ds")).sort("id").equals(rows.sort("id"))
    assert overwrite(things, "new", from_polars(spark, rows.reverse()), VECTORS, DS) == (version, 3)
    assert things.overwrite("new", rows, DS) == version  # to Polars, too, the night is the same
    overwrite(things, "new", from_polars(spark, some(["x"])), VECTORS, "2026-01-02")
    assert overwrite(things, "new", from_polars(spark, rows.head(2)), VECTORS, DS)[0] == version + 2
    assert things.read("new", ds=DS).height == 2
    assert things.read("new", ds="2026-01-02").height == 1
    left = [file.name for file in Path(things.root, "new").rglob("*") if file.suffix == ".crc" or file.name[0] == "."]
    assert not [name for name in left if not name.startswith("_")]


def test_a_night_without_rows_and_new_columns(spark, things):
    wide = pl.DataFrame({"id": ["a"], "n": [1]})
    overwrite(things, "things", from_polars(spark, wide), wide.schema, DS)
    assert things.read("things", ds=DS).select("id", "vector", "n").rows() == [("a", None, 1)]
    overwrite(things, "things", from_polars(spark, wide.clear()), wide.schema, DS)
    assert things.exists("things", DS)
    assert things.read("things", ds=DS).is_empty()
    with pytest.raises(StoreError, match="column id: expected String, found Int64"):
        overwrite(things, "things", from_polars(spark, wide.with_columns(id=1)), pl.Schema({"id": pl.Int64}), DS)


def test_files_that_no_commit_has_added_are_not_there(spark, things):
    before = things.read("things")
    write_files(from_polars(spark, some(["q"])).drop("at"), things, "things", f"ds={DS}")  # and killed here
    assert things.read("things").equals(before)
    assert sorted(row.id for row in read_table(spark, things, "things").collect()) == ["a", "c", "z"]


def test_rows_are_added_to_a_growing_table(spark, things):
    for ids in (["a"], ["b", "c"]):
        assert append(things, "grown", from_polars(spark, some(ids)), VECTORS) == len(ids)
    assert sorted(things.read("grown")["id"]) == ["a", "b", "c"]
    log = Path(things.root, "grown", "_delta_log").glob("*.json")
    assert sum('"add"' in line for file in log for line in file.read_text().splitlines() if json.loads(line)) >= 2


def test_digests_tell_one_changed_value(spark):
    rows = some(["a", "b"])
    same, other = rows.reverse(), rows.with_columns(id=pl.Series(["a", "d"]))
    found = [digest_of(from_polars(spark, each)) for each in (rows, same, other)]
    assert found[0] == found[1] != found[2]


def test_the_delta_connector_is_not_taken_for_installed(spark):
    assert not has_connector(spark)


@pytest.mark.parametrize(("name", "kind"), [("kar.user", "user"), ("rlmrec.item", "item")])
def test_prompts_are_made_of_the_same_histories(spark, tmp_path, name, kind):
    splits = polars.make_splits(WORLD, Split(rule="published", valid=0.2))
    users = pl.DataFrame({"id": [*sorted(set(WORLD["user_id"])), "nobody"], "age": [*range(11), 40]})
    items = pl.DataFrame({"id": [f"i{n}" for n in range(31)], "title": [f"Title {n}" for n in range(31)]})
    corpus = make_corpus(users, items, splits)
    (recipe,) = make_recipes([Recipe(name=name)], corpus)
    rule = Refresh(events=2)
    want = list(ask_each(recipe, shown(recipe, corpus.train.subjects(kind), rule, None)))
    own, other = (users, items) if kind == "user" else (items, users)
    found = asked(recipe, from_polars(spark, own), other, from_polars(spark, splits), rule, None, buckets=3)
    assert list(found) == want
    assert len(want) == own.height
    assert any(len(each.subject.history) > 2 for each in want)
