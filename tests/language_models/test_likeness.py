"""Rankings and verdicts of the offline writer: what shares most words with the history comes first."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from language_models.facts import read_facts
from language_models.filling import fill
from language_models.likeness import approval, nearness, offered
from tests.support.choices import COOKING, GOTHIC, HISTORY, LETTERS, SEA, shown

WORDS = st.sampled_from(["gothic", "horror", "castle", "cooking", "sailing", "garden"])
ITEMS = st.lists(
    st.builds(lambda words: {"title": " ".join(words)}, st.lists(WORDS, min_size=1, max_size=4)), max_size=5
)


def ranked(items, user, name="ranking", **limits):
    return fill({"properties": {name: {"type": "array", "items": items, **limits}}}, read_facts(user))[name]


@pytest.mark.parametrize("name", ["ranking", "order"])
def test_all_letters_come_nearest_first(name):
    assert ranked({"enum": list(LETTERS)}, shown(COOKING, SEA, GOTHIC), name) == ["C", "B", "A"]
    assert ranked({"enum": list(LETTERS)}, shown(GOTHIC, COOKING, SEA), name) == ["A", "C", "B"]


def test_numbers_of_a_range_are_a_ranking_too():
    options = [{"option": number, **item} for number, item in enumerate((COOKING, GOTHIC, SEA), start=1)]
    user = f"HISTORY:\n{json.dumps(list(HISTORY))}\nCANDIDATES:\n{json.dumps(options)}"
    three = {"type": "integer", "minimum": 1, "maximum": 3}
    assert ranked(three, user, minItems=3, maxItems=3) == [2, 3, 1]
    assert ranked({"type": "integer"}, user) == [2, 3, 1], "without a range the prompt says which there are"


def test_titles_are_ranked_where_no_option_is_named():
    user = f"HISTORY:\n{json.dumps(list(HISTORY))}\nCANDIDATES:\n{json.dumps([COOKING, GOTHIC])}"
    assert ranked({"type": "string"}, user) == ["Carmilla", "Cooking for two"]


def test_letters_that_nobody_offers_come_only_where_so_many_are_asked_for():
    user = shown(COOKING, GOTHIC)
    letters = {"enum": [*LETTERS, "D"]}
    assert ranked(letters, user) == ["B", "A"]
    assert ranked(letters, user, minItems=4) == ["B", "A", "C", "D"]
    assert ranked(letters, user, maxItems=1) == ["B"]
    assert ranked(letters, "nothing") == [*LETTERS, "D"]


def test_arrays_of_another_name_have_one_choice_as_before():
    assert ranked({"enum": list(LETTERS)}, shown(COOKING, SEA, GOTHIC), "liked") == ["C"]


def test_what_is_disliked_speaks_against_a_candidate():
    liked, disliked = json.dumps([HISTORY[0]]), json.dumps([{"title": "Horror of the sea", "genre": "Adventure"}])
    facts = read_facts(f"LIKED:\n{liked}\nDISLIKED:\n{disliked}\nCANDIDATE:\n{json.dumps(SEA)}")
    assert approval(facts) < 0
    assert approval(read_facts(f"LIKED:\n{liked}\nCANDIDATE:\n{json.dumps(SEA)}")) > 0


@pytest.mark.parametrize(("candidate", "said"), [(GOTHIC, "Yes"), (COOKING, "No"), ({"title": "None"}, "No")])
def test_a_candidate_that_shares_words_with_the_history_is_a_yes(candidate, said):
    history = [*HISTORY, {"title": "Melmoth", "genre": "None"}]
    user = f"HISTORY:\n{json.dumps(history)}\nCANDIDATE:\n{json.dumps(candidate)}"
    assert fill({"properties": {"answer": {"enum": ["Yes", "No"]}}}, read_facts(user)) == {"answer": said}


def test_an_answer_of_other_words_is_a_choice_as_before():
    user = shown(COOKING, GOTHIC)
    assert fill({"properties": {"answer": {"enum": ["A", "B"]}}}, read_facts(user)) == {"answer": "B"}


@given(history=ITEMS, candidates=ITEMS)
def test_a_ranking_has_every_option_once_in_the_order_of_nearness(history, candidates):
    options = [{"option": number, **item} for number, item in enumerate(candidates, start=1)]
    user = f"HISTORY:\n{json.dumps(history)}\nCANDIDATES:\n{json.dumps(options)}"
    order = ranked({"type": "integer"}, user) if candidates else []
    assert sorted(order) == list(range(1, len(candidates) + 1))
    facts = read_facts(user)
    near = nearness(offered(facts), facts)
    keys = [(-near[str(number)], number) for number in order]
    assert keys == sorted(keys)
