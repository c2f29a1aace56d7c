import math

import pytest
import torch

from graph_models.losses import batch_l2, bpr, sampled_infonce, unit_rows


def test_bpr_by_hand():
    value = bpr(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0]))
    assert value.item() == pytest.approx((math.log(1 + math.exp(-1)) + math.log(2)) / 2)


def test_infonce_by_hand():
    """Exponents 2, 0 and 1 at temperature 0.5."""
    value = sampled_infonce(torch.tensor([1.0]), torch.tensor([[0.0, 0.5]]), temperature=0.5)
    total = math.exp(2) + 1 + math.e
    assert value.item() == pytest.approx(-math.log(math.exp(2) / total))


def test_a_masked_negative_changes_neither_value_nor_gradient():
    positive, negative = torch.tensor([0.3], requires_grad=True), torch.tensor([[0.1, 5.0]], requires_grad=True)
    taken_out = negative.masked_fill(torch.tensor([[False, True]]), -torch.inf)
    value = sampled_infonce(positive, taken_out, 0.2)
    value.backward()
    assert value.item() == pytest.approx(math.log(1 + math.exp((0.1 - 0.3) / 0.2)))
    assert negative.grad[0, 1] == 0
    assert positive.grad.isfinite().all()


def test_without_any_negative_the_loss_is_zero():
    positive = torch.tensor([0.3], requires_grad=True)
    value = sampled_infonce(positive, torch.full((1, 2), -torch.inf), 0.2)
    value.backward()
    assert value.item() == 0
    assert positive.grad.item() == 0


def test_large_scores_do_not_overflow():
    assert sampled_infonce(torch.tensor([500.0]), torch.tensor([[499.0]]), 0.01).isfinite()


def test_l2_is_half_the_squares_per_pair():
    user, item = torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.tensor([[3.0, 0.0], [0.0, 0.0]])
    assert batch_l2(user, item).item() == pytest.approx((1 + 4 + 1 + 9) / 2 / 2)


def test_unit_rows_and_the_gradient_at_zero():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    unit = unit_rows(x)
    unit.sum().backward()
    assert torch.allclose(unit[0], torch.tensor([0.6, 0.8]))
    assert unit[1].tolist() == [0, 0]
    assert x.grad.isfinite().all()
