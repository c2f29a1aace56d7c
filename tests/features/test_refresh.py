"""The rule of refresh: decided by the history alone, up to the shown event, by number of events and by drift."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from features.refresh import bags_of_words, refreshed, shown_length
from schemas.records import Event, Subject
from schemas.sections import Refresh

WORDS = ("gothic horror crypt", "sea adventure voyage", "gothic horror ghost", "", "sea voyage storm", "the of and")
ITEMS = pl.DataFrame({"id": [f"b{number}" for number in range(len(WORDS))], "title": WORDS})
BAGS = bags_of_words(ITEMS)
HISTORIES = st.lists(st.sampled_from([*ITEMS["id"], "unknown"]), max_size=30)
RULES = st.one_of(
    st.builds(Refresh, events=st.integers(1, 9)),
    st.builds(Refresh, events=st.integers(2, 9), drift=st.floats(0.01, 0.95)),
)


@given(history=HISTORIES, rule=RULES)
def test_what_is_shown_depends_on_the_events_up_to_there_alone(history, rule):
    """A night on which exactly the shown events were there shows all of them, and so does every night since."""
    shown = shown_length(history, rule, BAGS)
    assert shown == shown_length(history[:shown], rule, BAGS) <= len(history)
    for length in range(shown, len(history)):
        assert shown_length(history[:length], rule, BAGS) == shown


@given(history=HISTORIES, rule=RULES)
def test_a_longer_history_never_shows_less_and_never_hides_as_many_as_the_rule_has(history, rule):
    lengths = [shown_length(history[:length], rule, BAGS) for length in range(len(history) + 1)]
    assert lengths == sorted(lengths)
    assert all(0 <= length - shown < rule.events for length, shown in enumerate(lengths))
    assert lengths[:2] == [0, 1][: len(lengths)]


@given(history=HISTORIES)
def test_by_default_everything_is_shown(history):
    assert shown_length(history, Refresh()) == len(history)


@given(history=HISTORIES, events=st.integers(1, 9))
def test_the_points_are_the_first_event_and_every_kth_after_it(history, events):
    points = {0, *range(1, len(history) + 1, events)}
    assert shown_length(history, Refresh(events=events)) == max(point for point in points if point <= len(history))


@given(history=HISTORIES, events=st.integers(2, 9), drift=st.floats(0.01, 0.95))
def test_drift_only_brings_the_next_point_forward(history, events, drift):
    """Walked by hand from the definition, with dense means."""
    rule, shown = Refresh(events=events, drift=drift), 0
    for length in range(1, len(history) + 1):
        far = 1 - cosine(mean_of(history[:length]), mean_of(history[:shown])) if shown else 1.0
        if abs(far - drift) < 1e-9:
            return  # too near to tell
        shown = length if shown == 0 or length - shown >= events or far > drift else shown
        assert shown_length(history[:length], rule, BAGS) == shown


def mean_of(history):
    mean: dict[int, float] = {}
    for id in history:
        for bucket, weight in zip(*BAGS.get(id, ((), ())), strict=True):
            mean[int(bucket)] = mean.get(int(bucket), 0.0) + float(weight) / len(history)
    return mean


def cosine(one, other):
    if not one or not other:
        return float(not one and not other)
    dot = sum(value * other.get(bucket, 0.0) for bucket, value in one.items())
    norms = [sum(value**2 for value in each.values()) ** 0.5 for each in (one, other)]
    return dot / (norms[0] * norms[1])


def test_more_of_the_same_is_no_drift_and_another_genre_is_one():
    rule = Refresh(events=100, drift=0.2)
    assert shown_length(["b0"] * 10, rule, BAGS) == 1
    assert shown_length(["b0"] * 10 + ["b1"] * 9, rule, BAGS) > 10
    assert shown_length(["b0", "b1"], rule, BAGS) == 2


def test_a_bag_has_unit_length_counts_words_and_is_the_same_in_every_process():
    assert set(BAGS) == {"b0", "b1", "b2", "b4", "b5"}, "an item without words has none"
    assert all(abs(float(weights @ weights) - 1) < 1e-12 for _, weights in BAGS.values())
    twice = bags_of_words(pl.DataFrame({"id": ["x"], "title": ["Sea sea"], "author": ["Storm"]}))["x"]
    assert sorted(twice[1].round(6)) == [round(1 / 5**0.5, 6), round(2 / 5**0.5, 6)]
    assert sorted(twice[0]) == [311, 4165], "the words' hashes must never change: prompts hang on them"


def test_a_user_is_shown_with_the_reviews_and_texts_of_the_shown_events_alone():
    history = tuple(Event(f"b{number}", {}, number, review=f"review {number}") for number in range(5))
    texts = {event.id: f"about {event.id}" for event in history}
    user = Subject("user", "u", {"age": "9"}, history, tuple(f"review {number}" for number in range(5)), profiles=texts)
    [shown] = refreshed([user], Refresh(events=3))
    assert shown.history == history[:4]
    assert shown.reviews == ("review 0", "review 1", "review 2", "review 3")
    assert list(shown.profiles) == ["b0", "b1", "b2", "b3"]
    assert (shown.id, shown.attributes) == (user.id, user.attributes)
    assert next(refreshed([user], Refresh())) is user


def test_a_drift_that_can_have_no_effect_is_refused():
    with pytest.raises(ValidationError, match="without effect while events = 1"):
        Refresh(drift=0.3)
