"""Data parallelism: every process has the whole model, takes its share of each batch, and gradients are added.

Started by torchrun. All processes start from the same parameters and draw the same batches; each computes the loss of
its share of the pairs, weighted by that share, so that the sum of the gradients is the gradient of the whole batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from graph_models.device import find_device
from graph_models.processes import processes
from graph_models.sampler import Batch, Candidates
from schemas.errors import ConfigError, LoregraphError

SILENT_MINUTES = 30  # after which the others are given up; the first process may judge or save for so long

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """The processes that train one model; a single one has nothing to exchange, and pays nothing."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process judges, tells and writes."""
        return self.rank == 0

    def figures(self) -> dict[str, dict[str, int]]:
        """What a trained model tells of it; nothing of one process."""
        return {"parallel": {"processes": self.size}} if self.size > 1 else {}

    def share(self, batch: Batch) -> Batch:
        """What this process computes of a batch."""
        return batch if self.size == 1 else share(batch, self.rank, self.size)

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Put the sum over processes in the place of every gradient, in one exchange; a missing one counts as zero."""
        if self.size == 1:
            return
        learned = [each for each in parameters if each.requires_grad]
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in learned]
        flat = self.add(torch.cat([each.reshape(-1) for each in gradients]))
        pieces = torch.split(flat, [each.numel() for each in learned])
        for each, piece in zip(learned, pieces, strict=True):
            each.grad = piece.view_as(each)

    def add(self, values: Tensor) -> Tensor:
        """The sum over processes, in place."""
        if self.size > 1:
            with self._talking():
                dist.all_reduce(values)
        return values

    def first(self, value: T) -> T:
        """What the first process says; the others' values are not looked at."""
        if self.size == 1:
            return value
        said = [value]
        with self._talking():
            dist.broadcast_object_list(said, src=0)
        return said[0]

    def wait(self) -> None:
        """Until the first process is here as well, and has written what it wrote before."""
        self.first(None)

    def agree(self, value: object, what: str) -> None:
        """Wait for all processes. Raises ConfigError, in each of them, where their values differ."""
        if self.size == 1:
            return
        values: list[object] = [None] * self.size
        with self._talking():
            dist.all_gather_object(values, value)
        if any(each != values[0] for each in values):
            told = ", ".join(f"process {rank}: {each}" for rank, each in enumerate(values))
            raise ConfigError(f"{what}: expected the same in all processes, found {told}; give all machines one lake")

    def start_alike(self, state: Iterable[Tensor]) -> None:
        """Overwrite tensors with the first process's: another machine may draw or decompose otherwise."""
        if self.size > 1:
            with self._talking():
                for tensor in state:
                    dist.broadcast(tensor, src=0)

    def draw_alike(self, device: torch.device) -> None:
        """Go on from the first process's random state: shares of other sizes may have drawn other amounts."""
        if self.size == 1:
            return
        torch.set_rng_state(self.first(torch.get_rng_state()))
        if device.type == "cuda":
            torch.cuda.set_rng_state(self.first(torch.cuda.get_rng_state(device)), device)

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Say plainly that another process is gone."""
        try:
            yield
        except RuntimeError as error:
            raise LoregraphError(
                f"process {self.rank} of {self.size}: another process has ended, or was silent for {SILENT_MINUTES}"
                f" minutes; its own message says why, and the same command goes on from the last validation ({error})"
            ) from error


SINGLE = Group()


@contextmanager
def joined(device: str) -> Iterator[Group]:
    """Join the processes that torchrun has started, with gloo on CPU and NCCL between GPUs; without torchrun alone.

    `device`: of the run file. On CUDA every process takes the GPU of its number on its machine, which is then what
    `auto` and `cuda` mean. Raises ConfigError where the run file names one GPU for all, or a machine has too few.
    """
    here = processes()
    if here.size == 1:
        yield SINGLE
        return
    cuda = _takes_gpu(device, here.local)
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"  # what is no tensor travels by gloo
    dist.init_process_group(backend, timeout=timedelta(minutes=SILENT_MINUTES))
    yield Group(here.rank, here.size)
    dist.destroy_process_group()  # not after an error: it would wait for the others


def _takes_gpu(device: str, local: int) -> bool:
    if find_device(device).type != "cuda":
        return False
    if ":" in device:
        raise ConfigError(f"device: {device}: one GPU for several processes; use cuda, which gives each its own")
    if local >= torch.cuda.device_count():
        raise ConfigError(
            f"device: {device}: process {local} of this machine has no GPU, torch finds {torch.cuda.device_count()};"
            f" start as many processes as GPUs, or use cpu"
        )
    torch.cuda.set_device(local)
    return True


def share(batch: Batch, rank: int, size: int) -> Batch:
    """The part of a batch that process `rank` of `size` computes; `part` says how much of the batch it is.

    Pairs are cut into runs of about the same length. Where a softmax is taken over candidates, a user's pairs stay
    together and the items are the same everywhere; negatives that all pairs share are dealt out, so that the length of
    each is counted once. A process without pairs computes the first ones, with weight zero: nobody waits for it.
    """
    cuts = [len(batch.user) * each // size for each in range(size + 1)]
    if batch.candidates is not None:
        return _share_of_users(batch, batch.candidates, cuts, rank)
    mine = slice(cuts[rank], cuts[rank + 1]) if cuts[rank] < cuts[rank + 1] else slice(0, 1)
    part = (cuts[rank + 1] - cuts[rank]) / len(batch.user)
    return Batch(batch.user[mine], batch.positive[mine], batch.negative[mine], part=part)


def _share_of_users(batch: Batch, among: Candidates, cuts: list[int], rank: int) -> Batch:
    size = len(cuts) - 1
    ends = torch.tensor([len(among.user), 1], device=among.row.device)  # 1: the end of the first user's
    bounds = torch.cat([torch.zeros_like(ends[:1]), among.row[cuts[1:-1]], ends])
    places = (torch.searchsorted(each.contiguous(), bounds) for each in (among.row, among.masked[0]))
    users, pairs, masks = torch.stack([bounds, *places]).tolist()
    busy = [each for each in range(size) if pairs[each] < pairs[each + 1]]
    start, stop = (rank, rank + 1) if rank in busy else (0, -1)
    user, pair, mask = (slice(each[start], each[stop]) for each in (users, pairs, masks))
    masked = torch.stack([among.masked[0, mask] - user.start, among.masked[1, mask]])
    weight = None if among.weight is None else among.weight[pair]
    row = among.row[pair] - user.start
    candidates = replace(among, user=among.user[user], row=row, masked=masked, weight=weight)
    part = (pairs[rank + 1] - pairs[rank]) / len(batch.user)
    return Batch(batch.user[pair], batch.positive[pair], _dealt(batch.negative, busy, rank), candidates, part)


def _dealt(negative: Tensor, busy: list[int], rank: int) -> Tensor:
    if rank not in busy:
        return negative[:1]
    place = busy.index(rank)
    return negative[len(negative) * place // len(busy) : len(negative) * (place + 1) // len(busy)]
