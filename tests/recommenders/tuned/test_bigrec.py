"""BIGRec's two ways of decoding, and D3's assistant."""

import numpy as np
import pytest
import torch

from language_models.tuning.likelihood import log_likelihoods
from recommenders.popularity import Popularity
from tests.support.planted import planted, save_reader
from tests.support.tuned import made, planted_features, planted_run


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return save_reader(tmp_path_factory.mktemp("reader"), planted())


def fitted(reader, options, epochs=1):
    corpus = planted()
    found = made("bigrec", planted_run(reader, epochs, valid_users=8), options)
    found.fit(corpus, planted_features(corpus))
    return found


def test_a_beam_as_wide_as_the_catalogue_is_the_exact_ranking(reader):
    corpus = planted()
    found = fitted(reader, {"samples": 32})
    users, titles = np.arange(4), [found.written(item) for item in range(corpus.num_items)]
    prompts = [found.prompt(user, found.latest(found.serving.places(user))) for user in users.tolist()]
    scores = torch.stack(log_likelihoods(found.model, prompts, [titles] * 4)).numpy(force=True)
    scores[corpus.train.by_user[users].toarray()] = -np.inf
    ranked = found.recommend(users, corpus.num_items, corpus.train.by_user)
    for row in range(4):
        real = ranked.item[row][ranked.item[row] >= 0]
        assert np.allclose(ranked.score[row][: len(real)], scores[row, real], atol=1e-4)
        assert set(real) == set(np.flatnonzero(np.isfinite(scores[row])))


def test_an_assistant_alone_gives_its_own_ranking(reader):
    """With alpha = 0 the language model has no say: the order is that of popularity, whatever the titles."""
    corpus = planted()
    found = fitted(reader, {"samples": 16, "assistant": "popularity", "alpha": 0.0})
    popular = Popularity()
    popular.fit(corpus, planted_features(corpus))
    users, count = np.arange(6), corpus.train.item_degree
    ours = found.recommend(users, corpus.num_items, corpus.train.by_user).item
    theirs = popular.recommend(users, corpus.num_items, corpus.train.by_user).item
    for mine, other in zip(ours, theirs, strict=True):
        real = mine >= 0
        assert np.array_equal(count[mine[real]], count[other[real]])


def test_what_is_written_freely_is_looked_for_among_the_titles(reader):
    corpus = planted()
    found = fitted(reader, {"decoding": "grounded", "max_title": 6}, epochs=6)
    users = np.arange(40)
    written = found.write(users)
    assert all(len(title.split()) <= 6 for title in written)
    first = found.recommend(users, 1, corpus.train.by_user).item[:, 0]
    theme = np.arange(40) % 4
    assert (first // 12 == theme).mean() > 0.8  # a title of one's own theme is nearest


def test_the_title_of_an_item_is_nearest_to_itself(reader):
    found = fitted(reader, {"decoding": "grounded", "samples": 16})
    items = found._item_vectors()
    assert torch.cdist(items, found._hidden(found.shown.titles)).argmin(dim=1).tolist() == list(range(len(items)))


def test_popularity_moves_what_is_nearly_as_near(reader):
    corpus = planted()
    plain = fitted(reader, {"decoding": "grounded", "samples": 16})
    moved = fitted(reader, {"decoding": "grounded", "samples": 16, "popularity_power": 50.0})
    users, seen, count = np.arange(20), corpus.train.by_user, corpus.train.item_degree
    before, after = (count[each.recommend(users, 5, seen).item].mean() for each in (plain, moved))
    assert after > before
