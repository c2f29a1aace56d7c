"""A source as it was at a moment: no later event, no user or item that is known from later events alone."""

import polars as pl
import pytest

from features.readers import read_source
from schemas.errors import DataError
from tests.features.test_readers import fill

ROWS = [
    ("u1", "i1", 5.0, 100),
    ("u1", "i2", 2.0, 200),
    ("u2", "i1", 4.0, 150),
    ("u2", "i2", 4.0, 160),
    ("u3", "i3", 3.0, 300),
    ("u1", "i3", 4.0, 310),
    ("u1", "i2", 5.0, 320),
]
SCHEMA = {"user_id": pl.String, "item_id": pl.String, "rating": pl.Float64, "timestamp": pl.Int64}
EVENTS = pl.DataFrame(ROWS, schema=SCHEMA, orient="row")
ITEMS = pl.DataFrame({"id": ["i1", "i2", "i3", "i4"], "title": ["One", "Two", "Three", "Four"]})
USERS = pl.DataFrame({"id": ["u1", "u2", "u3", "u4"], "city": ["Oslo", "Rome", "Bern", "Graz"]})


def as_of(tmp_path, until, events=EVENTS, items=ITEMS, users=USERS, **settings):
    data = fill(tmp_path, events, items, users)
    return read_source(data.model_copy(update=settings), until=until)


def test_later_events_and_users_known_from_them_alone_do_not_exist(tmp_path):
    source = as_of(tmp_path, 300)
    assert source.interactions.rows() == ROWS[:4]
    assert source.users["id"].to_list() == ["u1", "u2", "u4"], "of u4 there is no event at all"
    assert source.items["id"].to_list() == ["i1", "i2", "i3", "i4"], "the catalogue is there from the start"
    assert source.notes == (
        "3 interactions from 1970-01-01 00:05:00 UTC on were left out",
        "1 users that do not exist yet were left out",
    )


def test_a_moment_after_all_events_changes_nothing(tmp_path):
    source, whole = as_of(tmp_path, 10_000), as_of(tmp_path, None)
    assert source.interactions.equals(whole.interactions)
    assert source.users.equals(whole.users)
    assert source.notes == whole.notes == ("1 repeated (user, item) pairs: the first was kept",)


def test_items_may_exist_from_their_first_event_on(tmp_path):
    assert as_of(tmp_path, 300, items_from="first_event").items["id"].to_list() == ["i1", "i2"]
    assert as_of(tmp_path, 301, items_from="first_event").items["id"].to_list() == ["i1", "i2", "i3"]


def test_without_files_of_them_users_and_items_are_those_of_the_events(tmp_path):
    source = as_of(tmp_path, 300, items=None, users=None)
    assert (source.users["id"].to_list(), source.items["id"].to_list()) == (["u1", "u2"], ["i1", "i2"])


def test_a_rating_that_counts_later_does_not_count_yet_and_an_item_that_was_disliked_exists(tmp_path):
    source = as_of(tmp_path, 300, min_rating=3.0, items_from="first_event")
    assert source.interactions.rows() == [ROWS[0], *ROWS[2:4]]
    assert source.items["id"].to_list() == ["i1", "i2"]
    assert as_of(tmp_path, 321, min_rating=3.0).interactions.filter(pl.col("user_id") == "u1")[
        "timestamp"
    ].to_list() == [
        100,
        310,
        320,
    ]


def test_a_core_is_that_of_the_events_so_far(tmp_path):
    """All events have a 2-core of three users and items; before the last ones u3 and i3 are in none."""
    later = [("u3", "i1", 5.0, 400), ("u4", "i3", 5.0, 410), ("u4", "i4", 5.0, 420), ("u3", "i4", 5.0, 430)]
    events = pl.DataFrame([*ROWS, *later], schema=SCHEMA, orient="row")
    now, then = as_of(tmp_path, None, events, k_core=2), as_of(tmp_path, 330, events, k_core=2)
    assert now.items["id"].to_list() == ["i1", "i2", "i3", "i4"]
    assert then.items["id"].to_list() == ["i1", "i2"]
    assert then.users["id"].to_list() == ["u1", "u2"]
    assert set(then.interactions["item_id"]) == {"i1", "i2"}


def test_what_cannot_be_read_of_later_rows_is_no_reject_yet(tmp_path):
    more = [(f"u{n}", "i1", 5.0, 50 + n) for n in range(10, 90)]
    wrong = [("u1", "i4", None, 120), ("u2", "i4", None, 500), ("u2", "i3", 3.0, -5)]
    events = pl.DataFrame([*ROWS, *more, *wrong], schema=SCHEMA, orient="row")
    reasons = [as_of(tmp_path, until, events, users=None).rejects["reason"].to_list() for until in (300, None)]
    assert reasons == [["bad_rating", "bad_timestamp"], ["bad_rating", "bad_rating", "bad_timestamp"]]


def test_times_in_another_unit_are_still_named(tmp_path):
    events = EVENTS.with_columns(timestamp=pl.col("timestamp") * 1000 + 1_700_000_000_000)
    with pytest.raises(DataError, match=r'set data\.time_unit = "ms"'):
        as_of(tmp_path, 1_800_000_000, events)
    assert as_of(tmp_path, 1_700_000_300, events, time_unit="ms").interactions.height == 4


def test_no_event_before_the_moment_is_an_error_that_names_the_first(tmp_path):
    with pytest.raises(DataError) as raised:
        as_of(tmp_path, 10)
    assert "interactions.csv: timestamp: expected events before 1970-01-01 00:00:10 UTC" in str(raised.value)
    assert "found the first one at 1970-01-01 00:01:40 UTC; use a later date" in str(raised.value)


def test_events_without_times_are_all_there_and_that_is_said(tmp_path):
    events = EVENTS.drop("timestamp")
    source = as_of(tmp_path, 10, events)
    assert source.interactions.height == 6
    assert source.notes[0].endswith("interactions.csv: events have no timestamps, so every night sees all of them")
    assert not any("timestamps" in note for note in as_of(tmp_path, None, events).notes)
    assert as_of(tmp_path, 10, events, items_from="first_event").items["id"].to_list() == ["i1", "i2", "i3"]


def test_rows_may_say_themselves_from_when_on_they_exist(tmp_path):
    items = ITEMS.with_columns(available_from=pl.Series(["", "180", "10", "400"]))
    users = USERS.with_columns(available_from=pl.Series([None, None, 250, 299], dtype=pl.Int64))
    source = as_of(tmp_path, 300, items=items, users=users)
    assert source.items.rows() == [("i1", "One"), ("i2", "Two"), ("i3", "Three")], "i4 comes later; no such attribute"
    assert source.users["id"].to_list() == ["u1", "u2", "u3", "u4"], "u3 is there before his first event"
    early = as_of(tmp_path, 170, items=items, users=users)
    assert early.items.rows() == [("i1", "One"), ("i2", None), ("i3", "Three")], "events of i2 came before its row"
    assert early.users["id"].to_list() == ["u1", "u2"]
    first = as_of(tmp_path, 300, items=items, users=users, items_from="first_event").items["id"].to_list()
    assert first == ["i1", "i2", "i3"], "what a row says goes before what is assumed"
    whole = as_of(tmp_path, None, items=items, users=users)
    assert whole.items.equals(ITEMS)
    assert whole.users["id"].to_list() == ["u1", "u2", "u3", "u4"]


def test_that_time_is_in_the_units_of_the_source(tmp_path):
    items = ITEMS.with_columns(available_from=pl.Series([1, 1, 1, 400_000]))
    events = EVENTS.with_columns(timestamp=pl.col("timestamp") * 1000 + 1_700_000_000_000)
    source = as_of(tmp_path, 1_700_000_300, events, items=items, time_unit="ms")
    assert source.items.height == 4


@pytest.mark.parametrize("value", ["soon", "-3", "1700000000000"])
def test_a_time_that_is_none_is_named_with_its_row(tmp_path, value):
    items = ITEMS.with_columns(available_from=pl.Series(["", "100", value, ""]))
    with pytest.raises(DataError, match=f"items.csv: row 3: available_from: .*{value}"):
        as_of(tmp_path, 300, items=items)


def test_a_later_row_of_items_cannot_make_the_files_disagree(tmp_path):
    """Most items have no row yet, and still their ids are those of the file."""
    items = ITEMS.with_columns(available_from=pl.Series([10_000] * 4))
    assert as_of(tmp_path, 300, items=items).items.rows() == [("i1", None), ("i2", None)]
