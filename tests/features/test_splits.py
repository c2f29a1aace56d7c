"""Splits: hand-made cases of every rule, and what must hold for any data."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.corpus import make_corpus
from features.splits import k_core, make_splits, split_summary
from schemas.errors import ConfigError, DataError
from schemas.sections import Split

COLUMNS = ["user_id", "item_id", "time", "order", "weight", "part", "split_id"]

TESTS_WRITTEN_DOWN = {("user 0", "item 3"), ("user 1", "item 4"), ("user 2", "item 1")}
ID_WRITTEN_DOWN = "d76198c7bbb4c27f"


def table(rows, **columns):
    frame = pl.DataFrame(rows, schema={"user_id": pl.String, "item_id": pl.String}, orient="row")
    return frame.with_columns(pl.Series(name, values) for name, values in columns.items())


def parts(splits):
    return {(user, item): part for user, item, part in splits.select("user_id", "item_id", "part").iter_rows()}


def one_user(count, **columns):
    return table([("u", f"i{n}") for n in range(count)], **columns)


# Ten events at seconds 10, 20, ..., 100, given backwards.
TIMED = one_user(10, timestamp=[100 - 10 * n for n in range(10)])


@pytest.fixture(scope="module")
def blocks():
    """40 users with 12 of 60 items each, timestamps without ties, and one row per pair."""
    rows = [(f"u{u}", f"i{(7 * u + 5 * n) % 60}") for u in range(40) for n in range(12)]
    return table(rows, timestamp=[1_000_000 + (37 * n) % 480 for n in range(480)])


def test_columns_and_types():
    splits = make_splits(TIMED, Split(rule="time", valid=0.2, test=0.3))
    assert splits.columns == COLUMNS
    assert splits.schema["time"] == splits.schema["order"] == pl.Int64
    assert splits.schema["weight"] == pl.Float32
    assert splits["weight"].to_list() == [1.0] * 10
    assert splits["split_id"].str.contains(r"^[0-9a-f]{16}$").all()


def test_time_cuts_at_global_quantiles():
    splits = make_splits(TIMED, Split(rule="time", valid=0.2, test=0.3))
    assert splits["time"].to_list() == list(range(10, 101, 10))
    assert splits["order"].to_list() == list(range(10))
    assert splits["part"].to_list() == ["train"] * 5 + ["valid"] * 2 + ["test"] * 3


def test_time_keeps_one_moment_in_one_part():
    # the wanted cuts are before rows 6 and 8; the moments begin at rows 4, 7 and 9
    frame = one_user(10, timestamp=[1, 1, 1, 1, 2, 2, 2, 3, 3, 4])
    splits = make_splits(frame, Split(rule="time", valid=0.2, test=0.2))
    assert splits["part"].to_list() == ["train"] * 4 + ["valid"] * 3 + ["test"] * 3


def test_time_cuts_a_moment_only_when_there_are_fewer_than_three():
    splits = make_splits(one_user(10, timestamp=[5] * 10), Split(rule="time", valid=0.2, test=0.2))
    assert splits["part"].to_list() == ["train"] * 6 + ["valid"] * 2 + ["test"] * 2


def test_time_without_timestamps_says_what_to_use():
    with pytest.raises(ConfigError, match="no timestamps; use ratio or leave_one_out"):
        make_splits(one_user(5), Split(rule="time"))


def test_published_as_given():
    given = ["test", "train", "valid", "train"]
    splits = make_splits(one_user(4, split=given), Split(rule="published"))
    assert splits["part"].to_list() == given
    assert splits["time"].null_count() == 4
    assert splits["order"].to_list() == [0, 1, 2, 3]


def test_published_without_valid_cuts_it_from_train():
    rows = [(f"u{u}", f"i{n}") for u in range(20) for n in range(10)]
    frame = table(rows, split=(["train"] * 8 + ["test"] * 2) * 20)
    splits = make_splits(frame, Split(rule="published", valid=0.25))
    per_user = splits.group_by("user_id", "part").len().pivot("part", index="user_id", values="len")
    assert per_user.select("train", "valid", "test").unique().rows() == [(6, 2, 2)]
    before = parts(splits)
    assert all((before[key] == "test") == (split == "test") for key, split in zip(rows, frame["split"], strict=True))


def test_published_without_valid_may_take_the_last_rows_of_every_user():
    rows = [("a", f"i{n}") for n in range(8)] + [("b", f"i{n}") for n in range(8)]
    frame = table(rows, split=["train"] * 8 + ["train"] * 6 + ["test"] * 2)
    splits = make_splits(frame, Split(rule="published", valid=0.25, valid_rows="last")).sort("order")
    a, b = (splits.filter(pl.col("user_id") == user)["part"].to_list() for user in ("a", "b"))
    assert a == ["train"] * 6 + ["valid"] * 2
    cut = b.index("valid")
    assert cut in (4, 5)  # a quarter of six is one or two
    assert b == ["train"] * cut + ["valid"] * (6 - cut) + ["test"] * 2


def test_published_without_valid_leaves_every_user_a_train_row():
    frame = table([(f"u{n}", "a") for n in range(5)] + [("v", "a"), ("v", "b")], split=["train"] * 6 + ["test"])
    many = pl.concat([frame, table([("w", f"i{n}") for n in range(9)], split=["train"] * 9)])
    splits = make_splits(many, Split(rule="published", valid=0.9))
    train_users = set(splits.filter(pl.col("part") == "train")["user_id"])
    assert train_users == {f"u{n}" for n in range(5)} | {"v", "w"}
    assert splits.filter(pl.col("part") == "valid")["user_id"].unique().to_list() == ["w"]


def test_published_without_the_column():
    with pytest.raises(ConfigError, match="no split column"):
        make_splits(TIMED, Split(rule="published"))


def test_a_user_and_an_item_without_train_rows_keep_their_places():
    frame = table([("a", "x"), ("b", "x"), ("b", "y"), ("c", "z")], split=["train", "valid", "train", "test"])
    splits = make_splits(frame, Split(rule="published"))
    summary = split_summary(splits)
    assert (summary["users"], summary["items"]) == (3, 3)
    assert summary["interactions"] == {"train": 2, "valid": 1, "test": 1}
    assert (summary["users_without_train"], summary["items_without_train"]) == (1, 1)
    corpus = make_corpus(pl.DataFrame({"id": ["c", "b", "a"]}), pl.DataFrame({"id": ["z", "y", "x"]}), splits)
    assert corpus.train.user_degree.tolist() == [1, 1, 0]  # a, b, c: no later user is shifted
    assert corpus.train.item_degree.tolist() == [1, 1, 0]
    assert corpus.test.edges.tolist() == [[2], [2]]


def test_leave_one_out_takes_the_last_by_time():
    frame = table(
        [("a", "1"), ("a", "2"), ("a", "3"), ("a", "4"), ("b", "1"), ("b", "2")], timestamp=[40, 10, 30, 20, 5, 6]
    )
    found = parts(make_splits(frame, Split(rule="leave_one_out")))
    assert found == {
        ("a", "1"): "test", ("a", "3"): "valid", ("a", "4"): "train", ("a", "2"): "train",
        ("b", "1"): "train", ("b", "2"): "train",
    }  # fmt: skip


def test_leave_one_out_by_position_and_by_row():
    by_position = parts(make_splits(one_user(3, position=[2, 0, 1]), Split(rule="leave_one_out")))
    assert by_position == {("u", "i0"): "test", ("u", "i1"): "train", ("u", "i2"): "valid"}
    by_row = parts(make_splits(one_user(3), Split(rule="leave_one_out")))
    assert by_row == {("u", "i0"): "train", ("u", "i1"): "valid", ("u", "i2"): "test"}


def test_leave_one_out_min_interactions():
    with pytest.raises(DataError, match=r"expected interactions in valid, found none.*min_interactions"):
        make_splits(one_user(4), Split(rule="leave_one_out", min_interactions=5))


def test_ratio_shares_are_those_of_the_rule(blocks):
    counts = split_summary(make_splits(blocks, Split(rule="ratio", valid=0.25, test=0.25)))["interactions"]
    assert counts == {"train": 240, "valid": 120, "test": 120}  # 12 rows a user: 6, 3 and 3
    counts = split_summary(make_splits(blocks, Split(rule="ratio", valid=0.1, test=0.2)))["interactions"]
    assert 30 < counts["valid"] < 70  # 1.2 a user, 48 expected; rounding down everywhere would give 40, up 80
    assert 80 < counts["test"] < 115  # 2.4 a user, 96 expected


def test_ratio_rounds_in_proportion():
    frame = table([(f"u{u}", f"i{n}") for u in range(2000) for n in range(3)])
    counts = split_summary(make_splits(frame, Split(rule="ratio", valid=0.1, test=0.1)))["interactions"]
    assert abs(counts["test"] - 600) < 62  # 2000 draws of probability 0.3: three standard deviations are 61.5
    assert abs(counts["valid"] - 600) < 62


def test_ratio_seed_changes_the_draw(blocks):
    first, again, other = (make_splits(blocks, Split(rule="ratio", seed=seed)) for seed in (1, 1, 2))
    assert first.equals(again)
    assert parts(first) != parts(other)


def test_shares_must_leave_train():
    with pytest.raises(ConfigError, match="expected less than 1"):
        make_splits(TIMED, Split(rule="time", valid=0.5, test=0.5))


def test_until_hides_later_events():
    splits = make_splits(TIMED, Split(rule="time", valid=0.2, test=0.3), until=80)
    assert splits["time"].to_list() == [10, 20, 30, 40, 50, 60, 70]
    whole = make_splits(TIMED, Split(rule="time", valid=0.2, test=0.3))
    assert splits["split_id"][0] != whole["split_id"][0]


def test_until_before_everything_names_the_dates():
    with pytest.raises(DataError, match=r"before 1970-01-01 00:00:05 UTC, found the first one at 1970-01-01 00:00:10"):
        make_splits(TIMED, Split(rule="time"), until=5)


def test_until_means_nothing_without_timestamps():
    assert make_splits(one_user(5), Split(rule="leave_one_out"), until=5).height == 5


def test_review_is_carried():
    frame = TIMED.with_columns(review=pl.Series([f"text {n}" for n in range(10)]))
    splits = make_splits(frame, Split(rule="time"))
    assert splits.columns == [*COLUMNS, "review"]
    assert splits.sort("time")["review"].to_list() == [f"text {n}" for n in reversed(range(10))]


@pytest.mark.parametrize("rule", ["time", "ratio", "leave_one_out"])
def test_id_is_the_same_for_shuffled_rows(blocks, rule):
    shuffled = blocks.sample(fraction=1, shuffle=True, seed=5)
    first, second = make_splits(blocks, Split(rule=rule)), make_splits(shuffled, Split(rule=rule))
    assert parts(first) == parts(second)
    assert first["split_id"][0] == second["split_id"][0]


@pytest.mark.parametrize("rule", ["time", "ratio", "leave_one_out"])
def test_id_changes_with_any_row_or_setting(blocks, rule):
    def id_of(frame, **changes):
        return make_splits(frame, Split(rule=rule, **changes))["split_id"][0]

    ids = [
        id_of(blocks),
        id_of(blocks.slice(1)),
        id_of(blocks.with_columns(timestamp=pl.col("timestamp") + pl.int_range(pl.len()).eq(7))),
        id_of(blocks.with_columns(item_id=pl.col("item_id").replace("i3", "new"))),
        id_of(blocks, seed=9),
        id_of(blocks, valid=0.11),
        id_of(blocks, test=0.11),
        id_of(blocks, min_interactions=4),
    ]
    assert len(set(ids)) == len(ids)


def test_id_of_untimed_leave_one_out_depends_on_the_given_order():
    frame = one_user(6)
    ids = [make_splits(rows, Split(rule="leave_one_out"))["split_id"][0] for rows in (frame, frame.reverse(), frame)]
    assert ids[0] == ids[2]
    assert ids[0] != ids[1]


def test_id_is_not_fooled_by_moving_text_between_columns():
    frame = table([("a", "bc"), ("a", "d"), ("a", "e")])
    moved = table([("ab", "c"), ("ab", "d"), ("ab", "e")])
    assert (
        make_splits(frame, Split(rule="leave_one_out"))["split_id"][0]
        != (make_splits(moved, Split(rule="leave_one_out"))["split_id"][0])
    )


def test_draws_are_fixed_for_ever():
    """A split made today must be made again by a later version: these rows were written down once."""
    frame = table([(f"user {u}", f"item {n}") for u in range(3) for n in range(5)])
    splits = make_splits(frame, Split(rule="ratio", valid=0.2, test=0.2))
    assert {key for key, part in parts(splits).items() if part == "test"} == TESTS_WRITTEN_DOWN
    assert splits["split_id"][0] == ID_WRITTEN_DOWN


def test_k_core_is_iterative():
    # removing c's row leaves item z with one row, and that leaves b with one
    rows = [("a", "x"), ("a", "y"), ("d", "x"), ("d", "y"), ("b", "x"), ("b", "z"), ("c", "z")]
    assert k_core(table(rows), 2).rows() == [("a", "x"), ("a", "y"), ("d", "x"), ("d", "y")]
    assert k_core(table(rows), 1).height == 7
    assert k_core(table(rows), 4).is_empty()


pairs = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 12)), min_size=25, max_size=80, unique=True)


@st.composite
def interactions(draw):
    rows = [(f"u{user}", f"i{item}") for user, item in draw(pairs)]
    return table(rows, timestamp=draw(st.permutations(range(len(rows)))))


def splits_of(frame, rule, **changes):
    """The splits, or None where the data are too few for three parts."""
    try:
        return make_splits(frame, Split(rule=rule, valid=0.2, test=0.2, **changes))
    except DataError:
        return None


@settings(max_examples=40, deadline=None)
@given(frame=interactions(), rule=st.sampled_from(["time", "ratio", "leave_one_out"]), seed=st.integers(0, 2**40))
def test_parts_partition_the_rows_in_any_order(frame, rule, seed):
    splits = splits_of(frame, rule, seed=seed)
    shuffled = splits_of(frame.sample(fraction=1, shuffle=True, seed=seed), rule, seed=seed)
    if splits is None or shuffled is None:
        assert splits is shuffled
        return
    assert sorted(splits.select("user_id", "item_id").rows()) == sorted(frame.select("user_id", "item_id").rows())
    assert set(splits["part"]) == {"train", "valid", "test"}
    assert splits.sort("order")["order"].to_list() == list(range(frame.height))
    assert splits.sort("user_id", "item_id").equals(shuffled.sort("user_id", "item_id"))


@settings(max_examples=40, deadline=None)
@given(frame=interactions())
def test_time_parts_follow_each_other(frame):
    splits = splits_of(frame, "time")
    assert splits is not None
    last = splits.group_by("part").agg(pl.col("time").min().alias("first"), pl.col("time").max().alias("last"))
    spans = {part: (first, last) for part, first, last in last.iter_rows()}
    assert spans["train"][1] < spans["valid"][0]
    assert spans["valid"][1] < spans["test"][0]


@settings(max_examples=40, deadline=None)
@given(frame=interactions())
def test_leave_one_out_takes_the_last_of_every_user(frame):
    splits = splits_of(frame, "leave_one_out")
    if splits is None:
        return
    for (_user,), rows in splits.sort("time").group_by("user_id", maintain_order=True):
        expected = ["train"] * rows.height if rows.height < 3 else ["train"] * (rows.height - 2) + ["valid", "test"]
        assert rows["part"].to_list() == expected


@settings(max_examples=40, deadline=None)
@given(frame=interactions(), seed=st.integers(-5, 5))
def test_ratio_leaves_every_user_a_train_row(frame, seed):
    splits = splits_of(frame, "ratio", seed=seed)
    if splits is not None:
        assert split_summary(splits)["users_without_train"] == 0
