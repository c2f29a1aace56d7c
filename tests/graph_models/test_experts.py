import pytest
import torch

from graph_models.device import seeded
from graph_models.experts import ROWS_AT_ONCE, AttentionMixture, HybridExperts, in_chunks


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def hybrid(**options) -> HybridExperts:
    with seeded(0):
        return HybridExperts(5, 2, **{"n_shared": 2, "n_own": 3, "hidden": 4, "dim": 3, **options})


def expert(experts, number: int, x: torch.Tensor) -> torch.Tensor:
    """One perceptron of one row, with its own slices of the weights."""
    rows = slice(4 * number, 4 * number + 4)
    hidden = (experts.first.weight[rows] @ x + experts.first.bias[rows]).relu()
    return (hidden @ experts.second[number] + experts.bias[number]).relu()


def by_loop(model: HybridExperts, tower: int, x: torch.Tensor) -> torch.Tensor:
    """The formula of the paper, one row and one expert at a time."""
    rows = []
    for row in x:
        gate = (model.gate[tower].weight @ row + model.gate[tower].bias).softmax(dim=0)
        shared = [gate[k] * expert(model.shared, k, row) for k in range(2)]
        own = [gate[2 + k] * expert(model.own[tower], k, row) for k in range(3)]
        rows.append(torch.stack(shared + own).sum(dim=0))
    return torch.stack(rows)


def test_hybrid_experts_equal_a_loop_over_experts():
    model = hybrid()
    torch.nn.init.normal_(model.shared.bias)
    vectors = [normal(6, 5), normal(4, 5, seed=1)]
    found = model(vectors)
    for tower in range(2):
        assert torch.allclose(found[tower], by_loop(model, tower, vectors[tower]), atol=1e-6)


def test_every_parameter_of_every_tower_gets_a_gradient():
    model = hybrid()
    torch.cat(model([normal(20, 5), normal(20, 5, seed=1)])).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_a_tower_does_not_touch_the_experts_of_another():
    model = hybrid()
    model.tower(0, normal(20, 5)).sum().backward()
    assert all(parameter.grad is None for parameter in (*model.own[1].parameters(), *model.gate[1].parameters()))


def test_dropout_only_in_training():
    model = hybrid(dropout=0.5)
    x = normal(20, 5)
    assert not torch.equal(model.tower(0, x), model.tower(0, x))
    model.eval()
    assert torch.equal(model.tower(0, x), model.tower(0, x))


def test_no_rows():
    assert hybrid().tower(0, torch.empty(0, 5)).shape == (0, 3)


def attention() -> AttentionMixture:
    """score = tanh of the first column."""
    mixture = AttentionMixture(2, 1)
    with torch.no_grad():
        mixture.score[0].weight.copy_(torch.tensor([[1.0, 0.0]]))
        mixture.score[0].bias.zero_()
        mixture.score[2].weight.fill_(1.0)
    return mixture


def test_attention_by_hand():
    one, two = torch.tensor([[0.5, 10.0]]), torch.tensor([[-0.5, 20.0]])
    share = torch.tensor([0.5, -0.5]).tanh().softmax(dim=0)
    both = attention()(torch.tensor([[True, True]]), one, two)
    assert both[0].tolist() == pytest.approx((share[0] * one[0] + share[1] * two[0]).tolist())


def test_attention_is_over_what_a_row_has():
    one, two = normal(3, 2), normal(3, 2, seed=1)
    has = torch.tensor([[True, False], [False, True], [False, False]])
    mixed = attention()(has, one, two)
    assert torch.allclose(mixed, torch.stack([one[0], two[1], torch.zeros(2)]))


def test_attention_over_nothing_has_finite_gradients():
    mixture, vectors = attention(), [normal(3, 2).requires_grad_(), normal(3, 2, seed=1).requires_grad_()]
    mixture(torch.zeros(3, 2, dtype=torch.bool), *vectors).sum().backward()
    for each in (*mixture.parameters(), *vectors):
        assert each.grad.isfinite().all()


def test_chunks_give_the_same_value_and_gradient():
    weight, rows = normal(3, 3).requires_grad_(), normal(2 * ROWS_AT_ONCE + 5, 3)
    calls = []

    def function(x: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        return (x @ weight).tanh()

    found = in_chunks(function, rows)
    assert calls == [ROWS_AT_ONCE, ROWS_AT_ONCE, 5]
    expected = (rows @ weight).tanh()
    assert torch.allclose(found, expected, atol=1e-6)
    (ours,), (theirs,) = (torch.autograd.grad(each.square().mean(), weight) for each in (found, expected))
    assert torch.allclose(ours, theirs, atol=1e-6)
    assert len(calls) == 6  # each block once more in backward
