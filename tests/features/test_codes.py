"""Semantic ids on the corpus's index: what is refused, what a hash knows, and what prefixes are."""

import numpy as np
import polars as pl
import pytest

from features.codes import ItemCodes, align_codes
from schemas.errors import DataError

IDS = pl.Series("id", ["a", "b", "c"])


def rows(codes: dict[str, list[int]], sizes=(4, 3)) -> pl.DataFrame:
    schema = {"id": pl.String, "codes": pl.List(pl.Int32), "sizes": pl.List(pl.Int32)}
    return pl.DataFrame([(id, each, list(sizes)) for id, each in codes.items()], schema=schema, orient="row")


GOOD = {"c": [3, 0], "a": [0, 2], "b": [0, 1]}


def test_codes_go_to_the_row_of_their_item():
    found = align_codes(rows(GOOD), IDS, "rq")
    assert found.codes.tolist() == [[0, 2], [0, 1], [3, 0]]
    assert found.codes.dtype == np.int32
    assert found.sizes == (4, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": [0, 2]}, "rq: items 'a' and 'b': expected distinct codes, found \\[0, 2\\] twice"),
        ({"d": [1, 1]}, "rq: item 'd': has codes but is not in the items table"),
        ({"b": [0, 3]}, "rq: item 'b': codes \\[0, 3\\] are outside the levels \\[4, 3\\]"),
        ({"b": [0, 1, 1]}, "rq: item 'b': expected 2 codes, found 3"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    with pytest.raises(DataError, match=message):
        align_codes(rows({**GOOD, **change}), IDS, "rq")


def test_an_item_without_codes_says_what_to_run():
    with pytest.raises(DataError, match="rq: item 'b': has no codes; run `loregraph tokenize` again"):
        align_codes(rows({"a": [0, 1], "c": [1, 1]}), IDS, "rq")


def test_two_rows_of_one_item_are_refused():
    with pytest.raises(DataError, match="rq: item 'a': expected one tuple of codes, found several"):
        align_codes(pl.concat([rows(GOOD), rows({"a": [1, 1]})]), IDS, "rq")


def test_the_hash_knows_order_sizes_and_codes():
    base = align_codes(rows(GOOD), IDS, "rq")
    assert base.hash == align_codes(rows(dict(reversed(GOOD.items()))), IDS, "other").hash
    assert base.hash != align_codes(rows({**GOOD, "b": [1, 1]}), IDS, "rq").hash
    assert base.hash != align_codes(rows(GOOD, sizes=(5, 3)), IDS, "rq").hash
    assert base.hash != ItemCodes(base.codes[[1, 0, 2]], base.sizes, "rq").hash


def test_prefixes_number_what_items_share_and_leave_the_last_level_out():
    codes = ItemCodes(np.array([[1, 0, 0], [1, 0, 1], [1, 2, 0], [0, 0, 0]], dtype=np.int32), (2, 3, 2), "rq")
    assert codes.prefixes(5).tolist() == [[1, 1], [1, 1], [1, 2], [0, 0]]
    assert codes.prefixes(1).tolist() == [[1], [1], [1], [0]]
    assert ItemCodes(np.array([[4], [2]], dtype=np.int32), (5,), "iid").prefixes(3).tolist() == [[1], [0]]
