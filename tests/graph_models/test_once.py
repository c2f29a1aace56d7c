from dataclasses import replace

import pytest
import torch

from graph_models.dataset import make_dataset
from graph_models.device import seeded
from graph_models.objectives.once import Once
from schemas.errors import DataError
from tests.support.graphs import make_batch, make_edges, make_vectors

DIM = 4
COLD = 11  # the user without train interactions
LIKED = ((COLD, 3, 1, 1.0), (COLD, 6, 1, 0.5), (1, 8, 1, 0.25), (2, 5, 1, 1.0))
BATCH = make_batch([4, 7, 9], [0, 1, 2], [3, 5, 3, 8, 0])  # item 3 stands twice


@pytest.fixture
def graph(part):
    edges = make_edges(*LIKED, (1, 4, -1, 1.0), source="once.generate")
    return replace(make_dataset(part), edges={"once.generate": edges})


def by_hand(graph, z, rows, negatives, temperature) -> torch.Tensor:
    """One edge at a time; a negative counts unless the user has it in train or it was generated for him."""
    user, item = z[: graph.num_users], z[graph.num_users :]
    terms = []
    for u, p, _, weight in rows:
        known = set(graph.seen[u].indices.tolist()) | {i for v, i, _, _ in rows if v == u}
        own = (user[u] @ item[p] / temperature).exp()
        others = [(user[u] @ item[n] / temperature).exp() for n in negatives if n not in known]
        terms.append(-weight * (own / sum(others, start=own)).log())
    return torch.stack(terms).mean()


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_value_and_gradient_equal_the_formula(graph, temperature):
    z = make_vectors(graph)
    value = Once(graph, DIM, temperature=temperature)(z, BATCH)
    expected = by_hand(graph, z, LIKED, [0, 3, 5, 8], temperature)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    (ours,), (theirs,) = (torch.autograd.grad(each, z) for each in (value, expected))
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_of_equal_weights_it_is_the_softmax_of_the_positive_among_the_negatives(graph):
    z = make_vectors(graph)
    one = replace(graph, edges={"once.generate": make_edges((COLD, 3, 1, 1.0), (COLD, 3, 1, 1.0))})
    user, item = z[COLD], z[graph.num_users :]
    expected = -torch.log_softmax(item[[3, 0, 5, 8]] @ user / 0.2, dim=0)[0]
    assert Once(one, DIM)(z, BATCH).item() == pytest.approx(expected.item(), rel=1e-5)


def test_train_and_generated_items_are_no_negatives(graph):
    """Of user 11 only 3 and 6 are known; of user 1 what he has in train and item 8."""
    objective = Once(graph, DIM)
    keys = torch.arange(graph.num_users * graph.num_items)
    known = objective._is_known(keys).view(graph.num_users, graph.num_items)
    assert known[COLD].nonzero()[:, 0].tolist() == [3, 6]
    assert known[1].nonzero()[:, 0].tolist() == sorted({8, *graph.seen[1].indices.tolist()})


def test_where_every_negative_is_known_there_is_nothing_to_learn(graph):
    z = make_vectors(graph)
    only = replace(graph, edges={"once.generate": make_edges((COLD, 3, 1, 1.0))})
    value = Once(only, DIM)(z, make_batch([4], [0], [3]))
    value.backward()
    assert value.item() == 0
    assert z.grad.abs().sum() == 0


def test_a_user_without_train_interactions_is_reached_whatever_the_batch_holds(graph):
    assert not graph.seen[COLD].nnz
    z = make_vectors(graph)
    Once(graph, DIM)(z, BATCH).backward()
    users = z.grad[: graph.num_users].abs().sum(dim=1).nonzero()[:, 0].tolist()
    assert users == [1, 2, COLD]  # and none of the batch's


def test_no_more_edges_and_negatives_than_asked_are_drawn_and_anew_each_step(graph):
    objective, drawn, others = Once(graph, DIM, size=1, negatives=2), set(), set()
    for _ in range(60):
        z = make_vectors(graph)
        objective(z, BATCH).backward()
        users, items = (part.abs().sum(dim=1).nonzero()[:, 0].tolist() for part in z.grad.split([12, 9]))
        assert len(users) <= 1
        assert len(items) <= 3
        drawn |= set(users)
        others |= set(items)
    assert drawn == {1, 2, COLD}
    assert {0, 3, 5, 8} <= others


def test_disliked_edges_are_not_read(graph):
    assert Once(graph, DIM).item.tolist() == [3, 6, 8, 5]


def test_gradient_is_that_of_finite_differences(graph):
    z = make_vectors(graph).detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: Once(graph, DIM)(z, BATCH), z)


@pytest.mark.parametrize("rows", [(), ((1, 4, -1, 1.0),)])
def test_without_a_liked_edge_there_is_a_zero_with_a_graph(graph, rows):
    z = make_vectors(graph)
    value = Once(replace(graph, edges={"once.generate": make_edges(*rows)}), DIM)(z, BATCH)
    value.backward()
    assert value.item() == 0
    assert z.grad.abs().sum() == 0


def test_missing_edges_are_named(graph):
    message = "once: expected edges of mine, found once.generate; add mine to features.edges"
    with pytest.raises(DataError, match=message):
        Once(graph, DIM, edges="mine")
    with seeded(0):
        mine = Once(replace(graph, edges={"mine": make_edges(*LIKED)}), DIM, edges="mine")
    assert mine.edges_from == "mine"
    assert not mine.state_dict()
