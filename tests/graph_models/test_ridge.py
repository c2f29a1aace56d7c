import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as Reference

from graph_models import ridge
from graph_models.ridge import fit_ridge


def planted(rows: int = 120, width: int = 8, noise: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """x [n, D] and y [n, 3] = 2 + x W + noise."""
    x = torch.randn(rows, width)
    return x, 2.0 + x @ torch.randn(width, 3) + noise * torch.randn(rows, 3)


def leave_one_out(x: np.ndarray, y: np.ndarray, strength: float) -> float:
    """The squared error of each row under a fit without it, in sum."""
    rows = np.arange(len(x))
    fits = [Reference(alpha=strength).fit(x[rows != row], y[rows != row]) for row in rows]
    return sum(float(((fit.predict(x[[row]]) - y[row]) ** 2).sum()) for row, fit in enumerate(fits))


def test_it_is_scikit_learns_ridge_on_the_rows_given(monkeypatch):
    monkeypatch.setattr(ridge, "ROWS_AT_ONCE", 7)
    x, y = planted()
    rows = torch.arange(5, 60)
    found = fit_ridge(x, y, rows)
    centred = (x[rows] - x[rows].mean(dim=0)).double()
    largest = float(torch.linalg.eigvalsh(centred.T @ centred)[-1])
    reference = Reference(alpha=found.strength * largest).fit(x[rows].double().numpy(), y[rows].double().numpy())
    expected = reference.predict(x[60:].double().numpy())
    np.testing.assert_allclose(found.predict(x, torch.arange(60, 120)).numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("noise", [0.01, 3.0, 30.0])
def test_the_strength_is_near_the_one_that_leaving_rows_out_likes_best(noise):
    x, y = planted(rows=40, noise=noise)
    found = fit_ridge(x, y, torch.arange(40))
    largest = float(np.linalg.eigvalsh(np.cov(x.numpy().T, bias=True) * 40)[-1])
    error = {each: leave_one_out(x.numpy(), y.numpy(), each * largest) for each in ridge.STRENGTHS}
    assert error[found.strength] <= 1.05 * min(error.values())


def test_text_that_says_nothing_gives_nearly_the_mean():
    x, y = torch.randn(200, 8), torch.randn(200, 3)
    spread = fit_ridge(x, y, torch.arange(200)).predict(x, torch.arange(200)).std(dim=0)
    assert (spread < 0.2 * y.std(dim=0)).all()


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_fewer_rows_than_columns_or_equal_ones_give_finite_vectors(rows):
    x, y = planted(rows=20, width=12)
    assert fit_ridge(x, y, torch.arange(rows)).predict(x, torch.arange(20)).isfinite().all()
    same = torch.ones(20, 4)
    np.testing.assert_allclose(
        fit_ridge(same, y, torch.arange(20)).predict(same, torch.arange(1))[0], y.mean(dim=0), rtol=1e-5
    )
