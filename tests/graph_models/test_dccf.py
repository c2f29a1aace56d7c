"""DCCF's layers and loss against dense matrices, and what each of its parts changes."""

import pytest
import torch
import torch.nn.functional as F

from graph_models.backbones.dccf import DCCF
from graph_models.device import seeded
from tests.support.graphs import make_batch

BATCH = make_batch([0, 1, 0, 3], [0, 1, 2, 0], [5, 6, 7, 5])


def made(graph, **options) -> DCCF:
    with seeded(0):
        return DCCF(graph, **{"dim": 4, "intents": 5, "init": "normal", **options})


def dense_views(model: DCCF, x: torch.Tensor, graph) -> list[torch.Tensor]:
    """Gnn, int, gaa and iaa of one layer, with dense matrices and the cosine of every edge by itself."""
    adjacency = graph.adjacency.to_dense()
    users = graph.num_users

    def intents(rows: torch.Tensor, intent: torch.Tensor) -> torch.Tensor:
        return torch.softmax(rows @ intent, dim=1) @ intent.T

    def learned(near: torch.Tensor) -> torch.Tensor:
        weight = (F.cosine_similarity(near[:, None], near[None], dim=2) + 1) / 2 * (adjacency > 0)
        return weight / weight.sum(dim=1, keepdim=True).clamp(min=1e-12) @ x

    network = adjacency @ x
    intent = torch.cat([intents(x[:users], model.user_intent), intents(x[users:], model.item_intent)])
    return [network, intent, learned(network), learned(intent)]


def dense(model: DCCF, graph) -> tuple[torch.Tensor, list[list[torch.Tensor]]]:
    x = model.inputs()
    total, layers = x, []
    for _ in range(model.layers):
        layers.append(dense_views(model, x, graph))
        x = x + sum(layers[-1])
        total = total + x
    return total, layers


def infonce(one: torch.Tensor, other: torch.Tensor, temperature: float) -> torch.Tensor:
    """Sum over rows, each against all rows of the other."""
    logits = F.normalize(one, dim=1) @ F.normalize(other, dim=1).T / temperature
    return (logits.logsumexp(dim=1) - logits.diagonal()).sum()


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_final_vectors_are_the_sum_of_layers_of_five_terms(graph, layers):
    model = made(graph, layers=layers)
    expected, _ = dense(model, graph)
    torch.testing.assert_close(model.propagate(model.inputs(), graph), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("compat", ["none", "sslrec"])
def test_the_loss_contrasts_the_network_with_the_three_others(graph, compat):
    model = made(graph, compat=compat, weight=0.3, temperature=0.5)
    z, own = model.training_pass(model.inputs(), graph, BATCH)
    expected, layers = dense(model, graph)
    users, items = torch.tensor([0, 1, 3]), torch.tensor([0, 1, 2])
    items = items + graph.num_users
    by = len(users) if compat == "sslrec" else len(items)
    loss = sum(
        infonce(network[users], other[users], 0.5) / len(users) + infonce(network[items], other[items], 0.5) / by
        for network, *others in layers
        for other in others
    )
    torch.testing.assert_close(z, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(own["contrast"], 0.3 * loss, atol=1e-5, rtol=1e-4)


def test_the_published_code_divides_item_sums_by_the_number_of_users(graph):
    """Three users and one item: a third of the items' share, by hand."""
    batch = make_batch([0, 1, 2], [1, 1, 1], [5, 6, 7])
    losses = {}
    for compat in ("none", "sslrec"):
        model = made(graph, compat=compat, weight=1.0, negatives="all", layers=1)
        losses[compat] = model.training_pass(model.inputs(), graph, batch)[1]["contrast"]
    _, [[network, *others]] = dense(made(graph, layers=1), graph)
    start = graph.num_users
    one = sum(
        (F.normalize(network[start + 1], dim=0) @ F.normalize(each[start:], dim=1).T / 0.1).logsumexp(dim=0)
        - F.cosine_similarity(network[start + 1], each[start + 1], dim=0) / 0.1
        for each in others
    )
    torch.testing.assert_close(losses["none"] - losses["sslrec"], one * 2 / 3, atol=1e-4, rtol=1e-3)


def test_gradients_reach_the_intents_and_every_embedding_of_the_graph(graph):
    model = made(graph)
    model.training_pass(model.inputs(), graph, BATCH)[0].square().mean().backward()
    expected = made(graph)
    total, _ = dense(expected, graph)
    total.square().mean().backward()
    for (name, one), other in zip(model.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-3, msg=name)
        assert one.grad.abs().sum() > 0, name


def test_without_intents_of_its_own_a_node_is_not_told_apart(graph):
    """Zero intents give nothing, and edges of the intent graph then weigh the same: a plain mean over neighbours."""
    model = made(graph, layers=1)
    with torch.no_grad():
        model.user_intent.zero_()
        model.item_intent.zero_()
        _, [(network, intent, _, by_intent)] = model._layers(model.inputs(), graph)
    assert (intent == 0).all()
    links = (graph.adjacency.to_dense() > 0).float()
    mean = links @ model.inputs() / links.sum(dim=1, keepdim=True).clamp(min=1)
    torch.testing.assert_close(by_intent, mean.detach(), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(network, by_intent, atol=1e-3)


def test_a_learned_graph_prefers_neighbours_that_are_alike(graph):
    model = made(graph)
    users = graph.num_users
    items = torch.from_numpy(graph.seen.indices[graph.seen.indptr[0] : graph.seen.indptr[1]]).long()
    near = torch.tensor([[-1.0, 0.0]]).repeat(users + graph.num_items, 1)
    near[0], near[users + items[0]] = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0])
    found = model._learned(near, torch.eye(users + graph.num_items))[0]
    assert len(items) > 1
    assert found[users + items[0]] == pytest.approx(1.0, abs=1e-6)  # all others have (cos + 1) / 2 = 0


def test_the_weight_of_the_intents_length(graph):
    model = made(graph, intent_l2=0.5)
    expected = 0.5 * (model.user_intent.square().sum() + model.item_intent.square().sum())
    own = model.training_pass(model.inputs(), graph, BATCH)[1]
    torch.testing.assert_close(own["intent_l2"], expected)
    assert "intent_l2" not in made(graph).training_pass(model.inputs(), graph, BATCH)[1]
