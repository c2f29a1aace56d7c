"""Where a model runs, and how its randomness is seeded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from schemas.errors import ConfigError


def find_device(name: str) -> torch.device:
    """Turn the run file's `device` into a device; `auto` takes CUDA where there is one.

    Raises ConfigError on a name torch does not know and on CUDA where there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device: expected auto, cpu, cuda or cuda:N, found {name!r}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device: {name}: torch finds no CUDA device here; use auto or cpu")
    return device


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Make everything inside draw from `seed`, and give the caller's random state back afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
