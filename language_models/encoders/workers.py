"""Worker processes that encode shards of texts, each with a model, a device and a share of the threads of its own."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

import torch

from language_models.encoders.shards import Shard, warm_encoder
from language_models.protocols import Encoded
from schemas.errors import LoregraphError, WorkerError
from schemas.sections import Encoder

POLL_S = 0.2  # how soon a request to stop is seen
PATIENCE_S = 5.0  # that a worker has to end by itself


class Told(NamedTuple):
    """What a worker says: once when its model is loaded, then after every shard."""

    shard: Shard | None
    done: Encoded
    limit: int | None


@dataclass(eq=False)
class Worker:
    """A process, our end of its pipe, and what it has done so far."""

    place: str  # such as: worker 1 of 2 (cpu)
    process: BaseProcess
    connection: Connection[Any, Any]
    done: Encoded = field(default_factory=Encoded)


class Workers:
    """A `ShardEncoder`: shards go to whoever is free and come back as they are finished.

    Processes are spawned, so nothing of this one is shared with them: each holds its own copy of the model.
    """

    def __init__(self, config: Encoder, devices: Sequence[str], stop: threading.Event) -> None:
        """Start a worker per device and wait for their models. Raises what loading raises, or WorkerError."""
        self._stop, self.workers = stop, list[Worker]()
        self.limit: int | None = None
        threads = max(1, torch.get_num_threads() // len(devices))
        try:
            for number, device in enumerate(devices, start=1):
                self.workers.append(_start(config, device, threads, f"worker {number} of {len(devices)} ({device})"))
            for _, told in self._heard(set(self.workers)):
                self.limit = told.limit
        except BaseException:
            self.close()
            raise

    @property
    def done(self) -> Encoded:
        return sum((worker.done for worker in self.workers), Encoded())

    def encode(self, shards: Sequence[Sequence[str]]) -> Iterator[Shard]:
        todo = deque(enumerate(shards))
        busy = {worker for worker in self.workers if self._gives(worker, todo)}
        for worker, told in self._heard(busy):
            worker.done = told.done
            if self._gives(worker, todo):  # before its vectors are written: it must not wait for that
                busy.add(worker)
            if told.shard is not None:
                yield told.shard

    def close(self) -> None:
        """End all processes, whatever they are at."""
        for worker in self.workers:
            worker.connection.close()
            worker.process.terminate()
        for worker in self.workers:
            worker.process.join(PATIENCE_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _gives(self, worker: Worker, todo: deque[tuple[int, Sequence[str]]]) -> bool:
        """Give a worker the next shard; false where there is none."""
        if not todo or self._stop.is_set():
            return False
        try:
            worker.connection.send(todo.popleft())
        except OSError:
            raise _ended(worker) from None
        return True

    def _heard(self, busy: set[Worker]) -> Iterator[tuple[Worker, Told]]:
        """What busy workers say, until none is left; each is taken out first, and may be put back."""
        while busy and not self._stop.is_set():
            by_connection: dict[Any, Worker] = {worker.connection: worker for worker in busy}
            for connection in wait(list(by_connection), timeout=POLL_S):
                busy.remove(by_connection[connection])
                yield by_connection[connection], _receive(by_connection[connection])


def _start(config: Encoder, device: str, threads: int, place: str) -> Worker:
    context = get_context("spawn")  # a fork would copy locks that other threads of this process hold
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_work, args=(config, device, threads, theirs), name=f"encoder {place}", daemon=True
    )
    process.start()
    theirs.close()  # so that a dead worker's end is closed, and is heard of
    return Worker(place, process, ours)


def _receive(worker: Worker) -> Told:
    try:
        found: Told | LoregraphError = worker.connection.recv()
    except (EOFError, OSError):
        raise _ended(worker) from None
    if isinstance(found, WorkerError):
        raise WorkerError(f"encoder: {worker.place}: {found}; all vectors written so far are kept")
    if isinstance(found, LoregraphError):
        raise found
    return found


def _ended(worker: Worker) -> WorkerError:
    worker.process.join(PATIENCE_S)
    code = worker.process.exitcode
    how = (
        f"was ended by {signal.Signals(-code).name}"
        if code is not None and code < 0
        else f"ended with exit code {code}"
    )
    return WorkerError(
        f"encoder: {worker.place} {how}, which often is want of memory; all vectors written so far are kept: lower "
        "encoder.workers or encoder.batch_size and run the same command again"
    )


def _work(config: Encoder, device: str, threads: int, connection: Connection[Any, Any]) -> None:
    """A worker's life: load, say so, encode what comes; it ends when the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    os.environ.setdefault("RAYON_NUM_THREADS", str(threads))  # of the tokenizer
    torch.set_num_threads(threads)
    try:
        encoder = warm_encoder(config.model_copy(update={"device": device}))
        connection.send(Told(None, encoder.done, encoder.limit))
        while True:
            number, texts = connection.recv()
            connection.send(Told(Shard(number, encoder.encode(texts)), encoder.done, encoder.limit))
    except (EOFError, ConnectionError):
        return  # nobody is there any more
    except LoregraphError as error:
        connection.send(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent has to hear of it
        connection.send(WorkerError(f"{type(error).__name__}: {error}"))
