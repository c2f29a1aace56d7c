"""Real processes that train together over gloo, started like torchrun's: the same environment, one for each rank."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import torch

from graph_models.parallel import Group, joined

Work = Callable[[Group, Path], None]


def together(work: Work, folder: Path, size: int = 2, seconds: float = 120) -> list[int | None]:
    """Run `work(group, folder)` in `size` processes; returns their exit codes, None of one that had to be killed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spawn = get_context("spawn")
    started = [spawn.Process(target=_run, args=(work, folder, rank, size, port)) for rank in range(size)]
    for each in started:
        each.start()
    for each in started:
        each.join(seconds)
    codes = [each.exitcode for each in started]
    for each in started:
        each.kill()
    return codes


def _run(work: Work, folder: Path, rank: int, size: int, port: int) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    with joined("cpu") as group:
        work(group, folder)
