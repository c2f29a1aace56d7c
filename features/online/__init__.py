"""Online stores: the features of the live release by id, for services that cannot wait for a table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from features.online.base import Features, Fed, OnlineStore, entries, unpack
from schemas.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run's online store is: a file on a local disk, or a server's address and the name of the run."""

    path: Path
    url: str
    name: str


def _sqlite(place: Place) -> OnlineStore:
    from features.online.sqlite import SqliteStore

    return SqliteStore(place.path)


def _redis(place: Place) -> OnlineStore:
    try:
        from features.online.redis import RedisStore
    except ImportError as error:
        raise ConfigError(f"online.store: redis: {error}; pip install 'loregraph[redis]'") from None
    return RedisStore(place.url, f"loregraph:{place.name}")


ONLINE_STORES: Mapping[str, Callable[[Place], OnlineStore]] = {"sqlite": _sqlite, "redis": _redis}

__all__ = ["ONLINE_STORES", "Features", "Fed", "OnlineStore", "Place", "entries", "unpack"]
