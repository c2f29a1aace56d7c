import pytest
import torch

from graph_models.device import find_device, seeded
from schemas.errors import ConfigError


def test_names_become_devices():
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto").type in ("cpu", "cuda")


def test_unknown_and_absent_devices_are_named():
    with pytest.raises(ConfigError, match="expected auto, cpu, cuda or cuda:N, found 'gpu'"):
        find_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no CUDA device"):
            find_device("cuda:0")


def test_seeded_gives_the_callers_state_back():
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    with seeded(1):
        first = torch.rand(1)
    assert torch.equal(torch.rand(2), expected)
    with seeded(1):
        assert torch.equal(torch.rand(1), first)
