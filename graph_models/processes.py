"""Which one of several processes this is, as torchrun tells it; without torch, so that the command line may ask."""

from __future__ import annotations

import os
from dataclasses import dataclass

from schemas.errors import ConfigError

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


@dataclass(frozen=True)
class Processes:
    """This process among `size` that train one model together."""

    rank: int = 0
    size: int = 1
    local: int = 0  # rank among those of this machine

    @property
    def leads(self) -> bool:
        """Whether this is the one that judges, tells and writes."""
        return self.rank == 0


def processes() -> Processes:
    """Read torchrun's variables; one process where not all of them are set. Raises ConfigError where they are wrong."""
    found = [os.environ.get(name) for name in VARIABLES]
    if None in found:
        return Processes()
    try:
        rank, size, local = (int(each or "") for each in found)
    except ValueError:
        rank, size, local = 0, 0, 0
    if not (0 <= rank < size and 0 <= local < size):
        said = ", ".join(f"{name}={value}" for name, value in zip(VARIABLES, found, strict=True))
        raise ConfigError(f"torchrun's variables: expected numbers, RANK and LOCAL_RANK below WORLD_SIZE, found {said}")
    return Processes(rank, size, local)
