from dataclasses import replace

import pytest
import torch

from graph_models.dataset import make_dataset
from graph_models.device import seeded
from graph_models.objectives.rlmrec_con import RLMRecCon
from graph_models.sampler import Batch
from schemas.errors import DataError

DIM = 4


def batch(user: list[int], positive: list[int], negative: list[int]) -> Batch:
    return Batch(*(torch.tensor(each) for each in (user, positive, negative)))


def vectors(graph, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(graph.num_users + graph.num_items, DIM, generator=generator, requires_grad=True)


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """With the published code's epsilon, which counts where the tower's output is nearly zero."""
    return (a * b).sum() / ((1e-8 + a.square().sum()) * (1e-8 + b.square().sum())).sqrt()


def by_hand(z, text, tower, anchors, candidates, temperature=0.2) -> torch.Tensor:
    """The formula of the paper, one anchor at a time."""
    terms = []
    for anchor in anchors:
        own = cosine(z[anchor], tower(text[anchor])) / temperature
        others = torch.stack([cosine(z[anchor], tower(text[each])) / temperature for each in candidates])
        terms.append(-own + others.exp().sum().log())
    return torch.stack(terms).mean()


CASES = {  # distinct nodes with text; users 0 and 5 and item 2 have none
    "in_batch": ([1, 3], [1, 3], [0, 4], [0, 4], [6, 7], [6, 7]),
    "reference": ([3, 1, 3], [1, 2, 3, 4, 6, 7, 8, 9, 10, 11], [4, 0, 4], [4, 0, 4], [7, 6], [7, 6]),
    "all": (
        [1, 3],
        [1, 2, 3, 4, 6, 7, 8, 9, 10, 11],
        [0, 4],
        [0, 1, 3, 4, 5, 6, 7, 8],
        [6, 7],
        [0, 1, 3, 4, 5, 6, 7, 8],
    ),
}


@pytest.mark.parametrize("negatives", CASES)
def test_value_and_gradient_equal_the_formula(graph, negatives):
    with seeded(1):
        objective = RLMRecCon(graph, DIM, negatives=negatives)
    z, drawn = vectors(graph), batch([3, 1, 3, 5], [4, 0, 4, 2], [7, 2, 6])
    user, item = z[: graph.num_users], z[graph.num_users :]
    u, all_u, p, all_p, n, all_n = CASES[negatives]
    expected = (
        by_hand(user, graph.x_user, objective.tower, u, all_u)
        + by_hand(item, graph.x_item, objective.tower, p, all_p)
        + by_hand(item, graph.x_item, objective.tower, n, all_n)
    )
    value = objective(z, drawn)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    parameters = [z, *objective.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad(value, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("negatives", CASES)
def test_what_stands_in_rows_without_text_is_never_read(graph, negatives):
    x_user, x_item = graph.x_user.clone(), graph.x_item.clone()
    x_user[[0, 5]], x_item[2] = torch.nan, torch.nan
    drawn = batch([0, 5, 1, 3], [2, 1, 0, 3], [2, 6])
    with seeded(0):
        clean = RLMRecCon(graph, DIM, negatives=negatives)
    with seeded(0):
        dirty = RLMRecCon(replace(graph, x_user=x_user, x_item=x_item), DIM, negatives=negatives)
    z = vectors(graph)
    value = dirty(z, drawn)
    value.backward()
    assert value.item() == clean(z, drawn).item()
    assert z.grad.isfinite().all()
    assert z.grad[0].abs().sum() == 0
    assert z.grad[1].abs().sum() > 0


def test_a_batch_without_any_text_costs_nothing(graph):
    z = vectors(graph)
    value = RLMRecCon(graph, DIM)(z, batch([0, 5], [2, 2], [2]))
    value.backward()
    assert value.item() == 0
    assert z.grad.abs().sum() == 0


def test_more_anchors_than_the_cap_are_drawn_anew(graph):
    objective, z = RLMRecCon(graph, DIM, anchors=2), vectors(graph)
    drawn = batch([1, 2, 3, 4, 6, 7], [0, 1, 3, 4, 5, 6], [7])
    with seeded(0):
        values = {round(objective(z, drawn).item(), 6) for _ in range(20)}
    assert len(values) > 1


def test_hidden_width_and_text_frozen(graph):
    objective = RLMRecCon(graph, DIM)
    assert objective.tower[0].weight.shape == ((6 + DIM) // 2, 6)
    assert not graph.x_user.requires_grad
    assert all(name.startswith("tower.") for name in objective.state_dict())


def test_without_text_is_an_error(part):
    with pytest.raises(DataError, match="rlmrec_con: expected text vectors"):
        RLMRecCon(make_dataset(part), DIM)
