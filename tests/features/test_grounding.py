"""Titles as people, catalogues and models write them: what is the same title, and what is none."""

import time

import pytest

from features.grounding import NOWHERE, Grounded, Titles, natural, normalised

BOOKS = Titles(
    {
        "Dracula": "b1",
        "The Hunger Games (The Hunger Games, #1)": "b2",
        "Les Misérables (1862)": "b3",
        "The Strange Case of Dr Jekyll and Mr Hyde": "b4",
    }
)


@pytest.mark.parametrize(
    ("catalogue", "said"),
    [
        ("Matrix, The (1999)", "The Matrix (1999)"),
        ("American in Paris, An (1951)", "An American in Paris (1951)"),
        ("Misérables, Les (1995)", "Les Misérables (1995)"),
        ("Avventura, L' (1960)", "L'Avventura (1960)"),
        ("matrix, the", "The matrix"),
        ("Good, the Bad and the Ugly, The (1966)", "The Good, the Bad and the Ugly (1966)"),
        (
            "City of Lost Children, The (Cité des enfants perdus, La) (1995)",
            "The City of Lost Children (Cité des enfants perdus, La) (1995)",
        ),
        ("Hours, The: A Novel", "The Hours: A Novel"),
        ("Me, Myself and I", "Me, Myself and I"),
        ("Theatre, Theory", "Theatre, Theory"),
        (", The", ", The"),
        ("", ""),
    ],
)
def test_an_article_behind_a_comma_goes_to_the_front(catalogue, said):
    assert natural(catalogue) == said


@pytest.mark.parametrize(
    "title",
    [
        "The Café of Lost Youth",
        "Cafe of Lost Youth, The (2007)",
        "THE CAFÉ, OF LOST YOUTH!",
        "  the  cafe of lost_youth ",
        "The Café of Lost Youth (Paris Stories, #3)",
        "A Cafe\u0301 of Lost Youth",
    ],
)
def test_writings_of_one_title_are_equal_when_normalised(title):
    assert normalised(title) == "cafe of lost youth"


@pytest.mark.parametrize(
    ("title", "left"),
    [
        ("1984 (1949)", "1984"),
        ("(500) Days of Summer", "500 days of summer"),
        ("2001: A Space Odyssey (1968)", "2001 a space odyssey"),
        ("The Straße", "strasse"),
        ("The", "the"),
        ("戦争と平和", "戦争と平和"),
        ("?!", ""),
        ("", ""),
    ],
)
def test_what_is_no_decoration_stays(title, left):
    assert normalised(title) == left


@pytest.mark.parametrize(
    ("title", "found"),
    [
        ("Dracula", Grounded("exact", "b1", 1.0)),
        ("dracula (1897)", Grounded("normalised", "b1", 1.0)),
        ("The Hunger Games", Grounded("normalised", "b2", 1.0)),
        ("Miserables, Les", Grounded("normalised", "b3", 1.0)),
        ("Emma", NOWHERE),
        ("Drac", NOWHERE),
        ("", NOWHERE),
        ("...", NOWHERE),
        ("\x00\u202e", NOWHERE),
    ],
)
def test_a_title_is_exact_normalised_or_none(title, found):
    assert BOOKS.ground(title) == found


def test_a_slip_of_the_pen_is_fuzzy_and_says_how_near_it_is():
    found = BOOKS.ground("Strange Case of Dr Jekyl and Mr Hyde")
    assert (found.status, found.id) == ("fuzzy", "b4")
    assert 0.9 <= found.score < 1
    assert BOOKS.ground("Strange Case of Mr Holmes") == NOWHERE


def test_of_titles_that_are_equal_when_normalised_the_first_is_taken_and_an_exact_one_goes_before():
    emmas = Titles({"Emma (1815)": "old", "Emma": "new", "EMMA": "loud"})
    assert emmas.ground("emma").id == "old"
    assert emmas.ground("EMMA") == Grounded("exact", "loud", 1.0)


def test_titles_without_a_letter_are_found_by_nobody_but_themselves():
    signs = Titles({"!!!": "b1", "???": "b2"})
    assert signs.ground("???") == Grounded("exact", "b2", 1.0)
    assert signs.ground("!?!") == NOWHERE
    assert Titles({}).ground("Dracula") == NOWHERE


@pytest.mark.parametrize("hostile", ["(" + "#" * 4000, "a, the " * 800, " " * 4000 + "x", "(1999" * 800, "é" * 4000])
def test_a_hostile_title_is_none_and_takes_no_time(hostile):
    began = time.process_time()
    assert BOOKS.ground(hostile) == NOWHERE
    assert time.process_time() - began < 1.0
