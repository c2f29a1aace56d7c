"""Many texts become vectors shard by shard: in this process, or in one worker process per share of the machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from language_models.encoders import make_encoder
from language_models.protocols import Encoded, TextEncoder
from language_models.stopping import stopped_at_once
from schemas.errors import StopError
from schemas.sections import Encoder


class Shard(NamedTuple):
    """The vectors [N, dim] of the texts of one shard."""

    number: int
    vectors: NDArray[np.float32]


class ShardEncoder(Protocol):
    """Encodes shards and gives them back as they are finished."""

    @property
    def limit(self) -> int | None:
        """As of a TextEncoder."""
        ...

    @property
    def done(self) -> Encoded:
        """The sum over the shards that came back."""
        ...

    def encode(self, shards: Sequence[Sequence[str]]) -> Iterator[Shard]:
        """The shards in any order; ends early where a stop is asked for.

        Raises what the encoder raises, and WorkerError where a worker process fails. What came before is finished.
        """
        ...


@contextmanager
def shard_encoder(config: Encoder, stop: threading.Event) -> Iterator[ShardEncoder]:
    """The encoder of a run file with its model loaded and warm: `encoder.workers` processes, or this one.

    Raises as `make_encoder` does. Worker processes are ended with the block; `stop` ends `encode` early.
    """
    devices = _devices(config)
    if len(devices) == 1:
        yield _OneByOne(config.model_copy(update={"device": devices[0]}), stop)
        return
    from language_models.encoders.workers import Workers

    workers = Workers(config, devices, stop)
    try:
        yield workers
    finally:
        workers.close()


def warm_encoder(config: Encoder) -> TextEncoder:
    """An encoder that has read a text, so that no set-up is left; one that is paid for has not."""
    encoder = make_encoder(config)
    if config.kind != "openai":
        encoder.warm_up()
    return encoder


class _OneByOne:
    """A shard after the other in this process."""

    def __init__(self, config: Encoder, stop: threading.Event) -> None:
        self._encoder, self._paid, self._stop = warm_encoder(config), config.kind == "openai", stop

    @property
    def limit(self) -> int | None:
        return self._encoder.limit

    @property
    def done(self) -> Encoded:
        return self._encoder.done

    def encode(self, shards: Sequence[Sequence[str]]) -> Iterator[Shard]:
        for number, texts in enumerate(shards):
            if self._stop.is_set():
                return
            try:  # what is paid for is waited for
                with nullcontext() if self._paid else stopped_at_once(self._stop):
                    vectors = self._encoder.encode(texts)
            except StopError:
                return
            yield Shard(number, vectors)


def _devices(config: Encoder) -> Sequence[str]:
    """The device of every process: `encoder.workers` of them, or one for each GPU that is seen, or one."""
    if config.kind == "openai":
        return (config.device,)
    from language_models.encoders.loading import devices

    return devices(config.device, config.workers)
