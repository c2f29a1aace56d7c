"""Repair of answers: what stands there first, what is certain second, nothing made up, whatever the text."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from language_models.repair import DEEPEST, objects

TEXTS = st.text(max_size=12) | st.text(alphabet="{}[]\",:'\\ \n`/*#a1“”’", max_size=12)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=12
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=4)
CHATTER = st.text(alphabet=st.characters(blacklist_characters="{}`", blacklist_categories=["Cs"]), max_size=20)


def first(text):
    return next(objects(text), None)


def within(part, whole):
    """Whether a part has only what stands in the whole: equal, or fewer members, or the first elements."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(key in whole and within(value, whole[key]) for key, value in part.items())
    if isinstance(whole, list) and isinstance(part, list):
        return len(part) <= len(whole) and all(map(within, part, whole))
    return type(part) is type(whole) and part == whole


@settings(deadline=None)
@given(OBJECTS, st.booleans())
def test_an_object_that_stands_there_is_what_comes(value, ascii):
    assert first(json.dumps(value, ensure_ascii=ascii)) == value
    assert list(objects(json.dumps(value, indent=2))) == [value]


@settings(deadline=None)
@given(OBJECTS, CHATTER, CHATTER)
def test_chatter_and_fences_are_passed_over(value, before, after):
    text = json.dumps(value)
    assert first(f"{before}{text}{after}") == value
    assert first(f"{before}\n```json\n{text}\n```\n{after}") == value


@settings(max_examples=300, deadline=None)
@given(OBJECTS, st.data())
def test_of_a_cut_text_only_what_is_whole_is_kept(value, data):
    text = json.dumps(value, ensure_ascii=False)
    cut = text[: data.draw(st.integers(0, len(text)))]
    for found in objects(cut):
        assert within(found, value)
    for found in objects(f"Sure:\n```json\n{cut}\n```"):
        assert within(found, value)


@settings(max_examples=300, deadline=None)
@given(OBJECTS, OBJECTS)
def test_two_objects_are_never_merged(one, other):
    assert list(objects(json.dumps(one) + json.dumps(other))) == [one, other]
    broken = json.dumps(one)[:-1] + ",}" if one else "{}"
    assert sorted(map(json.dumps, objects(broken + "\n" + json.dumps(other)))) == sorted(map(json.dumps, (one, other)))


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet="{}[]\",:'\\ \n`/*#a1“”’tN.-", max_size=60))
def test_any_text_is_read_without_an_error_and_always_alike(text):
    found = list(objects(text))
    assert all(isinstance(value, dict) for value in found)
    assert repr(found) == repr(list(objects(text)))


GOOD = {"a": "x", "b": [1, {"c": None}], "d": True}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "x", "b": [1, {"c": null},], "d": true,}',
        "{'a': 'x', 'b': [1, {'c': None}], 'd': True}",
        "{“a”: “x”, “b”: [1, {“c”: null}], “d”: true}",
        '{ // first\n"a": "x", /* then */ "b": [1, {"c": null} # here\n], "d": true /* last */ }',
        '{"a": "x", "b": [1, {"c": null}], "d": true',
        '```json\n{"a": "x", "b": [1, {"c": null}], "d": true\n```\nI hope that helps {or not}.',
        'As {asked}: {"a": "x", "b": [1, {"c": None}], "d": True}, as {"wished"}',
        '{{"a": "x", "b": [1, {"c": null}], "d": true}}',
    ],
)
def test_a_small_fault_is_repaired(text):
    assert list(objects(text)) == [GOOD]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": "two\nlines\tand a tab"}', {"a": "two\nlines\tand a tab"}),
        ('{"a": "two\nlines",}', {"a": "two\nlines"}),
        ("{'a': 'it\\'s \"fine\"'}", {"a": 'it\'s "fine"'}),
        ('{"a": "it\\\'s"}', {"a": "it's"}),
        ('{“a”: “he said "yes"”}', {"a": 'he said "yes"'}),
        ("{'a': '\\u00e9 // no comment'}", {"a": "é // no comment"}),
        ('{"a": "http://x.y/#z",}', {"a": "http://x.y/#z"}),
        ('{"a": -1.5e3,}', {"a": -1500.0}),
    ],
)
def test_strings_and_numbers_keep_their_value(text, found):
    assert list(objects(text)) == [found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": "x", "b": "cut o', [{"a": "x"}]),
        ('{"a": "x", "b": 12', [{"a": "x"}]),  # perhaps 123
        ('{"a": "x", "b', [{"a": "x"}]),
        ('{"a": "x", "b": ["one", "tw', [{"a": "x"}]),
        ('{"a": "x", "b": ["one", "two"', [{"a": "x", "b": ["one", "two"]}]),
        ('{"a": "x", "b": tru', [{"a": "x"}]),
        ('{"a": "cut o', []),
        ('{"a": 1', []),
        ('{"a": "x", "b": "say "no" to it", "c": "y"}', [{"a": "x"}]),
        ('{"a": "of 5", or more", "b": "y"}', []),  # the comma is part of a text
        ("{'a': 'the reader's choice', 'b': 'y'}", []),
        ('{"a": "x", "b": 0x1F, "c": "y"}', [{"a": "x"}]),
        ('{"a": "x", "b": undefined}', [{"a": "x"}]),
        ('{"a": "x" "b": "y"}', []),
        ('{"a": [1 2]}', []),
    ],
)
def test_what_is_not_certain_is_left_out(text, found):
    assert list(objects(text)) == found


def test_what_stands_is_trusted_before_what_is_repaired_and_that_before_a_beginning():
    beginning, repaired, standing = '{"n": 3, "m": oops}', '{"n": 2,}', '{"n": 1}'
    assert list(objects(f"{beginning} {repaired} {standing}")) == [{"n": 1}, {"n": 2}, {"n": 3}]


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "x", "b": oops, "c": {"a": "of c"}}',
        '{"b": oops, "c": {"a": "of c"}}',
        '{"c": {"a": "of c"}, "b": "cut o',
        '{"c": {"a": "of c"} "b": 1}',
    ],
)
def test_a_part_of_a_broken_object_is_not_taken_for_the_answer(text):
    assert {"a": "of c"} not in list(objects(text))


def test_after_a_stray_bracket_the_answer_is_still_found():
    assert list(objects('The format is {"a": ...}. {"a": "x"}')) == [{"a": "x"}]
    assert list(objects('Book {#3} of {/all}: {"a": "x"}')) == [{"a": "x"}]
    assert list(objects('The format is {"a": ... So: {"a": "x"}')) == [{"a": "x"}]


@pytest.mark.parametrize(
    "unit",
    [
        "{", '["', '{"', "{'", "{“", '{"a":', '{"a":[', '{"a":{', "{/*", "{//", "{#", "{# ", '{"a":/*', '{"a":x',
        '{"a":1,}', '{"a":1,', '{"a":1}', "{'a", '{"\\"', "}", "{}", "{,}", '{"a"', "\\", '{"a":"\\', "{ ", '{"a":1 {',
        "{``` ", '{"a":"x", "b": oops', "{‘a’:", '{"a":111',
    ],
)  # fmt: skip
def test_hostile_text_takes_time_in_proportion_to_its_length(unit):
    def seconds(size):
        text, began = (unit * size)[:size], time.process_time()
        for _ in objects(text):
            pass
        return time.process_time() - began

    short, long = seconds(30_000), seconds(300_000)
    assert long < max(30 * short, 0.3), "ten times the text; a hundred times the time would be quadratic"


@pytest.mark.parametrize("unit", ["{", '["', '{"', '{"a":', "[", "{/*"])
def test_a_megabyte_of_brackets_is_no_answer_within_a_second(unit):
    began = time.process_time()
    assert list(objects(unit * (1_000_000 // len(unit)))) == []
    assert time.process_time() - began < 1.0


def test_depth_without_end_is_no_answer_and_no_error():
    for text in ('{"a":' * 200_000, '{"a":' * 100_000 + "1" + "}" * 100_000, '{"a":' + "[" * 500_000):
        assert list(objects(text)) == []
    deep = '{"a":' * DEEPEST + '"x",' + "}" * DEEPEST
    assert json.dumps(first(deep)).count("{") == DEEPEST
