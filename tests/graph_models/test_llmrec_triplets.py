import math
from dataclasses import replace

import pytest
import torch

from graph_models.dataset import make_dataset
from graph_models.device import seeded
from graph_models.objectives.llmrec_triplets import LLMRecTriplets
from schemas.errors import DataError
from tests.support.graphs import make_batch, make_edges, make_part, make_vectors

DIM = 4
MARGINS = (-3.0, -1.0, 0.0, 2.0, 4.0)  # score of the liked item less that of the disliked, of users 0..4
WEIGHTS = (1.0, 0.5, 1.0, 0.25, 0.75)  # the smaller of the two
FIVE = make_batch([0] * 5, [0] * 5, [1] * 5)  # at rate 1 five users are drawn


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def hard(margin: float, temperature: float = 1.0) -> float:
    return softplus(-margin / temperature)


@pytest.fixture
def graph(part):
    """Users 0..4 like item 8 and dislike item 7, which nobody has; in no order, as a table may be."""
    liked = [(user, 8, 1, weight) for user, weight in enumerate(WEIGHTS)]
    disliked = [(user, 7, -1, 1.0) for user in reversed(range(5))]
    part = replace(part, edges=part.edges[:, part.edges[1] < 7], time=part.time, weight=part.weight)
    return replace(make_dataset(part), edges={"llmrec.edges": make_edges(*disliked, *liked)})


def known_margins(graph) -> torch.Tensor:
    """Vectors of which user u scores MARGINS[u] for item 8 and nothing for the others."""
    z = torch.zeros(graph.num_users + graph.num_items, 1)
    z[:5, 0] = torch.tensor(MARGINS)
    z[graph.num_users + 8] = 1.0
    return z.requires_grad_()


def reached(z: torch.Tensor) -> list[int]:
    """The users that got a gradient from known margins."""
    return z.grad[:12].abs().sum(dim=1).nonzero()[:, 0].tolist()


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_all_kept_is_the_weighted_mean_of_bpr(graph, temperature):
    z = known_margins(graph)
    value = LLMRecTriplets(graph, 1, rate=1.0, prune=0.0, temperature=temperature)(z, FIVE)
    losses = [weight * hard(margin, temperature) for margin, weight in zip(MARGINS, WEIGHTS, strict=True)]
    assert value.item() == pytest.approx(sum(losses) / 5, rel=1e-5)


@pytest.mark.parametrize(
    ("direction", "prune", "kept"),
    [
        ("drop_hardest", 0.6, [3, 4]),
        ("drop_hardest", 0.2, [1, 2, 3, 4]),
        ("keep_hardest", 0.6, [0, 1]),
        ("keep_hardest", 0.71, [0]),
        ("drop_hardest", 0.99, [4]),  # one at least
    ],
)
def test_the_models_own_loss_says_which_triplets_stay(graph, direction, prune, kept):
    """Weights have no say in it: user 1's loss 1.3 is halved and stays ahead of user 2's 0.7."""
    z = known_margins(graph)
    value = LLMRecTriplets(graph, 1, rate=1.0, prune=prune, direction=direction)(z, FIVE)
    expected = sum(WEIGHTS[user] * hard(MARGINS[user]) for user in kept) / len(kept)
    assert value.item() == pytest.approx(expected, rel=1e-5)
    value.backward()
    assert reached(z) == kept


def test_pruning_is_of_the_drop_hardest_kind_at_the_papers_rate_by_default(graph):
    z = known_margins(graph)
    LLMRecTriplets(graph, 1, rate=1.0)(z, FIVE).backward()
    assert reached(z) == [4]  # int(0.29 * 5)


def test_the_published_code_keeps_the_hardest_of_the_whole_bpr_batch(graph):
    """Two pairs of the batch with margins 4 and -3 beside two proposed ones: two of the four stay."""
    z = known_margins(graph)
    batch = make_batch([4, 0], [8, 8], [1, 2])
    objective = LLMRecTriplets(graph, 1, rate=1.0, prune=0.5, compat="reference")
    with seeded(0):
        drawn = objective.users[torch.randperm(5)[:2]].tolist()
    triplets = sorted([(hard(MARGINS[u]), w) for u, w in [(4, 1.0), (0, 1.0), *((u, WEIGHTS[u]) for u in drawn)]])
    with seeded(0):
        value = objective(z, batch)
    assert value.item() == pytest.approx(sum(loss * weight for loss, weight in triplets[2:]) / 2, rel=1e-5)


def test_the_published_code_has_no_batch_to_prune_where_negatives_are_shared(graph):
    z = known_margins(graph)
    shared = make_batch([4] * 5, [8] * 5, [1, 2], shared=True)
    found = LLMRecTriplets(graph, 1, rate=1.0, prune=0.6, compat="reference")(z, shared)
    expected = sum(WEIGHTS[user] * hard(MARGINS[user]) for user in (0, 1)) / 2
    assert found.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("rate", "pairs", "count"), [(0.1, 5, 1), (0.5, 5, 2), (1.0, 3, 3), (1.0, 100, 5)])
def test_as_many_users_are_drawn_as_the_rate_says_and_never_one_twice(graph, rate, pairs, count):
    objective, z, drawn = LLMRecTriplets(graph, 1, rate=rate, prune=0.0), known_margins(graph), set()
    batch = make_batch([0] * pairs, [0] * pairs, [1] * pairs)
    for _ in range(40):
        z.grad = None
        objective(z, batch).backward()
        assert len(reached(z)) == count
        drawn |= set(reached(z))
    assert drawn == {0, 1, 2, 3, 4}


def test_one_of_a_users_proposals_is_drawn_at_a_time(graph):
    edges = make_edges((3, 8, 1, 0.5), (3, 7, 1, 1.0), (3, 6, -1, 0.25), (3, 5, -1, 1.0))
    many = replace(graph, edges={"mine": edges}, seen=graph.seen * False)
    objective, found = LLMRecTriplets(many, 1, edges="mine"), set()
    assert objective.edges_from == "mine"
    for _ in range(80):
        user, positive, negative, weight = objective._draw(5)
        found.add((*user.tolist(), *positive.tolist(), *negative.tolist(), *weight.tolist()))
    assert found == {(3, 8, 6, 0.25), (3, 8, 5, 0.5), (3, 7, 6, 0.25), (3, 7, 5, 1.0)}


def test_gradient_is_that_of_finite_differences(graph):
    objective = LLMRecTriplets(graph, DIM, rate=1.0, prune=0.3)
    z = make_vectors(graph).detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: objective(z, FIVE), z)


def test_a_disliked_item_that_the_user_has_in_train_is_not_read(part):
    user, item = make_part().edges[:, 0].tolist()
    edges = make_edges((user, 8, 1, 1.0), (user, item, -1, 1.0))
    objective = LLMRecTriplets(replace(make_dataset(part), edges={"llmrec.edges": edges}), DIM)
    assert not len(objective.users)


@pytest.mark.parametrize("rows", [(), ((1, 8, 1, 1.0),), ((1, 7, -1, 1.0),), ((1, 8, 1, 1.0), (2, 7, -1, 1.0))])
@pytest.mark.parametrize("compat", ["none", "reference"])
def test_without_a_user_who_has_both_there_is_a_zero_with_a_graph(graph, rows, compat):
    z = make_vectors(graph)
    few = replace(graph, edges={"llmrec.edges": make_edges(*rows)})
    value = LLMRecTriplets(few, DIM, compat=compat)(z, FIVE)
    value.backward()
    assert value.item() == 0
    assert z.grad.abs().sum() == 0


def test_missing_edges_are_named(graph):
    message = "llmrec_triplets: expected edges of other, found llmrec.edges; add other to features.edges"
    with pytest.raises(DataError, match=message):
        LLMRecTriplets(graph, DIM, edges="other")
    with pytest.raises(DataError, match=r"found none; add llmrec\.edges to features\.edges"):
        LLMRecTriplets(replace(graph, edges={}), DIM)


def test_nothing_of_the_edges_is_kept_in_its_state(graph):
    assert not LLMRecTriplets(graph, DIM).state_dict()
