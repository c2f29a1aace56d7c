"""InfoNCE: values by hand, memory in blocks, and what a repeated or an isolated node does."""

import math

import pytest
import torch

from graph_models import contrast
from graph_models.contrast import Contrast, alignment, between, distinct
from tests.support.graphs import make_batch

DIM = 4


def views(rows: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(rows, DIM, generator=generator, requires_grad=True) for _ in range(2))
    return one, other


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum() / ((1e-8 + a.square().sum()) * (1e-8 + b.square().sum())).sqrt()


def by_hand(one, other, anchors, candidates, temperature) -> float:
    """The formula of RLMRec's code, one anchor at a time."""
    terms = []
    for a in anchors:
        others = sum(math.exp(cosine(one[a], other[c]).item() / temperature) for c in candidates)
        terms.append(-cosine(one[a], other[a]).item() / temperature + math.log(others))
    return sum(terms) / len(terms)


def test_alignment_by_hand():
    """Cosines 1 and 0 at temperature 0.5: -2 + log(e^2 + e^0)."""
    value = alignment(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0]), 0.5)
    assert value.item() == pytest.approx(-2 + math.log(math.exp(2) + 1))


@pytest.mark.parametrize("at_once", [1, 2100 * 1000, 2**24])
def test_large_logits_in_blocks_have_the_same_value_and_gradient(at_once, monkeypatch):
    """Blocks of one anchor, of a thousand and a rest, and of all."""
    monkeypatch.setattr(contrast, "LOGITS_AT_ONCE", {"cpu": at_once, "cuda": at_once})
    generator = torch.Generator().manual_seed(0)
    anchor, candidate = (torch.randn(2100, DIM, generator=generator, requires_grad=True) for _ in range(2))
    own = torch.randperm(2100, generator=generator)
    value = 3 * alignment(anchor, candidate, own, 0.5)
    expected = 3 * torch.nn.functional.cross_entropy(anchor @ candidate.T / 0.5, own)
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    ours, theirs = (torch.autograd.grad(each, (anchor, candidate)) for each in (value, expected))
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(ours, theirs, strict=True))


def test_no_logits_are_kept_for_backward(monkeypatch):
    """What is saved is as large as the vectors, not as anchors times candidates."""
    monkeypatch.setattr(contrast, "KEPT_LOGITS", 0)
    one, other = views(300)
    sizes = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        between(one, other, torch.arange(300), 0.2)
    assert max(sizes) == 300 * DIM


def test_the_published_value_counts_repetitions_and_every_row_of_the_other_view():
    one, other = views()
    value = between(one, other, torch.tensor([3, 1, 3]), 0.2)
    assert value.item() == pytest.approx(by_hand(one, other, [3, 1, 3], range(9), 0.2), rel=1e-5)


@pytest.mark.parametrize(("negatives", "candidates"), [("in_batch", ([1, 3], [0, 2])), ("all", (range(5), range(4)))])
def test_both_terms_of_distinct_nodes(negatives, candidates):
    """Five users and four items; a node that stands in the batch twice counts once."""
    one, other = views()
    batch = make_batch([3, 1, 3], [2, 0, 2], [1, 1, 1])
    value = Contrast(0.2, negatives, 100)(one, other, batch, 5)
    user = by_hand(one[:5], other[:5], [1, 3], candidates[0], 0.2)
    item = by_hand(one[5:], other[5:], [0, 2], candidates[1], 0.2)
    assert value.item() == pytest.approx(user + item, rel=1e-5)


def test_anchors_are_bounded_and_drawn_anew():
    rows = torch.arange(50).repeat(2)
    drawn = [distinct(rows, 10) for _ in range(2)]
    assert [len(each.unique()) for each in drawn] == [10, 10]
    assert not torch.equal(*drawn)
    assert distinct(rows, 50).tolist() == list(range(50))
    one, other = views(50)
    values = {Contrast(0.2, "in_batch", 10).term(one, other, rows).item() for _ in range(3)}
    assert len(values) == 3


@pytest.mark.parametrize("negatives", ["in_batch", "all"])
def test_zero_rows_have_a_finite_gradient(negatives):
    one, other = torch.zeros(9, DIM, requires_grad=True), torch.zeros(9, DIM, requires_grad=True)
    Contrast(0.1, negatives, 100)(one, other, make_batch([0, 1], [0, 1], [2, 2]), 5).backward()
    assert one.grad.isfinite().all()
    assert other.grad.isfinite().all()
