"""A small random train part and its graph, with text."""

import pytest
import torch

from features.corpus import Part
from graph_models.dataset import GraphDataset, make_dataset
from tests.support.graphs import make_part, make_text


@pytest.fixture
def part() -> Part:
    return make_part()


@pytest.fixture
def graph(part) -> GraphDataset:
    text = {"item": make_text("item", 9, missing=(2,)), "user": make_text("user", 12, missing=(0, 5), seed=1)}
    return make_dataset(part, text)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tensors of a hundred numbers are slower with several threads, and much slower on a busy machine."""
    torch.set_num_threads(1)
