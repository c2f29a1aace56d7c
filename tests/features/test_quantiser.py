"""Residual k-means: properties of any vectors, and the report by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.quantiser import ROWS_PER_CODE, Codebooks, fit_residual_kmeans, lloyd, usage
from schemas.errors import DataError

VECTORS = arrays(
    np.float32,
    st.tuples(st.integers(1, 40), st.integers(1, 5)),
    elements=st.floats(-100, 100, width=32, allow_subnormal=False),
)
CASES = {"x": VECTORS, "levels": st.integers(1, 4), "size": st.integers(1, 12), "seed": st.integers(0, 3)}


def clusters(rows: int = 3000, centres: int = 20, dim: int = 16, noise: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(0)
    centre = rng.normal(size=(centres, dim))
    return (centre[rng.integers(centres, size=rows)] + noise * rng.normal(size=(rows, dim))).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(**CASES)
def test_codes_are_of_the_codebooks_and_no_fitted_code_is_dead(x, levels, size, seed):
    books = fit_residual_kmeans(x, levels, size, seed)
    codes = books.encode(x)
    assert codes.dtype == np.int16
    assert codes.shape == (len(x), levels)
    assert all(1 <= each <= min(size, len(np.unique(x, axis=0))) for each in books.sizes)
    assert usage(codes, books.sizes).used == (1.0,) * levels


@settings(max_examples=60, deadline=None)
@given(**CASES)
def test_each_level_leaves_no_more_than_the_one_before(x, levels, size, seed):
    books = fit_residual_kmeans(x, levels, size, seed)
    errors = books.errors(x, books.encode(x))
    spread = np.square(x - books.mean).sum(axis=1).mean()
    scale = 1e-5 * (1 + np.square(x).sum(axis=1).max())
    assert all(after <= before + scale for before, after in zip((spread, *errors), errors, strict=False))


@settings(max_examples=60, deadline=None)
@given(**CASES, others=arrays(np.float32, (7, 5), elements=st.floats(-100, 100, width=32)))
def test_a_rows_codes_depend_on_no_other_row(x, levels, size, seed, others):
    books = fit_residual_kmeans(x, levels, size, seed)
    codes = books.encode(x)
    more = np.concatenate([others[:, : x.shape[1]], x])
    np.testing.assert_array_equal(books.encode(more)[7:], codes)
    np.testing.assert_array_equal(books.encode(x[:1]), codes[:1])


def test_codes_stay_when_rows_come_at_any_place():
    """Also across the blocks that rows are encoded in."""
    x = clusters(rows=2500)
    books = fit_residual_kmeans(x, 3, 50, 0)
    codes = books.encode(x)
    for start in (1, 700, 1300):
        np.testing.assert_array_equal(books.encode(x[start:]), codes[start:])


def test_the_same_seed_gives_the_same_codebooks_and_another_one_others():
    x = clusters()
    one, two, other = (fit_residual_kmeans(x, 2, 10, seed) for seed in (1, 1, 2))
    for a, b in zip(one.centres, two.centres, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.centres[0], other.centres[0])


def test_clusters_are_found():
    """With as many codes as clusters, k-means++ leaves little more than the noise inside them."""
    x = clusters(centres=8, noise=0.1)
    books = fit_residual_kmeans(x, 1, 8, 0)
    (left,) = books.errors(x, books.encode(x))
    assert left < 2 * 16 * 0.1**2


def test_as_many_codes_as_distinct_rows_reconstruct_them():
    x = np.repeat(np.array([[0.0, 3.0], [1.0, -2.0], [5.0, 5.0]], dtype=np.float32), 4, axis=0)
    books = fit_residual_kmeans(x, 2, 100, 0)
    assert books.sizes == (3, 1)
    np.testing.assert_allclose(books.decode(books.encode(x)), x, atol=1e-6)


def test_equal_rows_have_equal_codes_even_with_a_negative_zero():
    x = np.array([[0.0, 1.0], [-0.0, 1.0], [2.0, 1.0]], dtype=np.float32)
    books = fit_residual_kmeans(x, 1, 9, 0)
    codes = books.encode(x)
    assert books.sizes == (2,)
    assert codes[0] == codes[1] != codes[2]


def test_a_dead_centre_goes_where_rows_are_badly_served():
    x = np.array([[100.0], [101.0], [110.0], [111.0]], dtype=np.float32)
    centre, code = lloyd(x, np.array([[102.0], [900.0]], dtype=np.float32))
    assert sorted(centre.ravel().tolist()) == [100.5, 110.5]
    assert code[0] == code[1] != code[2] == code[3]


def test_a_centre_that_stays_dead_is_dropped_and_the_codes_are_renumbered():
    x = np.array([[0.0], [0.0], [5.0]], dtype=np.float32)
    centre, code = lloyd(x, np.array([[900.0], [0.0], [900.0], [5.0]], dtype=np.float32))
    np.testing.assert_array_equal(centre[code], x)
    assert len(centre) == 2


def test_a_large_table_is_fitted_on_a_sample_and_encoded_whole():
    x = clusters(rows=2 * ROWS_PER_CODE * 4, centres=4)
    books = fit_residual_kmeans(x, 1, 4, 0)
    codes = books.encode(x)
    assert len(codes) == len(x)
    assert usage(codes, books.sizes).perplexity[0] == pytest.approx(4, abs=0.3)


def test_encode_and_decode_by_hand():
    books = Codebooks(
        np.array([1.0, 1.0], dtype=np.float32),
        (np.array([[0, 0], [4, 0]], dtype=np.float32), np.array([[0, -1], [0, 1]], dtype=np.float32)),
    )
    x = np.array([[1, 2], [5, 0.5], [2, 0]])
    codes = books.encode(x)
    assert codes.tolist() == [[0, 1], [1, 0], [0, 0]]
    assert books.decode(codes).tolist() == [[1, 2], [5, 0], [1, 0]]
    assert books.decode(codes[:, :1]).tolist() == [[1, 1], [5, 1], [1, 1]]
    assert books.errors(x, codes) == pytest.approx(((1 + 0.25 + 2) / 3, (0 + 0.25 + 1) / 3))


def test_the_report_by_hand():
    codes = np.array([[0, 0], [0, 0], [0, 1], [2, 1]], dtype=np.int16)
    report = usage(codes, (4, 2), (0.5, 0.25))
    assert report.used == (0.5, 1.0)
    assert report.perplexity == pytest.approx((np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25))), 2.0))
    assert (report.distinct, report.largest, report.collisions) == (3, 2, 0.5)
    assert report.errors == (0.5, 0.25)


def test_the_report_of_no_rows():
    report = usage(np.empty((0, 2), dtype=np.int16), (3, 3))
    assert (report.used, report.distinct, report.largest, report.collisions) == ((0.0, 0.0), 0, 0, 0.0)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="quantiser: expected finite vectors"):
        fit_residual_kmeans(np.array([[0.0], [np.nan]]), 1, 2, 0)
