"""The spectral start of LightGCN: leading singular vectors of the normalised train matrix, at the paper's scale."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from features.corpus import Part
from graph_models.backbones.ids import STD, spectral
from graph_models.backbones.lightgcn import LightGCN
from graph_models.dataset import make_dataset
from graph_models.spectrum import _normalised, singular_vectors

EDGES = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (2, 3), (3, 2), (3, 3), (3, 0)]


def part(edges: list[tuple[int, int]], users: int, items: int) -> Part:
    pairs = np.array(edges, dtype=np.int64).T
    return Part(users, items, pairs, np.arange(len(edges)), np.ones(len(edges), dtype=np.float32))


@pytest.fixture
def graph():
    return make_dataset(part(EDGES, users=5, items=4))


def test_it_spans_the_leading_singular_vectors(graph) -> None:
    dense = np.zeros((5, 4))
    for user, item in EDGES:
        dense[user, item] = 1
    scale = [1 / np.sqrt(np.maximum(dense.sum(axis=axis), 1)) for axis in (1, 0)]
    left, values, right = np.linalg.svd(dense * scale[0][:, None] * scale[1])
    user, item = (part.numpy() for part in torch.split(spectral(graph, 2), (5, 4)))
    best = (left[:, :2] * values[:2]) @ right[:2]  # the best approximation of rank two
    made = user @ item.T
    np.testing.assert_allclose(made / np.abs(made).max(), best / np.abs(best).max(), atol=1e-5)
    assert np.concatenate([user, item]).std() == pytest.approx(STD, rel=1e-3)


def test_more_dimensions_than_the_graph_has_are_zero_and_isolated_nodes_too(graph) -> None:
    x = spectral(graph, 6)
    assert x.shape == (9, 6)
    assert not x[:, 3:].any()
    assert not x[4].any()  # user 4 has no interaction


def test_a_graph_of_one_user_has_no_spectrum() -> None:
    assert not spectral(make_dataset(part([(0, 0), (0, 1)], users=1, items=2)), 3).any()


def test_the_option_starts_there_with_a_little_noise(graph) -> None:
    torch.manual_seed(0)
    start = LightGCN(graph, dim=2, init="spectral").inputs().detach()
    noise = start - spectral(graph, 2)
    assert 0 < noise.abs().max() < 0.06


def test_hundreds_of_vectors_come_from_a_randomised_range_and_span_the_same_space() -> None:
    rng = np.random.default_rng(0)
    factors = rng.gamma(0.3, size=(1500, 40)) @ rng.gamma(0.3, size=(40, 900))
    seen = csr_matrix(factors > np.quantile(factors, 0.9))
    left, values, right = singular_vectors(seen, 200)
    few = singular_vectors(seen, 20)
    exact = np.linalg.svd(_normalised(seen).toarray(), compute_uv=False)
    np.testing.assert_allclose(values[:40], exact[:40], rtol=1e-3)
    assert np.all(values <= exact[:200] * (1 + 1e-5))
    assert values[-1] > 0.9 * exact[199]
    np.testing.assert_allclose(np.abs(np.sum(right[:3] * few[2][:3], axis=1)), 1, atol=1e-3)
    assert left.shape == (1500, 200)
