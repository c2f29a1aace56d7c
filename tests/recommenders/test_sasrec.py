"""SASRec's arithmetic, and what its item vectors and losses are."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from features.corpus import Part
from features.table import FeatureTable
from graph_models.device import seeded
from recommenders.histories import Histories
from recommenders.sasrec import SASRecNetwork
from recommenders.sequential.item_network import Window, causal
from recommenders.sequential.sequences import Catalogue

ITEMS = 7
SMALL = {"dim": 4, "heads": 2, "inner": 8, "dropout": 0.0, "max_length": 5}


def network(text=None, **options) -> SASRecNetwork:
    with seeded(0):
        return SASRecNetwork(Catalogue(ITEMS, text), **{**SMALL, **options})


def window(rows: list[list[int]]) -> Window:
    """Whole histories, of which the last item is only a target."""
    longest = max(map(len, rows))
    item = torch.tensor([[ITEMS] * (longest - len(row)) + row for row in rows])
    return Window(item[:, :-1], torch.zeros_like(item), item[:, 1:])


def test_a_step_sees_itself_and_what_came_before_and_no_padding():
    mask = causal(torch.tensor([[False, True, True]]))
    assert mask[0, 0].tolist() == [[True, False, False], [False, True, False], [False, True, True]]


def test_later_items_do_not_change_earlier_steps():
    made, one, two = network(), torch.tensor([[1, 2, 3]]), torch.tensor([[1, 2, 6]])
    first, second = (made._encoded(x, torch.zeros(1, 4), made.items()) for x in (one, two))
    assert torch.allclose(first[:, :2], second[:, :2], atol=1e-6)
    assert not torch.allclose(first[:, 2], second[:, 2], atol=1e-3)


def test_padding_changes_nothing():
    made = network()
    short, padded = torch.tensor([[1, 2]]), torch.tensor([[ITEMS, ITEMS, 1, 2]])
    one, two = (made._encoded(x, torch.zeros(1, x.shape[1] + 1), made.items()) for x in (short, padded))
    assert torch.allclose(one[0, -1], two[0, -1], atol=1e-6)
    assert torch.isfinite(two).all()


def test_cross_entropy_is_that_of_every_step_over_the_catalogue():
    made, batch = network(), window([[0, 1, 2], [3, 4]])
    vectors = made.items()
    h = made._encoded(batch.item, batch.time, vectors)
    steps = torch.stack([h[0, 0], h[0, 1], h[1, 1]])
    expected = F.cross_entropy(steps @ vectors[:ITEMS].T, torch.tensor([1, 2, 4]))
    found = made.loss(batch)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    ours, theirs = (
        torch.autograd.grad(loss, made.items.table.weight, retain_graph=True)[0] for loss in (found, expected)
    )
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_sampled_losses_never_push_away_what_the_user_has():
    """With everything but one item in the window only that one can be a negative."""
    made = network(loss="bce")
    batch = window([[0, 1, 2, 3, 4, 5]])
    vectors = made.items()
    h = made._encoded(batch.item, batch.time, vectors)[0]
    positive = F.softplus(-(h * vectors[batch.target[0]]).sum(dim=1))
    negative = F.softplus(h @ vectors[6])
    torch.manual_seed(0)
    drawn = torch.stack([made.loss(batch) for _ in range(400)])
    assert drawn.min().item() == pytest.approx(positive.mean().item(), rel=1e-4)
    assert drawn.max().item() <= (positive + negative).mean().item() + 1e-5
    assert drawn.max() > drawn.min()


def test_gbce_calibrates_the_positive():
    """With every other item as a negative the power is one; with one of a thousand it is nearly 1 - t."""
    assert network(loss="gbce", negatives=ITEMS - 1)._beta() == pytest.approx(1.0)
    few = SASRecNetwork(Catalogue(1001), **SMALL, loss="gbce", negatives=1)
    assert few._beta() == pytest.approx(0.001 * (0.75 * (1 - 1000) + 1000))


def text(rows: int = ITEMS, dim: int = 3) -> FeatureTable:
    x = np.random.default_rng(0).normal(size=(rows, dim)).astype(np.float32) * [5, 1, 0.1]
    return FeatureTable("item", x.astype(np.float32), np.ones(rows, dtype=bool), "made")


def test_items_from_text_are_a_map_of_whitened_components():
    made = network(text(), items="text")
    assert [name for name, _ in made.items.named_parameters()] == ["map.weight"]
    x = made.items.x
    assert torch.allclose(x[:ITEMS].T @ x[:ITEMS] / ITEMS, torch.eye(3), atol=1e-4)
    assert not x[ITEMS].any()
    assert torch.allclose(made.items(), x @ made.items.map.weight.T)


def test_text_can_be_where_learned_items_begin():
    made = network(text(), items="text_init")
    start = made.items.table.weight.detach()
    assert torch.allclose(start[:ITEMS, :3].std(dim=0, correction=0), torch.full((3,), 0.02), atol=1e-4)
    assert not start[ITEMS].any()
    assert made.items.table.weight.requires_grad


def test_the_padding_row_stays_zero_after_a_step():
    made = network()
    optimizer = torch.optim.AdamW(made.parameters(), lr=0.1, weight_decay=0.0)
    made.loss(window([[0, 1], [2, 3, 4]])).backward()
    optimizer.step()
    assert not made.items.table.weight[ITEMS].any()


def test_batches_are_cut_to_their_longest_history():
    part = Part(2, ITEMS, np.array([[0, 0, 1, 1, 1], [0, 1, 2, 3, 4]]), np.arange(5), np.ones(5, np.float32))
    made, histories = network(), Histories.of(part)
    batch = made.batch(histories, np.array([0, 1]))
    assert batch.item.tolist() == [[ITEMS, 0], [2, 3]]
    assert batch.target.tolist() == [[ITEMS, 1], [3, 4]] or batch.target.tolist() == [[0, 1], [3, 4]]
    assert batch.time.shape == (2, 3)
