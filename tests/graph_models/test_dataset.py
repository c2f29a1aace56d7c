import numpy as np
import pytest
import torch

from features.corpus import Part
from features.table import FeatureSet
from graph_models.dataset import make_dataset
from schemas.errors import DataError
from tests.support.graphs import make_part, make_text


def edges(*pairs: tuple[int, int], users: int = 3, items: int = 3) -> Part:
    array = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return Part(users, items, array, np.arange(array.shape[1]), np.ones(array.shape[1], np.float32))


def test_values_are_one_over_the_root_of_both_degrees():
    """u0-i0, u0-i1, u1-i1 with u0-i0 twice: degrees u 2, 1; i 1, 2; u2 and i2 are alone."""
    dense = make_dataset(edges((0, 0), (0, 1), (0, 0), (1, 1))).adjacency.to_dense()
    expected = torch.zeros(6, 6)
    expected[0, 3] = expected[3, 0] = 2**-0.5
    expected[0, 4] = expected[4, 0] = 0.5
    expected[1, 4] = expected[4, 1] = 2**-0.5
    assert torch.allclose(dense, expected)
    assert torch.equal(dense, dense.T)


def test_indices_are_small_and_duplicates_merged():
    graph = make_dataset(edges((0, 0), (0, 0)))
    assert graph.adjacency.col_indices().dtype == torch.int32
    assert graph.seen.nnz == 1


def test_a_user_without_table_is_the_mean_of_his_train_items():
    items = make_text("item", 3, dim=2)
    graph = make_dataset(edges((0, 0), (0, 2)), FeatureSet(items))
    assert torch.allclose(graph.x_user[0], torch.from_numpy((items.x[0] + items.x[2]) / 2))
    assert graph.present_user.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (FeatureSet(make_text("item", 4)), "expected 3 item rows, found 4"),
        (FeatureSet(make_text("item", 3), make_text("user", 2)), "expected 3 user rows, found 2"),
    ],
)
def test_tables_of_another_shape_are_named(features, message):
    with pytest.raises(DataError, match=message):
        make_dataset(edges((0, 0)), features)


def test_an_empty_train_part_is_named():
    with pytest.raises(DataError, match="train: expected at least one interaction"):
        make_dataset(edges())


def test_the_fingerprint_sees_edges_and_text():
    prints = {
        make_dataset(make_part()).fingerprint(),
        make_dataset(make_part(seed=1)).fingerprint(),
        make_dataset(make_part(), FeatureSet(make_text("item", 9))).fingerprint(),
        make_dataset(make_part(), FeatureSet(make_text("item", 9, seed=2))).fingerprint(),
    }
    assert len(prints) == 4
    assert make_dataset(make_part()).fingerprint() in prints


def test_moving_keeps_everything(graph):
    moved = graph.to(torch.device("cpu"))
    assert moved.fingerprint() == graph.fingerprint()
    assert torch.equal(moved.adjacency.to_dense(), graph.adjacency.to_dense())
