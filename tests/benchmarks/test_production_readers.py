"""Readers during publications and kills, in small; the big night's world, and what is made of its figures."""

from __future__ import annotations

import polars as pl
import pytest

from benchmarks.figures import failing
from benchmarks.production.big_night import DS, exponent, line
from benchmarks.production.publications import Published, figures, published
from benchmarks.production.publishing import ROWS, rows
from benchmarks.production.world import write_world
from features.store import DeltaStore


def test_no_reader_sees_a_wrong_version_while_publishers_are_killed(tmp_path) -> None:
    found = published(tmp_path, nights=8, kills=2)
    wrong = {name: found.total(name) for name in ("empty", "partial", "mixed", "errors")}
    assert wrong == dict.fromkeys(wrong, 0)
    assert (found.releases, found.kills) == (8, 2)
    assert found.total("releases_read") > 0
    store = DeltaStore(str(tmp_path / "lake"))
    assert store.read("users", "2026-01-08").equals(rows("2026-01-08"))
    assert store.read("users", "2026-01-08").height == ROWS


@pytest.mark.parametrize("fault", ["empty", "partial", "mixed", "errors"])
def test_one_wrong_read_falls_short(fault: str) -> None:
    reader = dict.fromkeys(("empty", "partial", "mixed", "errors"), 0)
    reader |= {"releases_read": 100, "tables_read": 300, "different": 20}
    assert not failing(figures(Published(20, 5, 20, [reader, reader])))
    short = failing(figures(Published(20, 5, 20, [reader, {**reader, fault: 1}])))
    assert [fault in figure.what for figure in short] == [True]
    assert len(failing(figures(Published(20, 5, 19, [reader])))) == 1


def test_the_world_has_the_size_asked_for_and_is_the_same_again(tmp_path) -> None:
    made = write_world(tmp_path / "one", 2000, 1000)
    assert write_world(tmp_path / "two", 2000, 1000) == made
    events = pl.read_parquet(tmp_path / "one" / "interactions.parquet")
    assert events.equals(pl.read_parquet(tmp_path / "two" / "interactions.parquet"))
    assert 10 * 2000 < events.height == made < 23 * 2000
    assert events.select("user_id", "item_id").is_unique().all()
    assert events["user_id"].n_unique() == 2000
    items = pl.read_parquet(tmp_path / "one" / "items.parquet")
    assert (items.height, items["title"].n_unique()) == (1000, 1000)
    degrees = events.group_by("item_id").len()["len"].sort(descending=True)
    assert degrees.head(100).sum() > 0.3 * events.height, "a tenth of the items has a third of the events"
    assert events["timestamp"].max() < 1_767_225_600, f"no event after {DS}"


def test_growth_is_read_off_the_sizes() -> None:
    assert exponent([0.1, 0.3, 1.0], [1.0, 9.0, 100.0]) == pytest.approx(2.0)
    assert line([0.1, 0.3, 1.0], [510.0, 530.0, 600.0]) == pytest.approx((500.0, 100.0))
