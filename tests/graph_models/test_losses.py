import math

import pytest
import torch

from graph_models.losses import batch_l2, bpr, unit_rows


def test_bpr_by_hand():
    value = bpr(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0]))
    assert value.item() == pytest.approx((math.log(1 + math.exp(-1)) + math.log(2)) / 2)


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
