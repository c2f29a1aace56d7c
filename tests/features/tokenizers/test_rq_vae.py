"""RQ-VAE: its loss against formulas by hand, its gradients, its start, and that it does not collapse."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from features.tokenizers.coding import code_items
from features.tokenizers.report import report_codes
from features.tokenizers.residual_vae import ResidualVae, quantisation_losses
from features.tokenizers.rq_vae import RqVae
from features.tokenizers.vae_training import Terms, VaeTraining, batch_loss, restart, start_books, train_vae
from schemas.errors import DataError
from tests.support.catalogue import OPTIONS, catalogue

TRAINING = VaeTraining((8,), 4, 2, 3, 0.25, 0.0, 3, 16, 1e-3, 0.0, 0)


def small(width: int = 6) -> ResidualVae:
    torch.manual_seed(0)
    model = ResidualVae(width, (8,), 4, 2, 3)
    with torch.no_grad():
        model.books.normal_()
    return model


def test_codes_and_residuals_are_those_of_the_formula():
    model, z = small(), torch.randn(5, 4)
    found = model.quantise(z)
    book = model.books.detach()
    for row in range(5):
        residual = z[row]
        for level in range(2):
            code = int(((residual - book[level]) ** 2).sum(dim=1).argmin())
            assert int(found.codes[row, level]) == code
            assert torch.allclose(found.residuals[level, row], residual)
            residual = residual - book[level, code]
        assert torch.allclose(found.z[row], z[row] - residual, atol=1e-6)


@pytest.mark.parametrize("commitment", [0.0, 0.25, 2.0])
def test_the_loss_of_a_level_is_that_of_the_formula(commitment):
    model, z = small(), torch.randn(5, 4)
    found = model.quantise(z)
    error = [(found.residuals[level] - found.chosen[level]).square().mean().item() for level in range(2)]
    expected = [(1 + commitment) * each for each in error]
    assert quantisation_losses(found, commitment).tolist() == pytest.approx(expected)


def test_a_codebook_is_moved_by_its_own_level_alone():
    model, z = small(), torch.randn(5, 4, requires_grad=True)
    losses = quantisation_losses(model.quantise(z), 0.25)
    (second,) = torch.autograd.grad(losses[1], model.books, retain_graph=True)
    assert not second[0].any()
    assert second[1].any()
    (without,) = torch.autograd.grad(losses[0], z, retain_graph=True)
    assert without.any()  # commitment moves the encoder


def test_without_commitment_the_codebooks_move_and_the_encoder_does_not():
    model, z = small(), torch.randn(5, 4, requires_grad=True)
    losses = quantisation_losses(model.quantise(z), 0.0)
    book, encoder = torch.autograd.grad(losses.sum(), [model.books, z])
    assert book.any()
    assert not encoder.any()


def test_the_decoders_gradient_goes_straight_through():
    model, z = small(), torch.randn(5, 4, requires_grad=True)
    weight = torch.randn(5, 4)
    gradient = torch.autograd.grad((model.quantise(z).z * weight).sum(), z)[0]
    assert torch.allclose(gradient, weight)


def test_the_whole_loss_is_reconstruction_and_codebooks():
    model, x = small(), torch.randn(5, 6)
    loss, found = batch_loss(model, x, torch.arange(5), TRAINING, Terms())
    levels = [(found.residuals[level] - found.chosen[level]).square().mean() for level in range(2)]
    expected = (model.decoder(found.z) - x).square().mean() + 1.25 * (levels[0] + levels[1])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    more, _ = batch_loss(model, x, torch.arange(5), replace(TRAINING, commitment=1.0), Terms())
    assert more.item() - loss.item() == pytest.approx(0.75 * (levels[0] + levels[1]).item(), rel=1e-4)


def test_codebooks_start_where_rows_are():
    model, x = small(), torch.randn(50, 6)
    start_books(model, x, seed=0)
    codes = model.quantise(model.encoder(x)).codes
    assert [len(code.unique()) for code in codes.T] == [3, 3]


def test_codes_that_nobody_had_start_again_at_residuals():
    model, x = small(), torch.randn(50, 6)
    with torch.no_grad():
        model.books[1, 2] = 1e6
    found = model.quantise(model.encoder(x))
    counts = torch.stack([torch.bincount(code, minlength=3) for code in found.codes.T])
    assert counts[1, 2] == 0
    before = model.books.detach().clone()
    restart(model.books, counts, found)
    gap = (found.residuals[1] - model.books[1, 2]).norm(dim=1).min()
    assert gap < 0.05
    assert torch.equal(model.books[1, :2], before[1, :2])


def test_training_is_repeatable_and_leaves_the_callers_random_state_alone():
    x = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second = train_vae(x, TRAINING, Terms()), train_vae(x, TRAINING, Terms())
    assert torch.equal(first.books, second.books)
    assert torch.equal(torch.rand(1), expected)
    other = train_vae(x, replace(TRAINING, seed=1), Terms())
    assert not torch.equal(first.books, other.books)


def test_the_codes_of_numpy_are_those_of_the_network():
    inputs = catalogue()
    tokenizer = RqVae(**OPTIONS["rq_vae"])
    tokenizer.fit(inputs)
    x = inputs.x[inputs.present]
    model = train_vae((x - tokenizer.arrays["shift"]) / tokenizer.arrays["scale"], tokenizer.training, Terms())
    with torch.no_grad():
        z = model.encoder(torch.from_numpy((x - tokenizer.arrays["shift"]) / tokenizer.arrays["scale"]))
        codes = model.quantise(z).codes.numpy()
    np.testing.assert_array_equal(tokenizer.encode(inputs)[inputs.present], codes)


@pytest.mark.parametrize("sinkhorn", [0.0, 0.003])
def test_no_level_collapses(sinkhorn):
    inputs = catalogue()
    tokenizer = RqVae(**OPTIONS["rq_vae"] | {"sinkhorn": sinkhorn, "epochs": 60})
    tokenizer.fit(inputs)
    coded = code_items(tokenizer, inputs)
    found = report_codes(coded.raw, coded.codes, coded.sizes, inputs.x, inputs.present)
    assert min(found.used) == 1.0
    assert min(found.perplexity) > 2.5
    assert found.purity is not None
    assert found.purity[0] > 0.5  # of three kinds


def test_a_training_that_diverges_is_named():
    with pytest.raises(DataError, match="RqVae: training has diverged; lower learning_rate"):
        RqVae(**OPTIONS["rq_vae"] | {"learning_rate": 1e30}).fit(catalogue())
