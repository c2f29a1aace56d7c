"""Closed forms where the answer can be worked out: item kernels, low-pass filters, EASE, and the text kernel."""

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from features.corpus import Corpus, make_corpus
from features.table import FeatureSet, FeatureTable
from recommenders.ease import EASE
from recommenders.gf_cf import GFCF, low_pass
from recommenders.item_knn import ItemKNN, co_occurrence, largest
from recommenders.lore_filter import LoreFilter
from recommenders.text_kernel import behavioural, text_kernel
from schemas.errors import ConfigError

PAIRS = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (3, 3)]


def corpus_of(pairs, users=None, items=None, parts=None) -> Corpus:
    rows = [(f"u{user:03}", f"i{item:03}") for user, item in pairs]
    splits = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row").with_columns(
        time=pl.lit(None, pl.Int64),
        order=pl.int_range(pl.len()),
        weight=pl.lit(1.0, pl.Float32),
        part=pl.Series(parts or ["train"] * len(rows)),
        split_id=pl.lit("made"),
    )
    users = users or 1 + max(user for user, _ in pairs)
    items = items or 1 + max(item for _, item in pairs)
    tables = [
        pl.DataFrame({"id": [f"{kind}{n:03}" for n in range(size)]}) for kind, size in (("u", users), ("i", items))
    ]
    return make_corpus(*tables, splits)


def matrix(pairs=PAIRS) -> np.ndarray:
    r = np.zeros((1 + max(u for u, _ in pairs), 1 + max(i for _, i in pairs)))
    for user, item in pairs:
        r[user, item] = 1
    return r


def text(x, present=None, kind="item") -> FeatureTable:
    x = np.asarray(x, dtype=np.float32)
    present = np.ones(len(x), dtype=bool) if present is None else np.asarray(present)
    return FeatureTable(kind, x * present[:, None], present, "made")


def dense(kernel) -> np.ndarray:
    return kernel.toarray() if isinstance(kernel, csr_matrix) else kernel


@pytest.mark.parametrize("powers", [(0.0, 0.5, 0.5), (0.5, 0.3, 0.2), (1.0, 0.0, 1.0)])
def test_co_occurrence_is_the_formula(powers):
    r = matrix()
    user, item = r.sum(1), r.sum(0)
    expected = (r / item ** powers[1]).T @ np.diag(user ** -powers[0]) @ (r / item ** powers[2])
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(co_occurrence(corpus_of(PAIRS).train, *powers).toarray(), expected, rtol=1e-5)


def test_blocks_of_items_make_one_kernel(monkeypatch):
    whole = co_occurrence(corpus_of(PAIRS).train, 0.5, 0.5, 0.5).toarray()
    monkeypatch.setattr("recommenders.item_knn.ITEMS_AT_ONCE", 3)
    np.testing.assert_array_equal(co_occurrence(corpus_of(PAIRS).train, 0.5, 0.5, 0.5).toarray(), whole)


def test_the_largest_entries_of_a_row_are_kept_and_ties_go_to_the_first():
    kept = largest(csr_matrix([[3.0, 1.0, 2.0], [5.0, 5.0, 5.0], [0.0, 0.0, 0.0]]), 2)
    assert kept.toarray().tolist() == [[3, 0, 2], [5, 5, 0], [0, 0, 0]]


def test_scores_are_the_users_items_times_the_kernel_and_popularity_breaks_ties():
    corpus = corpus_of(PAIRS)
    model = ItemKNN(user_power=0.0, in_power=0.0, out_power=0.0)
    model.fit(corpus, FeatureSet())
    found = model.recommend(np.array([0, 3]), 4, csr_matrix((4, 4), dtype=bool))
    assert found.score[0].round(3).tolist() == [3, 2, 2, 0], "i2: 1 by i0 and 2 by i1; i0 and i1 by each other"
    assert found.item[0].tolist() == [2, 1, 0, 3], "of equal ones i1, which three users have"
    assert found.item[1].tolist() == [1, 0, 2, 3], "nothing stands beside i3: popular items"


def test_ease_solves_its_ridge_regression():
    r, l2 = matrix(), 0.7
    model = EASE(l2=l2)
    model.fit(corpus_of(PAIRS), FeatureSet())
    weights = dense(model.state.kernel.matrix)
    assert not np.diag(weights).any()
    loss = lambda w: ((r - r @ w) ** 2).sum() + l2 * (w**2).sum()  # noqa: E731
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = 1e-3 * rng.normal(size=weights.shape)
        np.fill_diagonal(step, 0)
        assert loss(weights + step) > loss(weights)


def test_ease_says_where_it_ends(monkeypatch):
    monkeypatch.setattr("recommenders.ease.MOST_ITEMS", 3)
    with pytest.raises(ConfigError, match="4 x 4 items; expected at most 3; use gf_cf"):
        EASE().fit(corpus_of(PAIRS), FeatureSet())


def test_the_low_pass_filter_is_the_projection_on_the_leading_vectors():
    pairs = [(user, item) for user in range(8) for item in range(8) if (user < 4) == (item < 4)] + [(0, 7)]
    train = corpus_of(pairs).train
    r = matrix(pairs)
    item = r.sum(0)
    normalised = r / np.sqrt(r.sum(1))[:, None] / np.sqrt(item)
    _, _, right = np.linalg.svd(normalised)
    expected = 0.3 * np.diag(item**-0.5) @ right[:2].T @ right[:2] @ np.diag(item**0.5)
    ((left, second),) = low_pass(train, 2, 0.3)
    np.testing.assert_allclose(left @ second, expected, atol=1e-6)
    assert low_pass(train, 2, 0.0) == ()


def test_text_neighbours_are_the_nearest_and_nobody_is_his_own():
    table = text([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [5, 5]], [True, True, True, True, False])
    kernel = text_kernel(table, power=1.0, neighbours=1, normalise=False).toarray()
    assert (kernel > 0).tolist() == [
        [False, True, False, False, False],
        [True, False, False, False, False],
        [False, False, False, True, False],
        [False, False, True, False, False],
        [False] * 5,
    ]
    cosine = 1 / np.hypot(1, 0.1)
    np.testing.assert_allclose(kernel[0, 1], cosine, rtol=1e-5)
    squared = text_kernel(table, power=2.0, neighbours=1, normalise=False)
    np.testing.assert_allclose(squared[0, 1], cosine**2, rtol=1e-5)


def test_a_text_that_is_near_to_all_says_no_more_than_the_rest():
    spokes = np.eye(6)
    table = text(np.vstack([spokes, spokes.sum(0) / np.sqrt(6)]))
    plain = text_kernel(table, 1.0, 6, normalise=False)
    evened = text_kernel(table, 1.0, 6)
    assert plain.sum(axis=0)[0, 6] > 5 * plain.sum(axis=0)[0, 0]
    assert evened.max() <= 1.0 + 1e-6


def two_tastes(seed: int = 0, users: int = 60, items: int = 20):
    """Users have items of one taste; the text tells the taste in one direction and noise in nine larger ones."""
    rng = np.random.default_rng(seed)
    taste = np.arange(items) % 2
    pairs = [
        (user, item)
        for user in range(users)
        for item in rng.choice(np.flatnonzero(taste == user % 2), size=5, replace=False)
    ]
    x = rng.normal(size=(items, 10)).astype(np.float32)
    x[:, 0] = 0.6 * (2 * taste - 1)
    return pairs, taste, x


def test_the_ridge_map_finds_the_direction_that_behaviour_knows():
    pairs, taste, x = two_tastes(items=40, users=200)
    kept = [(user, item) for user, item in pairs if item < 32]  # the last eight are new
    train = corpus_of(kept, users=200, items=40).train
    seen = behavioural(text(x), train, "item", 3.0).x
    new, old = np.arange(32, 40), np.arange(32)

    def right(vectors):  # share of new items whose nearest old items share their taste
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        nearest = np.argsort(-unit[new] @ unit[old].T, axis=1)[:, :5]
        return (taste[nearest] == taste[new][:, None]).mean()

    assert right(seen) > 0.9 > 0.8 > right(x)


def test_nothing_of_a_new_item_but_its_text_places_it():
    """Cold items: those of the user's taste come first through text, and in index order without it."""
    pairs, taste, x = two_tastes(items=40, users=200)
    kept = [(user, item) for user, item in pairs if item < 32]
    corpus = corpus_of(kept, users=200, items=40)
    hidden = csr_matrix(np.tile(np.arange(40) < 32, (200, 1)))  # only new items can be recommended
    model = LoreFilter(text=0.5, text_map="ridge", text_neighbours=10)
    model.fit(corpus, FeatureSet(text(x)))
    users = np.arange(200)
    hit = taste[model.recommend(users, 4, hidden).item] == (users % 2)[:, None]
    mixed = LoreFilter(text=0.5, text_map="ridge", text_neighbours=10)
    mixed.fit(corpus, FeatureSet(text(x[np.random.default_rng(1).permutation(40)])))
    control = taste[mixed.recommend(users, 4, hidden).item] == (users % 2)[:, None]
    assert hit.mean() > 0.85
    assert abs(control.mean() - 0.5) < 0.25


def test_a_share_of_nothing_is_the_filter_without_text():
    pairs, _, x = two_tastes()
    corpus = corpus_of(pairs)
    plain, blended = GFCF(alpha=0.2, rank=4), LoreFilter(alpha=0.2, rank=4, text=0.0)
    plain.fit(corpus, FeatureSet())
    blended.fit(corpus, FeatureSet(text(x)))
    users = np.arange(corpus.num_users)
    assert np.array_equal(plain.recommend(users, 5).item, blended.recommend(users, 5).item)


def test_the_text_kernel_weighs_what_its_share_says_whatever_its_coverage():
    pairs, _, x = two_tastes()
    corpus = corpus_of(pairs)
    linear = co_occurrence(corpus.train, 0.5, 0.5, 0.5)
    for present in (np.ones(20, dtype=bool), np.arange(20) < 8):
        model = LoreFilter(text=0.25, alpha=0.0, text_power=1.0)
        model.fit(corpus, FeatureSet(text(np.abs(x), present)))
        added = dense(model.state.kernel.matrix) - linear.toarray()
        mean_row = added.sum() / present.sum()
        assert mean_row == pytest.approx(0.25 * linear.sum() / 20, rel=1e-4)


def test_a_user_without_history_is_served_by_his_own_text_if_asked():
    pairs, taste, x = two_tastes(users=100)
    corpus = corpus_of(pairs, users=102)  # u100 and u101 have nothing
    rng = np.random.default_rng(3)
    own = rng.normal(size=(102, 6)).astype(np.float32) * 0.3
    own[:, 0] = 2.0 * (np.arange(102) % 2) - 1
    features = FeatureSet(text(x), text(own, kind="user"))
    model = LoreFilter(text=0.0, profile=0.5, ridge=1.0)
    model.fit(corpus, features)
    found = model.recommend(np.array([100, 101]), 5)
    assert taste[found.item].tolist() == [[0] * 5, [1] * 5]


def test_held_out_users_are_served_from_their_reserved_events(tmp_path):
    pairs, taste, _ = two_tastes()
    parts = ["reserved" if user in (0, 1) else "train" for user, _ in pairs]
    corpus = corpus_of(pairs, parts=parts)
    assert not corpus.train.user_degree[:2].any()
    for model in (ItemKNN(), GFCF(rank=4), EASE()):
        model.fit(corpus, FeatureSet())
        found = model.recommend(np.array([0, 1]), 3)
        assert taste[found.item].tolist() == [[0] * 3, [1] * 3], model.name
        model.save(tmp_path / model.name)
        again = type(model).load(tmp_path / model.name).recommend(np.array([0, 1]), 3)
        assert np.array_equal(again.item, found.item)
