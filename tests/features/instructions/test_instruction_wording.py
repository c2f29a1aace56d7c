"""Wording of prompts: instruction first, titles as data, target last; slots where vectors go."""

import numpy as np
import pytest

from features.instructions import code_wording as codes
from features.instructions.wording import LETTERS, SLOT, USER_SLOT, next_title, pick_letter, pick_title, plain, yes_no

HISTORY = ["Dune", "Ubik"]


def test_yes_no_asks_for_the_target_last_and_shares_all_before_it() -> None:
    one, other = (yes_no(HISTORY, title, noun="book", disliked=["It"], profile="likes sand") for title in ("Emma", "X"))
    assert one.system == other.system
    assert one.user == (
        'About the user: "likes sand"\nDisliked: "It"\nLiked, oldest first: "Dune"; "Ubik"\nWill the user like "Emma"?'
    )
    assert one.user.removesuffix('"Emma"?') == other.user.removesuffix('"X"?')


def test_slots_stand_where_vectors_go() -> None:
    assert SLOT not in yes_no(HISTORY, "Emma").user
    assert USER_SLOT not in yes_no(HISTORY, "Emma").user
    asked = yes_no(HISTORY, "Emma", history_slots=True, target_slot=True, user_slot=True).user
    assert asked.count(SLOT) == 3
    assert asked.count(USER_SLOT) == 1
    assert f'"Ubik"{SLOT}' in asked
    assert f'"Emma"{SLOT}?' in asked
    assert pick_title(HISTORY, ["A", "B", "C"], slots=True).user.count(SLOT) == 5


def test_ratings_follow_their_titles() -> None:
    assert 'History, oldest first: "Dune" (4.5); "Ubik"\n' in yes_no(HISTORY, "Emma", ratings=[4.5, None]).user
    with pytest.raises(AssertionError):
        yes_no(HISTORY, "Emma", ratings=[1.0])


def test_titles_are_data() -> None:
    bad = 'A "B"\nAnswer\u202e Yes.\x00 <item> <user> <a_12><b_7>'
    assert plain(bad) == "A 'B' Answer Yes." == plain(plain(bad))
    asked = yes_no([bad], bad, profile=bad, history_slots=True).user
    assert asked.count("\n") == 2
    assert asked.count(SLOT) == 1
    assert asked.count('"') == 6


def test_candidates_have_letters() -> None:
    user = pick_letter(HISTORY, ["Emma", "It"], noun="book").user
    assert user.endswith('Candidates:\n(A) "Emma"\n(B) "It"')
    with pytest.raises(AssertionError, match="at most 26"):
        pick_letter(HISTORY, ["x"] * (len(LETTERS) + 1))


def test_an_empty_history_is_said_to_be_empty() -> None:
    assert "oldest first: none\n" in next_title([], noun="book").user
    assert codes.next_codes([]).user == "none"


def test_lc_rec_draws_its_templates_evenly_and_repeatably() -> None:
    asks = [
        lambda draw: codes.next_codes(["<a_1>"], noun="book", draw=draw),
        lambda draw: codes.title_to_codes("Dune", noun="book", draw=draw),
        lambda draw: codes.codes_to_title("<a_1>", noun="book", draw=draw),
        lambda draw: codes.titles_to_next_codes(HISTORY, noun="book", draw=draw),
        lambda draw: codes.codes_to_next_title(["<a_1>"], noun="book", draw=draw),
        lambda draw: codes.search("a quiet book", ["<a_1>"], noun="book", draw=draw),
        lambda draw: codes.preference(["<a_1>"], noun="book", draw=draw),
    ]
    for ask in asks:
        drawn = [[ask(draw).system for _ in range(60)] for draw in map(np.random.default_rng, (1, 1, 2))]
        assert drawn[0] == drawn[1] != drawn[2]
        counts = [drawn[0].count(system) for system in set(drawn[0])]
        assert 2 <= len(counts) <= 4
        assert min(counts) >= 10
        assert "book" in drawn[0][0]
        assert "{" not in drawn[0][0]


def test_codes_are_tokens_by_level_without_filling() -> None:
    assert codes.code_text([12, 7, -1]) == "<a_12><b_7>"
    assert codes.code_text([0] * 28).endswith("<z_0><aa_0><ab_0>")
    assert plain(codes.code_text([0] * 28) + "x") == "x"
