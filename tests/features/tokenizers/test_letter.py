"""LETTER: its two terms against formulas by hand, their weights, and the guard of the diversity term."""

import numpy as np
import pytest
import torch

from features.tokenizers.letter import Letter
from features.tokenizers.letter_terms import (
    LetterTerms,
    balanced_clusters,
    collaborative_loss,
    companions,
    diversity_loss,
)
from features.tokenizers.residual_vae import ResidualVae, quantisation_losses
from features.tokenizers.ties import groups
from schemas.errors import DataError
from tests.support.catalogue import OPTIONS, catalogue


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_the_collaborative_term_is_that_of_the_formula():
    z, h = torch.randn(4, 3), torch.randn(4, 3)
    score = (z @ h.T).exp()
    expected = -torch.stack([(score[i, i] / score[i].sum()).log() for i in range(4)]).mean()
    assert collaborative_loss(z, h).item() == pytest.approx(expected.item(), rel=1e-5)


def test_items_that_train_does_not_know_take_no_part():
    z, h = torch.randn(5, 3, requires_grad=True), torch.randn(5, 3)
    h[[1, 4]] = 0
    known = [0, 2, 3]
    loss = collaborative_loss(z, h)
    assert loss.item() == pytest.approx(collaborative_loss(z[known], h[known]).item())
    assert not torch.autograd.grad(loss, z)[0][[1, 4]].any()
    assert collaborative_loss(z, torch.zeros(5, 3)).item() == 0


def test_the_diversity_term_is_that_of_the_formula():
    book, code, cluster = torch.randn(4, 3), torch.tensor([0, 3, 1]), torch.tensor([0, 0, 1, 1])
    other = {0: 1, 1: 0, 2: 3, 3: 2}  # with two codes a cluster there is one companion
    terms = []
    for c in code.tolist():
        score = (book[c] @ book.T).exp()
        terms.append(-(score[other[c]] / score[torch.arange(4) != c].sum()).log())
    assert diversity_loss(book, code, cluster).item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-5)


def test_companions_are_the_other_codes_of_a_cluster_evenly():
    torch.manual_seed(0)
    cluster = torch.tensor([1, 0, 1, 0, 1, 1])
    code = torch.arange(6).repeat(3000)
    found = companions(code, cluster)
    assert (found != code).all()
    assert (cluster[found] == cluster[code]).all()
    counts = torch.bincount(found[code == 0], minlength=6)
    assert counts[[2, 4, 5]].min() > 900
    assert counts[[0, 1, 3]].sum() == 0


@pytest.mark.parametrize(("size", "clusters"), [(256, 10), (21, 10), (5, 10), (3, 10), (2, 1), (8, 3)])
def test_clusters_are_even_and_no_code_is_alone(size, clusters):
    book = np.random.default_rng(0).standard_normal((size, 4)).astype(np.float32)
    counts = np.bincount(balanced_clusters(book, clusters, 0))
    assert counts.min() >= 2
    assert counts.max() - counts.min() <= 1
    assert counts.sum() == size
    assert len(counts) == min(clusters, size // 2)


def test_clusters_hold_codes_that_are_near():
    centres = np.eye(2, 4, dtype=np.float32) * 5
    book = centres[[0, 1, 0, 1, 0, 1]] + 0.1 * np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    found = balanced_clusters(book, 2, 0)
    assert len({*found[::2]}) == len({*found[1::2]}) == 1
    assert found[0] != found[1]


def test_one_code_has_no_companion_and_no_term():
    assert balanced_clusters(np.zeros((1, 4), dtype=np.float32), 10, 0).tolist() == [-1]


def test_the_terms_are_added_with_their_weights():
    torch.manual_seed(0)
    model, h = ResidualVae(6, (8,), 4, 2, 4), np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    with torch.no_grad():
        model.books.normal_()
    found, rows = model.quantise(torch.randn(5, 4)), torch.arange(5)
    plain, both = LetterTerms(h, 0.0, 0.0, 2, 0), LetterTerms(h, 0.5, 0.1, 2, 0)
    for terms in (plain, both):
        terms.start_epoch(model.books.detach())
    levels = quantisation_losses(found, 0.25)
    assert plain.quantisation(found, model.books, 0.25).item() == pytest.approx(levels.mean().item())
    assert plain.more(found, rows) == 0.0
    apart = [
        diversity_loss(book, code, cluster)
        for book, code, cluster in zip(model.books, found.codes.T, both.of_levels, strict=True)
    ]
    expected = (levels + 0.1 * torch.stack(apart)).mean()
    assert both.quantisation(found, model.books, 0.25).item() == pytest.approx(expected.item(), rel=1e-5)
    contrast = collaborative_loss(found.z, torch.from_numpy(h / np.sqrt(np.square(h).mean())))
    assert float(both.more(found, rows)) == pytest.approx(0.5 * contrast.item(), rel=1e-5)


def test_the_collaborative_term_brings_items_together_that_the_same_users_read():
    inputs = catalogue()
    text = np.random.default_rng(3).standard_normal(inputs.x.shape).astype(np.float32)  # which says nothing
    inputs = type(inputs)(inputs.items, text, inputs.present | True, inputs.train, inputs.collaborative)
    kind = np.arange(len(text)) % 3
    agree = []
    for weight in (0.0, 3.0):
        options = {"collaborative": weight, "epochs": 100, "size": 4, "sinkhorn": 0.0, "learning_rate": 0.01}
        tokenizer = Letter(**OPTIONS["letter"] | options)
        tokenizer.fit(inputs)
        group = groups(tokenizer.encode(inputs)[:, :1])
        agree.append(np.mean([np.bincount(kind[group == each]).max() / (group == each).sum() for each in set(group)]))
    assert agree[1] > agree[0] + 0.2


def test_vectors_of_another_width_are_refused():
    with pytest.raises(DataError, match="letter: expected collaborative vectors of 5 dimensions, found 8"):
        Letter(**OPTIONS["letter"] | {"dim": 5}).fit(catalogue())
