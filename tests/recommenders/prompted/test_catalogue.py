"""Titles that a model remembers, in a catalogue: near ones are found, short ones not by chance, remakes by year."""

import pytest

from recommenders.prompted.catalogue import Catalogue

TITLES = (
    "The Thing (1982)",
    "The Thing (2011)",
    "Up (2009)",
    "It",
    "(500) Days of Summer (2009)",
    "Amélie (2001)",
    "Emma (Jane Austen)",
    "Alien (1979)",
    "Alien Resurrection (1997)",
)
CATALOGUE = Catalogue(TITLES)


@pytest.mark.parametrize(
    ("said", "title", "status"),
    [
        ("The Thing (2011)", "The Thing (2011)", "exact"),
        ("Thing, The (2011)", "The Thing (2011)", "normalised"),
        ("The Thing", "The Thing (1982)", "normalised"),
        ("The Thing (1983)", "The Thing (1982)", "normalised"),
        ("amelie (2001)", "Amélie (2001)", "normalised"),
        ("Amelia (2001)", "Amélie (2001)", "fuzzy"),
        ("500 Days of Summer", "(500) Days of Summer (2009)", "normalised"),
        ("(500) Dais of Sumer (2009)", "(500) Days of Summer (2009)", "fuzzy"),
        ("Emma", "Emma (Jane Austen)", "normalised"),
        ("Alien Resurection", "Alien Resurrection (1997)", "fuzzy"),
    ],
)
def test_what_is_meant(said, title, status):
    found = CATALOGUE.ground(said)
    assert (TITLES[int(found.id)], found.status) == (title, status)


@pytest.mark.parametrize("said", ["The Thing (1951)", "M", "Us", "If", "Alien (2030)", "Aliens vs", "", "(1999)", "!!"])
def test_what_is_not_there_is_none(said):
    assert CATALOGUE.ground(said).status == "none"


def test_titles_in_a_text():
    def mentioned(text: str) -> list[str]:
        return [TITLES[row] for row in CATALOGUE.mentioned(text)]

    assert mentioned("I loved Alien Resurrection, and AMELIE! Not up for it.") == [TITLES[8], TITLES[5]]
    assert mentioned("The Thing of 2011 bored me") == [TITLES[1]]
    assert mentioned("The Thing bored me") == [TITLES[0], TITLES[1]]
    assert mentioned("Have you seen Emma and alien?") == [TITLES[6], TITLES[7]]
