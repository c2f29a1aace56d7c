"""The content key of a call: what it is made of, and the fast way to it."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from schemas.records import KeyMaker, Prompt

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    ["", '"', "\\", "user", "\ue000"]
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXT, JSON_VALUES, max_size=3)
PROMPTS = st.builds(
    Prompt,
    recipe=TEXT,
    version=TEXT,
    kind=st.sampled_from(["user", "item"]),
    id=TEXT,
    system=TEXT,
    user=TEXT,
    answer_schema=OBJECTS,
    sample=st.integers(0, 3),
    turn=st.integers(0, 2),
    correction=TEXT,
    room=st.integers(1, 2),
)


@given(model=TEXT, params=OBJECTS, prompts=st.lists(PROMPTS, max_size=5), texts=st.lists(TEXT, max_size=3))
def test_the_fast_key_is_the_key(model, params, prompts, texts):
    make = KeyMaker(model, params)
    asked = [replace(prompt, user=text) for prompt in prompts for text in [prompt.user, *texts]]
    assert [make(prompt) for prompt in asked] == [prompt.key(model, params) for prompt in asked]


def test_equal_schemas_that_json_tells_apart_have_keys_of_their_own():
    prompts = [Prompt("r", "1", "item", "1", "s", "u", schema) for schema in ({"a": 1}, {"a": True}, {"a": 1.0})]
    make = KeyMaker("m", {})
    assert len({make(prompt) for prompt in prompts}) == 3


def test_very_many_schemas_are_not_kept():
    make = KeyMaker("m", {})
    for number in range(3 * KeyMaker.MOST):
        prompt = Prompt("r", "1", "item", "1", "s", "u", {"number": number})
        assert make(prompt) == prompt.key("m", {})
    assert len(make._frames) <= KeyMaker.MOST


def test_all_turns_of_a_call_have_one_key_and_samples_do_not():
    prompt = Prompt("r", "1", "item", "1", "s", "u", {})
    make = KeyMaker("m", {})
    assert make(replace(prompt, turn=1, correction="again", room=2)) == make(prompt) != make(replace(prompt, sample=1))
