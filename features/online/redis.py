"""An online store in Redis, for several hosts: a hash per user or item, and one key that says which release is live."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import redis
from redis.client import Pipeline

from features.online.base import ROWS_AT_ONCE, Entry, Features, Fed, unpack
from schemas.chunks import chunks
from schemas.errors import ConfigError, StoreError
from schemas.records import Kind

TRIES = 10  # releases that may go live while one read is under way
FOUND_AT_ONCE = 1_000
TIMEOUT_S = 30.0


class RedisStore:
    """Keys `PREFIX:NUMBER-TOKEN:KIND:ID`, each a hash of name -> value; `PREFIX:live` names the token of readers.

    One server, not a cluster: a read is one transaction (MULTI) of the live key and the hashes, so what it gives is of
    one release; where the live key has moved meanwhile it reads again. A password belongs into the address, which is
    never shown. Version 6.2 or newer. May be used by several threads.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self.place = f"redis {_host(url)}, {prefix}"
        self._prefix = prefix
        try:
            self._client = redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
        except ValueError as error:
            raise ConfigError(f"online.url: {self.place}: {error}") from None
        self._token: str | None = None  # the one that was live last

    def live(self) -> Fed | None:
        with self._errors():
            return _live(self._client.get(self._live))[0]

    def feed(self, fed: Fed, entries: Iterable[Entry]) -> int:
        token, rows = f"{fed.release}-{uuid4().hex[:8]}", 0
        with self._errors():
            self._drop_others()
            for block in chunks(entries, ROWS_AT_ONCE):
                with self._client.pipeline(transaction=False) as pipeline:
                    for kind, id, name, value in block:
                        pipeline.hset(self._key(token, kind, id), name, value)
                    pipeline.execute()
                rows += len(block)
            self._client.set(self._live, f"{token} {fed.to_json()}")
            self._drop_others()
        return rows

    def get(self, kind: Kind, id: str) -> Features:
        return self.get_many(kind, [id])[id]

    def get_many(self, kind: Kind, ids: Sequence[str], names: Sequence[str] | None = None) -> dict[str, Features]:
        distinct = list(dict.fromkeys(ids))
        with self._errors():
            found = self._hashes(kind, distinct, names)
        return {
            id: {name: unpack(value) for name, value in each if value is not None}
            for id, each in zip(distinct, found, strict=True)
        }

    def close(self) -> None:
        self._client.close()

    @property
    def _live(self) -> str:
        return f"{self._prefix}:live"

    def _key(self, token: str, kind: Kind, id: str) -> str:
        return f"{self._prefix}:{token}:{kind}:{id}"

    def _hashes(
        self, kind: Kind, ids: Sequence[str], names: Sequence[str] | None
    ) -> list[list[tuple[str, bytes | None]]]:
        """What is stored of ids under the release that is live in the very moment."""
        for _ in range(TRIES):
            token = self._token
            with self._client.pipeline(transaction=True) as pipeline:
                pipeline.get(self._live)
                for id in ids if token is not None else ():
                    _read(pipeline, self._key(token or "", kind, id), names)
                live, *answers = pipeline.execute()
            fed, self._token = _live(live)
            if fed is None:
                raise StoreError(
                    f"online store {self.place}: nothing is live yet; `loregraph feed --run FILE` brings a release"
                )
            if token is not None and self._token == token:
                return [_pairs(answer, names) for answer in answers]
        raise StoreError(f"online store {self.place}: {TRIES} releases went live during one read; read again")

    def _drop_others(self) -> None:
        """Delete the hashes of every release but the live one."""
        _, token = _live(self._client.get(self._live))
        keep = (self._live.encode(), f"{self._prefix}:{token}:".encode() if token else self._live.encode())
        keys = (key for key in self._client.scan_iter(f"{_plain(self._prefix)}:*", FOUND_AT_ONCE))
        for some in chunks((key for key in keys if not key.startswith(keep)), FOUND_AT_ONCE):
            self._client.unlink(*some)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, OSError) as error:
            raise StoreError(
                f"online store {self.place}: {error}; check [online] url, that the server runs and has memory; "
                "`loregraph feed` brings the live release again"
            ) from error


def _read(pipeline: Pipeline, key: str, names: Sequence[str] | None) -> None:
    if names is None:
        pipeline.hgetall(key)
    elif names:
        pipeline.hmget(key, list(names))
    else:
        pipeline.exists(key)


def _pairs(
    answer: dict[bytes, bytes] | list[bytes | None], names: Sequence[str] | None
) -> list[tuple[str, bytes | None]]:
    if isinstance(answer, dict):
        return [(name.decode(), value) for name, value in answer.items()]
    return list(zip(names or (), answer, strict=True)) if names else []


def _live(stored: bytes | str | None) -> tuple[Fed | None, str | None]:
    if stored is None:
        return None, None
    token, _, fed = (stored.decode() if isinstance(stored, bytes) else stored).partition(" ")
    return Fed.of_json(fed), token


def _host(url: str) -> str:
    """An address without what is secret in it."""
    parts = urlsplit(url)
    return f"{parts.hostname or parts.path}:{parts.port or 6379}" if parts.hostname else parts.path


def _plain(prefix: str) -> str:
    """A prefix as a pattern that matches nothing else."""
    return "".join(f"\\{letter}" if letter in "*?[]\\^-" else letter for letter in prefix)
