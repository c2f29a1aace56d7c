"""Items and users held out of training entirely, and KAR's rule: what train knows, what is reserved, who is served."""

import numpy as np
import polars as pl
import pytest

from features.corpus import make_corpus
from features.splits import make_splits, split_summary
from schemas.errors import ConfigError
from schemas.sections import Split

USERS, ITEMS, EACH = 200, 60, 12


def interactions(seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        (f"u{user:03}", f"i{item:02}", 1000 * step + user)
        for user in range(USERS)
        for step, item in enumerate(rng.choice(ITEMS, size=EACH, replace=False))
    ]
    return pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")


def split_of(**settings) -> pl.DataFrame:
    return make_splits(interactions(), Split(**settings))


def parts(splits: pl.DataFrame, part: str) -> pl.DataFrame:
    return splits.filter(pl.col("part") == part)


@pytest.mark.parametrize("rule", ["time", "ratio", "leave_one_out"])
def test_cold_items_and_users_lose_their_train_rows_and_nothing_else(rule):
    plain = split_of(rule=rule)
    held = split_of(rule=rule, cold_items=0.2, cold_users=0.1)
    keys = ["user_id", "item_id"]
    for part in ("valid", "test"):
        assert parts(held, part).select(keys).equals(parts(plain, part).select(keys))
    train, reserved = parts(held, "train"), parts(held, "reserved")
    assert pl.concat([train, reserved]).sort("order").select(keys).equals(parts(plain, "train").select(keys))
    cold_items = set(plain["item_id"]) - set(train["item_id"])
    cold_users = set(plain["user_id"]) - set(train["user_id"])
    assert 0.1 < len(cold_items) / ITEMS < 0.3
    assert 0.04 < len(cold_users) / USERS < 0.17
    lost = reserved.filter(~pl.col("item_id").is_in(cold_items) & ~pl.col("user_id").is_in(cold_users))
    assert lost.is_empty(), "a reserved row is that of a cold item or a cold user"


def test_who_is_cold_does_not_depend_on_the_rest_of_the_data():
    def cold(rows):
        held = make_splits(rows, Split(rule="leave_one_out", cold_items=0.2))
        return set(parts(held, "reserved")["item_id"])

    rows = interactions()
    half = rows.filter(pl.col("user_id") < "u100")
    assert cold(half) == cold(rows)
    assert cold(rows) != set(parts(split_of(rule="leave_one_out", cold_items=0.2, seed=1), "reserved")["item_id"])


def test_a_split_without_cold_ids_has_the_id_that_it_always_had():
    settings = {"rule": "ratio", "valid": 0.1, "test": 0.1}
    assert split_of(**settings)["split_id"][0] == split_of(**settings, cold_items=0.0, history=30)["split_id"][0]
    assert split_of(**settings)["split_id"][0] != split_of(**settings, cold_items=0.1)["split_id"][0]


def test_the_support_is_what_is_known_of_users_without_train():
    splits = split_of(rule="leave_one_out", cold_users=0.1, cold_items=0.1)
    tables = [pl.DataFrame({"id": splits[name].unique()}) for name in ("user_id", "item_id")]
    corpus = make_corpus(*tables, splits)
    new = np.flatnonzero(corpus.train.user_degree == 0)
    assert len(new) > 5
    assert set(corpus.support.edges[0]) == set(new)
    assert len(corpus.served) == len(corpus.train) + len(corpus.support)
    assert (corpus.support.user_degree[new] == EACH - 2).all(), "all that the rule gave train of them"
    assert len(corpus.reserved) > len(corpus.support), "rows of cold items of other users are no support"
    subjects = {subject.id for subject in corpus.train.subjects("user") if subject.history}
    assert subjects.isdisjoint(corpus.ids("user").gather(new).to_list()), "no prompt knows a held-out user"


def test_the_oldest_half_is_shown_and_users_share_the_rest_out():
    splits = split_of(rule="oldest", history=4, valid=0.2, test=0.2)
    shown = parts(splits, "train")
    assert (shown.group_by("user_id").len()["len"] == 4).all()
    for _, rows in splits.group_by("user_id"):
        last_shown = rows.filter(pl.col("part") == "train")["time"].max()
        rest = rows.filter(pl.col("part") != "train")
        assert rest["time"].min() > last_shown
        assert rest["part"].n_unique() == 1, "a user is in one part"
    users = {part: parts(splits, part)["user_id"].n_unique() / USERS for part in ("valid", "test", "reserved")}
    assert users["valid"] == pytest.approx(0.2, abs=0.08)
    assert users["test"] == pytest.approx(0.2, abs=0.08)
    assert split_summary(splits)["interactions"]["reserved"] == parts(splits, "reserved").height


def test_a_short_history_is_halved_upwards():
    rows = pl.DataFrame({"user_id": ["a"] * 3 + ["b"] * 30, "item_id": [f"i{n}" for n in (*range(3), *range(30))]})
    rows = rows.with_columns(timestamp=pl.int_range(pl.len()))
    rows = pl.concat([rows, interactions()], how="diagonal_relaxed")
    train = parts(make_splits(rows, Split(rule="oldest", history=30)), "train").group_by("user_id").len()
    assert dict(train.filter(pl.col("user_id").is_in(["a", "b"])).rows()) == {"a": 2, "b": 15}


def test_shares_of_users_that_leave_nobody_are_refused():
    with pytest.raises(ConfigError, match=r"split\.valid \+ split\.test: expected less than 1"):
        split_of(rule="oldest", valid=0.5, test=0.5)
