"""A small random train part and its graph, with text."""

import pytest
import torch

from features.corpus import Part
from features.table import FeatureSet
from graph_models.dataset import GraphDataset, make_dataset
from tests.support.graphs import make_part, make_text


@pytest.fixture
def part() -> Part:
    return make_part()


@pytest.fixture
def graph(part) -> GraphDataset:
    text = FeatureSet(make_text("item", 9, missing=(2,)), make_text("user", 12, missing=(0, 5), seed=1))
    return make_dataset(part, text)


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """What a test draws without a seed of its own is the same each time."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tensors of a hundred numbers are slower with several threads, and much slower on a busy machine."""
    torch.set_num_threads(1)
