"""Codes as extra graph nodes: the formula node by node, and items that nobody has in train."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from features.codes import ItemCodes
from features.table import FeatureSet
from graph_models.dataset import make_dataset
from graph_models.device import seeded
from graph_models.objectives.code_nodes import CodeNodes
from schemas.errors import DataError
from tests.support.graphs import make_part

DIM, USERS, ITEMS = 4, 12, 9
CODES = ItemCodes(np.array([[n // 3, n % 3, n] for n in range(ITEMS)], dtype=np.int32), (3, 3, ITEMS), "rq")


@pytest.fixture(scope="module")
def graph():
    return make_dataset(make_part(USERS, ITEMS), FeatureSet(codes=CODES))


def code_nodes(graph, **options) -> CodeNodes:
    with seeded(0):
        return CodeNodes(graph, DIM, **options)


def vectors() -> torch.Tensor:
    return torch.randn(USERS + ITEMS, DIM, generator=torch.Generator().manual_seed(0))


def test_items_reach_those_that_share_a_prefix(graph):
    """Prefixes of one code have three items each, those of two have one and are left out."""
    objective, z = code_nodes(graph, levels=3, weight="uniform"), vectors()
    peers = z[USERS:].view(3, 3, DIM).mean(dim=1).repeat_interleave(3, dim=0)
    mixed = []
    for own, other in zip(z[USERS:], peers, strict=True):
        share = torch.cat([objective.mixture.score(own), objective.mixture.score(other)]).softmax(dim=0)
        mixed.append(own + share[0] * own + share[1] * other)
    assert torch.allclose(objective.outputs(z)[USERS:], torch.stack(mixed), atol=1e-5)
    assert objective.report == {"nodes": 3, "linked": 1.0}


def test_users_reach_the_peers_of_their_items_and_nobody_without_items_moves(graph):
    objective, z = code_nodes(graph, weight="uniform"), vectors()
    found = objective.outputs(z)
    has = graph.seen.toarray()
    peers = z[USERS:].view(3, 3, DIM).mean(dim=1).repeat_interleave(3, dim=0)
    user = int(np.flatnonzero(has.any(axis=1))[0])
    other = peers[torch.from_numpy(has[user])].mean(dim=0)
    share = torch.cat([objective.mixture.score(z[user]), objective.mixture.score(other)]).softmax(dim=0)
    assert torch.allclose(found[user], z[user] + share[0] * z[user] + share[1] * other, atol=1e-5)
    assert torch.equal(found[USERS - 1], z[USERS - 1])  # has no item


def test_gradients_reach_what_learns(graph):
    objective, z = code_nodes(graph, weight="uniform"), vectors().requires_grad_()
    objective.outputs(z).square().sum().backward()
    assert z.grad.abs().sum(dim=1).all()
    assert all(parameter.grad is not None for parameter in objective.parameters())


def test_a_prefix_that_all_items_share_says_nothing_under_idf(graph):
    same = ItemCodes(np.stack([np.zeros(ITEMS), np.arange(ITEMS)], axis=1).astype(np.int32), (1, ITEMS), "one")
    objective, z = code_nodes(replace(graph, codes=same), levels=1), vectors()
    assert objective.report["linked"] == 0.0
    assert torch.equal(objective.outputs(z), z)


def test_codes_are_needed(graph):
    with pytest.raises(DataError, match="code_nodes: expected codes of items"):
        code_nodes(replace(graph, codes=None))


def test_codes_are_part_of_what_a_model_is_known_by(graph):
    other = ItemCodes(CODES.codes[::-1].copy(), CODES.sizes, "rq")
    assert graph.fingerprint() != replace(graph, codes=other).fingerprint()
    assert replace(graph, codes=None).fingerprint() != graph.fingerprint()
