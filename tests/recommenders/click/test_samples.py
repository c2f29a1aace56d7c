import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.corpus import Corpus, make_corpus
from recommenders.click.samples import Samples, make_click_data, sampled
from schemas.errors import ConfigError
from schemas.sections import Click

PARTS = ("train", "valid", "test", "reserved")


def corpus_with(events: list[tuple[int, int, float | None]], parts: dict[int, str], oldest: int = 1) -> Corpus:
    """Events in order of time; a user's first `oldest` are train, his others of his part."""
    count: dict[int, int] = {}
    rows = []
    for order, (user, item, rating) in enumerate(events):
        count[user] = count.get(user, 0) + 1
        part = "train" if count[user] <= oldest else parts[user]
        rows.append((f"u{user}", f"i{item:03}", 1000 + order, order, 1.0, part, "s", rating))
    schema = ["user_id", "item_id", "time", "order", "weight", "part", "split_id", "rating"]
    splits = pl.DataFrame(rows, schema=schema, orient="row", infer_schema_length=None)
    splits = splits.with_columns(pl.col("rating").cast(pl.Float32))
    users = pl.DataFrame({"id": sorted({f"u{user}" for user, _, _ in events})})
    return make_corpus(users, pl.DataFrame({"id": [f"i{item:03}" for item in range(120)]}), splits)


def told(samples: Samples) -> list[tuple[int, int, list[int], list[int], float]]:
    return list(
        zip(
            samples.user.tolist(), samples.item.tolist(), samples.history.tolist(), samples.rating.tolist(),
            samples.label.tolist(), strict=True,
        )
    )  # fmt: skip


def test_what_a_sample_knows_is_the_last_events_before_it_with_their_ratings():
    events = [(0, 5, 5.0), (1, 9, 1.0), (0, 7, 2.0), (0, 8, 4.0), (1, 5, 4.0), (0, 9, 1.0), (2, 1, 3.0), (2, 2, None)]
    data = make_click_data(corpus_with(events, {0: "reserved", 1: "test", 2: "valid"}), Click(max_history=2))
    assert told(data.train) == [
        (0, 7, [-1, 5], [0, 5], 0.0),  # rating ids of 1, 2, 3, 4, 5 are 1 to 5
        (0, 8, [5, 7], [5, 2], 1.0),
        (0, 9, [7, 8], [2, 4], 0.0),
    ]
    assert told(data.test) == [(1, 5, [-1, 9], [0, 1], 1.0)]
    assert told(data.valid) == []  # an event without a rating says neither
    assert data.ratings == 6


def test_the_threshold_is_an_option():
    events = [(0, 1, 3.0), (0, 2, 4.0), (0, 3, 5.0)]
    corpus = corpus_with(events, {0: "reserved"})
    assert make_click_data(corpus, Click()).train.label.tolist() == [1, 1]
    assert make_click_data(corpus, Click(threshold=4.0)).train.label.tolist() == [0, 1]


def test_without_ratings_there_are_no_labels():
    corpus = corpus_with([(0, 1, None), (0, 2, None)], {0: "reserved"})
    corpus = Corpus(**{**vars(corpus), "rating": None})
    with pytest.raises(ConfigError, match=r"click\.negatives"):
        make_click_data(corpus, Click())


EVENT = st.tuples(st.integers(0, 4), st.integers(0, 119), st.sampled_from([1.0, 3.0, 5.0]))
WORLDS = st.lists(EVENT, min_size=1, max_size=60, unique_by=lambda event: event[:2])
GIVEN = st.fixed_dictionaries({user: st.sampled_from(PARTS[1:]) for user in range(5)})


@settings(max_examples=150, deadline=None)
@given(events=WORLDS, parts=GIVEN, size=st.integers(1, 6), oldest=st.integers(0, 4))
def test_a_history_never_holds_a_later_event_nor_one_of_others(events, parts, size, oldest):
    corpus = corpus_with(events, parts, oldest)
    data = make_click_data(corpus, Click(max_history=size))
    when = {(f"u{user}", f"i{item:03}"): time for time, (user, item, _) in enumerate(events)}
    ids, items = corpus.ids("user").to_list(), corpus.ids("item").to_list()
    found = 0
    for name, part in (("train", "reserved"), ("valid", "valid"), ("test", "test")):
        for user, item, history, rating, label in told(getattr(data, name)):
            now = when[ids[user], items[item]]
            before = sorted(time for (owner, _), time in when.items() if owner == ids[user] and time < now)[-size:]
            assert [when[ids[user], items[each]] for each in history if each >= 0] == before
            assert [each > 0 for each in rating] == [each >= 0 for each in history]
            assert label == (events[now][2] > 3)
            assert parts[int(ids[user][1:])] == part
            found += 1
    count = {user: sum(each[0] == user for each in events) for user in range(5)}
    assert found == sum(max(0, each - oldest) for each in count.values())


def test_labels_of_test_users_reach_no_sample_that_is_learned_from():
    rng = np.random.default_rng(0)
    events = [(int(user), item, float(rng.integers(1, 6))) for item in range(60) for user in range(6)]
    parts = {0: "reserved", 1: "reserved", 2: "reserved", 3: "valid", 4: "test", 5: "test"}
    data = make_click_data(corpus_with(events, parts), Click(negatives=0))
    other = [(user, item, rating if user < 4 else 6.0 - rating) for user, item, rating in events]
    changed = make_click_data(corpus_with(other, parts), Click(negatives=0))
    assert data.fingerprint() == changed.fingerprint()
    assert not np.array_equal(data.test.label, changed.test.label)


def test_negatives_are_items_that_others_chose_and_the_user_never_did():
    rng = np.random.default_rng(3)
    events = [(user, int(item), None) for user in range(5) for item in rng.choice(60, 20, replace=False)]
    corpus = corpus_with(events, {0: "reserved", 1: "reserved", 2: "reserved", 3: "valid", 4: "test"}, oldest=4)
    data = make_click_data(corpus, Click(negatives=2))
    assert len(data.train) == 3 * 3 * 16
    assert data.train.label.mean() == pytest.approx(1 / 3)
    seen = {(f"u{user}", item) for user, item, _ in events}
    known = {item for user, item, _ in events if user < 3} | {item for user, item, _ in events[60:64] + events[80:84]}
    for samples in (data.train, data.valid, data.test):
        for user, item, history, _, label in told(samples):
            assert ((f"u{user}", item) in seen) == (label == 1)
            assert label == 1 or item in known
            assert item not in history
    assert set(np.diff(data.train.user)) == {0, 1}


def test_at_most_so_many_are_learned_from_and_the_draw_is_the_same_again():
    corpus = corpus_with([(0, item, 4.0) for item in range(50)], {0: "reserved"})
    train = make_click_data(corpus, Click()).train
    drawn = sampled(train, 10, seed=0)
    assert len(set(drawn.item)) == 10
    assert np.array_equal(drawn.item, sampled(train, 10, seed=0).item)
    assert sampled(train, None, seed=0) is train
    assert sampled(train, 49, seed=0) is train
