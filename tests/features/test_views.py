"""What a release says of each user and item, by name."""

import polars as pl
import pytest

from features.feature_store import FeatureStore, Snapshot
from features.store import DeltaStore
from features.views import MAKERS, views
from schemas.errors import ConfigError, StoreError
from tests.support.released_world import BOOKS, READERS, VECTOR, release, vector


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory) -> Snapshot:
    store = DeltaStore(str(tmp_path_factory.mktemp("views") / "lake"))
    release(store, "2026-01-01", 1)
    return FeatureStore(store).latest()


def test_every_feature_has_its_name_and_each_id_once(snapshot: Snapshot) -> None:
    found = {(view.kind, view.name): view for view in views(snapshot, MAKERS)}
    assert {key: view.rows.height for key, view in found.items()} == {
        ("user", "rlmrec.user/summarization"): READERS - 1,
        ("item", "rlmrec.item/summarization"): BOOKS,
        ("user", "rlmrec.user/summarization@tiny"): READERS,
        ("item", VECTOR): BOOKS,
        ("item", "semantic_ids/codes"): BOOKS,
        ("user", "recommendations"): READERS,
        ("user", "recommendations/score"): READERS,
    }
    assert all(view.rows["id"].is_unique().all() for view in found.values())
    assert all(view.rows.columns == ["id", "value"] for view in found.values())
    assert value(found["item", VECTOR].rows, "b3") == pytest.approx(vector(1, READERS + 3))
    assert value(found["item", "semantic_ids/codes"].rows, "b5") == [1, 1, 1]


def test_lists_are_in_the_order_of_their_ranks(snapshot: Snapshot) -> None:
    lists, scores = (view.rows for view in views(snapshot, ["recommendations"]))
    assert value(lists, "r1") == ["b7", "b0"]
    assert value(scores, "r1") == [1.0, 0.5]


def value(rows: pl.DataFrame, id: str) -> object:
    return rows.filter(pl.col("id") == id)["value"].to_list()[0]


def test_only_named_sources_are_read(snapshot: Snapshot) -> None:
    found = views(snapshot, ["profiles", "embeddings", "semantic_ids"], [VECTOR])
    assert [view.name for view in found] == [VECTOR, "semantic_ids/codes"]


def test_what_the_release_lacks_is_passed_over_or_named(snapshot: Snapshot) -> None:
    assert list(views(snapshot, ["neighbours"])) == []
    with pytest.raises(ConfigError, match="did you mean profiles"):
        list(views(snapshot, ["profile"]))
    with pytest.raises(StoreError, match=r"release 1: source kar\.item/facts"):
        list(views(snapshot, ["profiles"], ["kar.item/facts"]))
