"""Histories cut into partitions that never change again, and the turns in which they are asked about."""

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from features.partitions import Cascade, Closed, cut
from schemas.records import Event, ProfileRow, Reject, Subject

SIZES = st.integers(1, 4)
TIMES = st.lists(st.integers(0, 50), max_size=20)


def history(times, prefix="e"):
    """Events in the order of their times, as a corpus gives them."""
    events = [Event(f"{prefix}{number}", {}, time) for number, time in enumerate(times)]
    return sorted(events, key=lambda event: (event.time, event.id))


def published(parts):
    return [Closed(part.part, part.ids, {"summary": f"text {part.part}"}) for part in parts]


@given(TIMES, TIMES, SIZES)
def test_partitions_and_cache_are_the_history_and_closed_ones_stay_when_events_are_appended(times, later, size):
    before = history(times)
    first, cache = cut(before, [], size)
    assert [event for part in first for event in part.events] + cache == before
    assert [len(part.events) for part in first] == [size] * len(first)

    now = history([*times, *later])  # some of them late
    second, left = cut(now, published(first), size)
    assert [part.ids for part in second[: len(first)]] == [part.ids for part in first]
    every = [event.id for part in second for event in part.events] + [event.id for event in left]
    assert sorted(every) == sorted(event.id for event in now)
    assert [part.part for part in second] == list(range(1, len(second) + 1))
    assert len(left) < size
    assert (second, left) == cut(now, random.Random(0).sample(published(first), len(first)), size)


@given(TIMES, SIZES, st.data())
def test_a_partition_that_lost_an_event_is_dropped_with_all_that_follow(times, size, data):
    first, _ = cut(history(times), [], size)
    if not first:
        return
    gone = data.draw(st.sampled_from([event.id for part in first for event in part.events]))
    lost = next(place for place, part in enumerate(first) if gone in part.ids)
    now = [event for event in history(times) if event.id != gone]
    second, left = cut(now, published(first), size)
    assert [part.ids for part in second[:lost]] == [part.ids for part in first[:lost]]
    assert [event for part in second for event in part.events] + left == now, "the rest is made anew, in order"


@given(TIMES, SIZES, SIZES)
def test_another_size_makes_all_anew(times, size, other):
    first, _ = cut(history(times), [], size)
    assert cut(history(times), published(first), other) == cut(history(times), [], other)


def test_a_late_event_goes_to_the_next_partition_and_marks_it():
    first, _ = cut(history([10, 20, 30, 40, 50]), [], 2)
    assert [part.late for part in first] == [False, False]
    late = [Event("late", {}, 15), *history([10, 20, 30, 40, 50])]
    second, left = cut(late, published(first), 2)
    assert [(part.ids, part.late) for part in second[1:]] == [(("e2", "e3"), False), (("late", "e4"), True)]
    assert left == []


def test_a_late_event_waits_in_the_cache_like_any_other():
    first, _ = cut(history([10, 20]), [], 2)
    second, left = cut([Event("late", {}, 5), *history([10, 20])], published(first), 2)
    assert second == first
    assert [event.id for event in left] == ["late"]


def test_equal_times_and_events_without_a_time_are_never_late():
    assert not any(part.late for part in cut(history([5, 5, 5, 5]), [], 2)[0])
    untimed = [Event(f"e{number}", {}) for number in range(4)]
    assert not any(part.late for part in cut(untimed, [], 2)[0])


def test_a_gap_in_the_numbers_ends_what_is_kept():
    second = Closed(2, ("e0", "e1"), {"summary": "x"})
    assert [part.ids for part in cut(history([1, 2]), [second], 2)[0]] == [("e0", "e1")]
    assert cut(history([1, 2]), [second], 2)[0][0].part == 1


# ---- the turns

USERS = [
    Subject("user", "u5", {}, tuple(history(range(5), "a"))),
    Subject("user", "u3", {}, tuple(history(range(3), "b"))),
    Subject("user", "u1", {}, tuple(history(range(1), "c"))),
]


def row(subject, text=None):
    return ProfileRow("user", subject.id, "r", "summary", text or f"{subject.id}.{subject.part}", "key", subject.part)


def answered(subjects):
    return [row(subject) for subject in subjects], []


def failing(reason, id, part):
    """Everybody is answered but one user's partition."""

    def read(subjects):
        bad = [subject for subject in subjects if (subject.id, subject.part) == (id, part)]
        good = [row(subject) for subject in subjects if subject not in bad]
        return good, [Reject("key", subject.id, reason, "") for subject in bad]

    return read


def waves(read=answered, closed=None, assumed=None, users=USERS, size=1):
    """Per wave who is asked about, which part, and what was said before."""
    turns = Cascade(users, closed or {}, size, assumed).waves(read)
    return [[(one.id, one.part, one.before.get("summary")) for one in wave] for wave in turns]


def test_the_first_wave_has_the_first_part_of_everybody_and_each_shows_what_was_said_before():
    assert waves(size=2) == [[("u5", 1, None), ("u3", 1, None)], [("u5", 2, "u5.1")]]
    assert [len(wave) for wave in waves()] == [3, 2, 2, 1, 1]


def test_a_subject_has_the_events_of_its_part_and_no_others():
    reviewed = [replace(USERS[0], reviews=("of another part",))]
    parts = [wave[0] for wave in Cascade(reviewed, {}, 2).waves(answered)]
    assert [[event.id for event in one.history] for one in parts] == [["a0", "a1"], ["a2", "a3"]]
    assert [one.reviews for one in parts] == [(), ()]


def test_partitions_with_a_text_are_no_subjects_and_are_shown_to_the_next():
    closed = {"u5": [Closed(1, ("a0",), {"summary": "first"}), Closed(2, ("a1",), {"summary": "second"})]}
    assert waves(closed=closed, users=USERS[:1]) == [
        [("u5", 3, "second")],
        [("u5", 4, "u5.3")],
        [("u5", 5, "u5.4")],
    ]
    whole = {"u1": [Closed(1, ("c0",), {"summary": "all"})]}
    assert waves(closed=whole, users=USERS[2:]) == []


def test_a_closed_partition_without_a_text_is_asked_again_and_those_behind_it_are_not():
    closed = {"u3": [Closed(1, ("b0",)), Closed(2, ("b1",), {"summary": "second"})]}
    assert waves(closed=closed, users=USERS[1:2]) == [[("u3", 1, None)], [("u3", 3, "second")]]


def test_an_unanswered_partition_holds_up_the_later_ones_of_that_user_only():
    for reason in ("not_asked", "missing", "error:server", "unknown:timeout"):
        asked = waves(failing(reason, "u5", 2))
        assert [part for wave in asked for id, part, _ in wave if id == "u5"] == [1, 2]
        assert [part for wave in asked for id, part, _ in wave if id == "u3"] == [1, 2, 3]


def test_one_that_cannot_be_read_or_asked_holds_up_nobody_and_the_text_before_is_carried_on():
    for reason in ("schema", "none", "refusal", "nothing_to_ask", "too_long"):
        asked = waves(failing(reason, "u5", 2), users=USERS[:1])
        assert asked[2:] == [[("u5", 3, "u5.1")], [("u5", 4, "u5.3")], [("u5", 5, "u5.4")]]


def test_a_plan_sees_all_partitions_with_an_assumed_text_where_no_answer_is():
    def nothing(subjects):
        return [], [Reject("key", subject.id, "not_asked", "") for subject in subjects]

    asked = waves(nothing, assumed={"summary": "…"}, size=2)
    assert asked == [[("u5", 1, None), ("u3", 1, None)], [("u5", 2, "…")]]
    told = waves(failing("not_asked", "u5", 2), assumed={"summary": "…"}, users=USERS[:1])
    assert [before for wave in told for _, _, before in wave] == [None, "u5.1", "…", "u5.3", "u5.4"]
