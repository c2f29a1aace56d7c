"""Principal components: numpy's singular vectors up to sign, one basis for both kinds, missing rows out."""

import numpy as np
import pytest

from features.reduce import pca
from features.table import FeatureTable
from schemas.errors import ConfigError


def table(kind: str, rows: int, missing: tuple[int, ...] = (), seed: int = 0, dim: int = 6) -> FeatureTable:
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(rows, dim)) * np.arange(1, dim + 1) + 3).astype(np.float32)
    present = np.ones(rows, dtype=bool)
    x[list(missing)], present[list(missing)] = 0, False
    return FeatureTable(kind, x, present, f"made.{kind}")


def test_components_equal_the_singular_vectors_of_all_rows_up_to_sign():
    items, users = table("item", 30, missing=(3, 4)), table("user", 20, missing=(0,), seed=1)
    rows = np.concatenate([items.x[items.present], users.x[users.present]]).astype(np.float64)
    mean = rows.mean(axis=0)
    _, _, right = np.linalg.svd(rows - mean, full_matrices=False)
    for before, after in zip((items, users), pca([items, users], 3), strict=True):
        expected = (before.x[before.present] - mean) @ right[:3].T
        np.testing.assert_allclose(np.abs(after.x[before.present]), np.abs(expected), atol=1e-4)


def test_both_kinds_stand_on_one_basis():
    """The same vector is the same point, whichever table it is in."""
    items, users = table("item", 30), table("user", 20, seed=1)
    users.x[7] = items.x[5]
    item, user = pca([items, users], 4)
    np.testing.assert_array_equal(item.x[5], user.x[7])


def test_rows_without_a_vector_stay_zero_and_out_of_the_fit():
    items = table("item", 30, missing=(3, 4))
    without = FeatureTable("item", items.x[items.present], np.ones(28, dtype=bool), "made.item")
    (found,), (expected,) = pca([items], 2), pca([without], 2)
    assert not found.x[[3, 4]].any()
    assert found.present.tolist() == items.present.tolist()
    np.testing.assert_allclose(found.x[items.present], expected.x, atol=1e-5)


def test_type_and_source():
    (found,) = pca([table("item", 30)], 2)
    assert (found.x.dtype, found.x.shape, found.source) == (np.float32, (30, 2), "pca2(made.item)")


def test_all_components_keep_distances():
    items = table("item", 12)
    (found,) = pca([items], 6)
    before, after = (np.linalg.norm(x[:, None] - x[None], axis=2) for x in (items.x, found.x))
    np.testing.assert_allclose(before, after, atol=1e-4)


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_for_a_covariance_are_survived(rows):
    (found,) = pca([table("item", 3, missing=tuple(range(3 - rows)))], 2)
    assert np.isfinite(found.x).all()


def test_more_components_than_dimensions_are_refused():
    with pytest.raises(ConfigError, match=r"features\.pca: made\.item: expected at most 6, found 7"):
        pca([table("item", 30)], 7)
