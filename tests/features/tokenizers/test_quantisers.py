"""Tokenizers of vectors that need no network: codes by hand, missing vectors, collapse, and ties by distance."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from features.tokenizers import TokenInputs
from features.tokenizers.coding import code_items
from features.tokenizers.lsh import Lsh
from features.tokenizers.pq import ProductQuantiser, dealt_out
from features.tokenizers.random_codes import RandomCodes
from features.tokenizers.rq_kmeans import RqKMeans
from schemas.errors import DataError
from tests.support.catalogue import ITEMS, catalogue


def vectors(x: np.ndarray) -> TokenInputs:
    items = pl.DataFrame({"id": [f"i{n:05}" for n in range(len(x))]})
    return TokenInputs(items, x.astype(np.float32), np.ones(len(x), dtype=bool))


def test_the_last_code_is_the_nearest_one_of_the_last_level():
    inputs = catalogue()
    for tokenizer in (RqKMeans(levels=3, size=4), ProductQuantiser(levels=3, size=4)):
        tokenizer.fit(inputs)
        distance = tokenizer.last_distances(inputs)
        assert distance.shape == (ITEMS, tokenizer.sizes[-1])
        np.testing.assert_array_equal(distance.argmin(axis=1), tokenizer.encode(inputs)[:, -1])


@pytest.mark.parametrize("ties", ["extra", "nearest", "sinkhorn"])
@pytest.mark.parametrize("tokenizer", [RqKMeans, ProductQuantiser])
def test_ties_are_told_apart_in_each_way(tokenizer, ties):
    inputs = catalogue()
    built = tokenizer(levels=2, size=8, ties=ties)
    built.fit(inputs)
    coded = code_items(built, inputs)
    assert len(set(map(tuple, coded.codes.tolist()))) == ITEMS
    assert coded.codes.shape[1] == (3 if ties == "extra" else 2)
    np.testing.assert_array_equal(coded.codes[:, 0], coded.raw[:, 0])


def test_items_without_a_vector_are_coded_as_the_mean():
    inputs = catalogue()
    tokenizer = RqKMeans(levels=2, size=4)
    tokenizer.fit(inputs)
    mean = vectors(inputs.x[inputs.present].mean(axis=0)[None])
    found = tokenizer.encode(inputs)[~inputs.present]
    assert len(found) == ITEMS // 10
    assert (found == tokenizer.encode(mean)).all()
    noise = replace(inputs, x=inputs.x + 7 * ~inputs.present[:, None])
    np.testing.assert_array_equal(tokenizer.encode(noise), tokenizer.encode(inputs))


def test_no_vector_at_all_is_refused_and_one_that_is_not_finite_named():
    inputs = catalogue()
    with pytest.raises(DataError, match=r"RqKMeans: expected text vectors, found none; name a text"):
        RqKMeans().fit(inputs.without_vectors())
    x = inputs.x.copy()
    x[3, 1] = np.nan
    with pytest.raises(DataError, match="RqKMeans: item 'i003': expected finite vectors"):
        RqKMeans().fit(replace(inputs, x=x))


def test_collapsed_codebooks_are_refused_and_equal_vectors_are_not():
    x = np.random.default_rng(0).standard_normal((600, 4))
    x[:, 1:] *= 1e-9
    x[:, 0] = np.repeat([0.0, 1000.0], 300)
    inputs = vectors(x + 1e-6 * np.arange(600)[:, None] * [0, 1, 0, 0])
    tokenizer = RqKMeans(levels=1, size=2)
    tokenizer.fit(inputs)
    with pytest.raises(
        DataError, match=r"300 items with different vectors share the codes .*: the codebooks have coll"
    ):
        code_items(tokenizer, inputs)
    equal = vectors(np.repeat(np.eye(2), 300, axis=0))
    tokenizer.fit(equal)
    assert code_items(tokenizer, equal).sizes == (2, 300)


def test_planes_say_on_which_side_a_vector_is():
    inputs = catalogue()
    tokenizer = Lsh(levels=2, bits=3, seed=4)
    tokenizer.fit(inputs)
    x, codes = inputs.x[0] - tokenizer.arrays["mean"], tokenizer.encode(inputs)[0]
    side = [int(x @ plane > 0) for plane in tokenizer.arrays["planes"].T]
    assert codes.tolist() == [side[0] + 2 * side[1] + 4 * side[2], side[3] + 2 * side[4] + 4 * side[5]]


def test_parts_are_equally_many_axes_that_vary_alike():
    variance = np.array([1.0, 1, 1, 1, 16, 16, 4, 4])
    part = dealt_out(variance, 2)
    assert np.bincount(part).tolist() == [4, 4]
    assert np.prod(variance[part == 0]) == np.prod(variance[part == 1])
    assert np.bincount(dealt_out(np.ones(7), 3)).tolist() == [3, 2, 2]


def test_parts_of_a_product_are_coded_apart():
    inputs = catalogue()
    tokenizer = ProductQuantiser(levels=2, size=4)
    tokenizer.fit(inputs)
    turned = (inputs.x - tokenizer.arrays["mean"]) @ tokenizer.arrays["axes"]
    for level in range(2):
        part = turned[:, tokenizer.arrays["part"] == level]
        centres = tokenizer.arrays[f"centre.{level}"] + tokenizer.arrays[f"centres.{level}"]
        nearest = np.square(part[:, None] - centres).sum(axis=2).argmin(axis=1)
        mine = inputs.present
        np.testing.assert_array_equal(tokenizer.encode(inputs)[mine, level], nearest[mine])


def test_more_parts_than_dimensions_are_refused():
    with pytest.raises(DataError, match="pq: 12 dimensions cannot be cut into 13 parts; use fewer levels"):
        ProductQuantiser(levels=13).fit(catalogue())


def test_random_codes_are_even_and_those_of_the_seed():
    inputs = vectors(np.zeros((4000, 1)))
    codes = RandomCodes(levels=2, size=4).encode(inputs)
    assert np.bincount(codes[:, 0]).min() > 900
    assert abs(np.corrcoef(codes.T)[0, 1]) < 0.05
    assert (RandomCodes(levels=2, size=4, seed=1).encode(inputs) != codes).any()
