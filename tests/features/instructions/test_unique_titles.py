"""Titles that name one item each."""

import polars as pl

from features.instructions.messages import plain
from features.instructions.titles import unique_titles


def test_equal_titles_are_told_apart_by_author_and_year_then_by_number() -> None:
    items = pl.DataFrame(
        {
            "id": list("abcdefgh"),
            "title": ["Emma", "emma", "Emma", "Emma", "Dune", "Dune #2", "Dune", "Odd"],
            "author": ["Austen", "Austen", "Kohen", None, None, None, None, "Ann"],
            "year": [1815, 1999, None, None, None, None, None, 2000],
        }
    )
    found = unique_titles(items)
    assert found == [
        "Emma (Austen) (1815)",
        "emma (Austen) (1999)",
        "Emma (Kohen)",
        "Emma",
        "Dune",
        "Dune #2",
        "Dune #3",
        "Odd",
    ]


def test_no_two_titles_are_equal_and_no_id_is_shown() -> None:
    items = pl.DataFrame(
        {
            "id": [f"secret-{n}" for n in range(7)],
            "title": [None, "", "Untitled", 'A "quoted"\nname', "Matrix, The (1999)", "word " * 40, "word " * 50],
        }
    )
    found = unique_titles(items, words=5, characters=20)
    assert found[:3] == ["untitled #1", "untitled #2", "Untitled #3"]
    assert found[3:] == ["A 'quoted' name", "The Matrix (1999)", "word word word word", "word word word word #2"]
    assert len({title.casefold() for title in found}) == len(found)
    assert not any("secret" in title for title in found)
    assert all(plain(title) == title for title in found)


def test_a_catalogue_without_text_has_numbers() -> None:
    assert unique_titles(pl.DataFrame({"id": ["a", "b"]})) == ["untitled #1", "untitled #2"]
