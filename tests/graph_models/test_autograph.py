from dataclasses import replace

import numpy as np
import pytest
import torch

from features.table import FeatureSet
from graph_models.dataset import make_dataset
from graph_models.device import seeded
from graph_models.objectives.autograph import AutoGraph
from schemas.errors import DataError
from tests.support.communities import community_text, two_communities
from tests.support.graphs import make_part, make_text

DIM = 4


@pytest.fixture(scope="module")
def large():
    """Enough rows for several codes a level; ten users and ten items have no text, and one item no interaction."""
    text = FeatureSet(
        make_text("item", 90, missing=tuple(range(10))), make_text("user", 120, missing=tuple(range(10)), seed=1)
    )
    return make_dataset(make_part(users=120, items=90, edges=400), text)


def autograph(graph, **options) -> AutoGraph:
    with seeded(0):
        return AutoGraph(graph, DIM, **options)


def vectors(graph, seed: int = 0) -> torch.Tensor:
    return torch.randn(graph.num_users + graph.num_items, DIM, generator=torch.Generator().manual_seed(seed))


def dense(mean) -> torch.Tensor:
    return mean.matrix.to_dense()


def test_value_and_gradient_equal_the_formula_node_by_node(large):
    objective, z = autograph(large), vectors(large).requires_grad_()
    user, item = z[:120], z[120:]
    peers = {}
    for kind, x in (("user", user), ("item", item)):
        operator = getattr(objective, f"{kind}_peers")
        peers[kind] = dense(operator.from_factors) @ (dense(operator.to_factors) @ x)
    paths = {
        "user": (user, peers["user"], dense(objective.user_hop) @ peers["item"]),
        "item": (item, peers["item"], dense(objective.item_hop) @ peers["user"]),
    }
    rows = []
    for kind in ("user", "item"):
        has, score = getattr(objective, f"has_{kind}"), getattr(objective, f"{kind}_mixture").score
        for node in range(len(has)):
            own = [path[node] for path, there in zip(paths[kind], has[node], strict=True) if there]
            if own:
                share = torch.cat([score(each) for each in own]).softmax(dim=0)
                rows.append(paths[kind][0][node] + sum(a * m for a, m in zip(share, own, strict=True)))
            else:
                rows.append(paths[kind][0][node])
    found, expected = objective.outputs(z), torch.stack(rows)
    assert torch.allclose(found, expected, atol=1e-5)
    parameters = [z, *objective.parameters()]
    ours, theirs = (torch.autograd.grad(each.square().sum(), parameters) for each in (found, expected))
    for one, two in zip(ours, theirs, strict=True):
        assert one.abs().sum() > 0
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-4)


def test_paths_that_a_node_has(large):
    objective = autograph(large)
    assert not objective.has_user[:10, 1].any()  # no text, no peers
    assert objective.has_user[10:, 1].float().mean() > 0.9
    assert objective.has_user[:10, 2].any()  # but their items may have some
    assert objective.has_item[89].tolist() == [True, True, False]  # no interaction: peers only
    alone = ~objective.has_user[:, 1:].any(dim=1)
    z = vectors(large)
    assert torch.equal(objective.outputs(z)[:120][alone], z[:120][alone])


def test_a_cold_item_hears_its_peers(large):
    """Text alone gives the item without interactions a message, and the ranking loss reaches its peers through it."""
    objective, z = autograph(large), vectors(large).requires_grad_()
    (gradient,) = torch.autograd.grad(objective.outputs(z)[120 + 89].sum(), z)
    members = dense(objective.item_peers.from_factors)[89] @ dense(objective.item_peers.to_factors)
    assert (members > 0).sum() > 1
    assert torch.equal(gradient[120:].abs().sum(dim=1) > 0, (members > 0) | (torch.arange(90) == 89))


def test_peers_share_a_community():
    corpus = two_communities()
    objective = autograph(make_dataset(corpus.train, community_text()), levels=1)
    shared = dense(objective.user_peers.from_factors) @ dense(objective.user_peers.to_factors)
    assert not shared[:20, 20:].any()
    assert shared[:20, :20].sum(dim=1).allclose(torch.ones(20))


def test_random_codes_keep_the_histogram_and_lose_the_meaning(large):
    text, random = autograph(large), autograph(large, codes="random")
    for kind in ("user", "item"):
        one, two = (getattr(each, f"{kind}_peers").to_factors.matrix for each in (text, random))
        sizes = [each.crow_indices().diff().tolist() for each in (one, two)]
        assert sizes[0] == sizes[1]
        assert not torch.equal(one.col_indices(), two.col_indices())
        assert getattr(random, f"has_{kind}")[:, 1].sum() == getattr(text, f"has_{kind}")[:, 1].sum()
    assert not random.has_user[:10, 1].any()
    assert text.report == random.report


def test_the_same_seed_builds_the_same_graph(large):
    one, two, other = (autograph(large, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(dense(one.user_peers.to_factors), dense(two.user_peers.to_factors))
    assert one.report == two.report != other.report


def test_the_report_says_how_healthy_the_codes_are(large):
    report = autograph(large, levels=2).report
    assert set(report) == {
        f"{kind}.{name}"
        for kind in ("user", "item")
        for name in ("used", "perplexity", "distinct", "largest", "collisions", "errors")
    }
    assert report["user.used"] == [1.0, 1.0]
    assert report["user.errors"][1] < report["user.errors"][0]
    assert 0 <= report["item.collisions"] <= 1


def test_a_small_graph_has_a_code_for_every_ten_rows(large):
    objective = autograph(large, levels=1, weight="uniform")
    assert objective.item_peers.to_factors.matrix.shape[0] <= 80 // 10
    assert autograph(large, levels=1, size=2, weight="uniform").item_peers.to_factors.matrix.shape[0] == 2


def test_what_stands_in_rows_without_text_is_never_read(large):
    x_user, x_item = large.x_user.clone(), large.x_item.clone()
    x_user[:10], x_item[:10] = torch.nan, torch.nan
    clean, dirty = autograph(large), autograph(replace(large, x_user=x_user, x_item=x_item))
    z = vectors(large)
    assert torch.equal(clean.outputs(z), dirty.outputs(z))
    assert clean.report == dirty.report


def test_only_parameters_are_remembered(large):
    objective = autograph(large)
    assert set(objective.state_dict()) == {name for name, _ in objective.named_parameters()}
    assert all(np.prod(each.shape) <= DIM * DIM for each in objective.parameters())


def test_without_text_is_an_error(part):
    with pytest.raises(DataError, match="autograph: expected text vectors"):
        AutoGraph(make_dataset(part), DIM)
