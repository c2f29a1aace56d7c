import math

import pytest
import torch

from graph_models import softmax
from graph_models.sampler import Candidates
from graph_models.softmax import softmax_loss

ROW = torch.tensor([0, 0, 1, 3, 3, 3])  # six pairs of four users, one of whom has none in this batch
MASKED = torch.tensor([[0, 0, 1, 3], [1, 4, 2, 0]])


def vectors(users: int = 4, items: int = 5, pairs: int = 6) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((pairs,), (users, 3), (items, 3))
    return [torch.randn(shape, generator=generator, dtype=torch.float32).requires_grad_() for shape in shapes]


def candidates(row=ROW, masked=MASKED, offset=None, users: int = 4, weight=None, shift=None) -> Candidates:
    return Candidates(torch.arange(users), row, None, masked, offset, weight, shift)


def plainly(positive, user, item, among, temperature) -> torch.Tensor:
    """The same with every logit in one matrix, and autograd."""
    logits = user @ item.T / temperature
    if among.offset is not None:
        logits = logits + among.offset
    taken_out = torch.zeros_like(logits, dtype=torch.bool)
    taken_out[among.masked[0], among.masked[1]] = True
    logits = logits.masked_fill(taken_out, -torch.inf)[among.row]
    shift = 0 if among.shift is None else among.shift
    both = torch.cat([(positive / temperature + shift)[:, None], logits], dim=1)
    losses = torch.nn.functional.cross_entropy(both, torch.zeros(len(both), dtype=torch.int64), reduction="none")
    return (losses if among.weight is None else losses * among.weight).mean()


def loss_of(one: float, others: list[float], temperature: float = 0.2) -> torch.Tensor:
    """The loss of one pair: a positive and some candidates by their scores."""
    among = candidates(torch.tensor([0]), torch.empty(2, 0, dtype=torch.int64), users=1)
    item = torch.tensor([[each] for each in others])
    return softmax_loss(torch.tensor([one]), torch.ones(1, 1), item, among, temperature, torch.float32)


def test_by_hand():
    """Exponents 2, 0 and 1 at temperature 0.5."""
    total = math.exp(2) + 1 + math.e
    assert loss_of(1.0, [0.0, 0.5], 0.5).item() == pytest.approx(-math.log(math.exp(2) / total))


@pytest.mark.parametrize("at_once", [1, 11, 2**20])
@pytest.mark.parametrize("offset", [None, torch.tensor([0.5, -1.0, 0.0, 2.0, 1.0])])
@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 2.0, 1.0, 0.0, 3.0, 0.1])])
@pytest.mark.parametrize("shift", [None, torch.tensor([1.0, -2.0, 0.0, 0.5, 0.3, 3.0])])
def test_value_and_gradients_are_those_of_all_logits_at_once(monkeypatch, at_once, offset, weight, shift):
    monkeypatch.setitem(softmax.LOGITS_AT_ONCE, "cpu", at_once)  # a user, two users, all users at a time
    given, among = vectors(), candidates(offset=offset, weight=weight, shift=shift)
    value, expected = softmax_loss(*given, among, 0.3, torch.float32), plainly(*given, among, 0.3)
    ours, theirs = (torch.autograd.grad(3 * each, given) for each in (value, expected))
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_a_user_who_has_every_candidate_teaches_nothing():
    positive, user, item = vectors()
    masked = torch.stack([torch.repeat_interleave(torch.arange(4), 5), torch.arange(5).repeat(4)])
    value = softmax_loss(positive, user, item, candidates(masked=masked), 0.2, torch.float32)
    value.backward()
    assert value.item() == 0
    assert all(not each.grad.any() for each in (positive, user, item))


def test_large_scores_do_not_overflow():
    assert loss_of(500.0, [499.0], 0.01).isfinite()
    assert loss_of(-500.0, [499.0], 0.01).isfinite()


def test_products_in_bfloat16_are_near():
    given, among = vectors(), candidates()
    exact, near = (softmax_loss(*given, among, 0.5, dtype) for dtype in (torch.float32, torch.bfloat16))
    assert near.dtype == torch.float32
    assert near.item() == pytest.approx(exact.item(), rel=0.02)
    assert near.item() != exact.item()
