"""What is live: every release pins a version of every table of one night, and the model, in one commit.

A night publishes its tables one after the other. Readers who go through the latest release see all of a night or
nothing of it, because the row of a release is there at once or not at all; tables keep the versions that it names.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from features.store import TableStore
from schemas.errors import StoreError
from schemas.tables import TABLES, conform

TABLE = "releases"
TRIES = 5  # to find the tables of a night at rest


@dataclass(frozen=True, slots=True)
class ReleasedModel:
    """A fitted model, its folder relative to the work folder."""

    model: str
    seed: int
    config_hash: str
    folder: str


@dataclass(frozen=True, slots=True)
class Release:
    """A night as readers see it."""

    number: int  # from 1, without gaps
    ds: str
    tables: Mapping[str, int]  # table -> Delta version
    model: str | None  # None: tables alone
    seed: int | None
    config_hash: str | None
    folder: str | None  # of the model, relative to the work folder
    made_at: int  # unix seconds; never earlier than that of the release before, whatever the clock says
    reason: str
    restores: int | None  # number of the release that a rollback brought back

    @property
    def live_model(self) -> ReleasedModel | None:
        """The model with all that says which one; None where tables were released alone."""
        if self.model is None or self.seed is None or self.config_hash is None or self.folder is None:
            return None
        return ReleasedModel(self.model, self.seed, self.config_hash, self.folder)


class Releases:
    """The releases of a lake. Nothing is ever taken back: a rollback is one more release."""

    def __init__(self, store: TableStore) -> None:
        self.store = store

    def all(self) -> list[Release]:
        """Every release, oldest first; none where nothing was promoted yet."""
        if not self.store.exists(TABLE):
            return []
        return [_release(row) for row in self.store.read(TABLE).sort("number").iter_rows(named=True)]

    def live(self) -> Release:
        """The latest release. Raises StoreError where there is none."""
        found = self.all()
        if not found:
            raise StoreError(f"lake {self.store.root}: no release yet; `loregraph promote --run FILE` makes one")
        return found[-1]

    def as_of(self, ts: int) -> Release:
        """The release that was live at a unix second. Raises StoreError where the first one came later."""
        found = self.all()
        past = [release for release in found if release.made_at <= ts]
        if not past:
            first = f"the first one was made at {found[0].made_at}" if found else "there is none yet"
            raise StoreError(f"lake {self.store.root}: no release was live at {ts} (unix seconds): {first}")
        return past[-1]

    def number(self, number: int) -> Release:
        """One release. Raises StoreError naming how many there are."""
        found = self.all()
        if not 1 <= number <= len(found):
            raise StoreError(
                f"lake {self.store.root}: release {number} is not there (there are {len(found)}); name another"
            )
        return found[number - 1]

    def add(
        self,
        ds: str,
        tables: Mapping[str, int],
        model: ReleasedModel | None = None,
        reason: str = "",
        restores: int | None = None,
        after: int | None = None,
    ) -> Release:
        """Make one release live, in one commit. The same night with the same content as the live one adds nothing.

        `after`: the number of the release that the caller has seen live (0: none). Raises StoreError where another one
        has been made since, or is made at the same time: nothing is then added.
        """
        version = self.store.version(TABLE) if self.store.exists(TABLE) else None
        found = self.all()
        last = found[-1].number if found else 0
        if after is not None and last != after:
            raise StoreError(
                f"lake {self.store.root}: release {last} was made since release {after} was looked at; "
                "look at `loregraph releases` and run it again"
            )
        if found and self.holds(found[-1], ds, tables, model):
            return found[-1]
        now = max(int(time.time()), found[-1].made_at if found else 0)
        told: dict[str, Any] = asdict(model) if model else dict.fromkeys(ReleasedModel.__slots__)
        about: dict[str, Any] = {"made_at": now, "reason": reason, "restores": restores, **told}
        added = Release(number=last + 1, ds=ds, tables=dict(tables), **about)
        rows = pl.DataFrame([_row(each) for each in (*found, added)], schema=dict(TABLES[TABLE].columns))
        self.store.replace(TABLE, conform(TABLE, rows), version)
        return added

    def holds(self, release: Release, ds: str, tables: Mapping[str, int], model: ReleasedModel | None) -> bool:
        """Whether a release is of this night with this model and, row for row, these versions.

        Of tables that grow an earlier version will do: what the others refer to is in it.
        """
        if (release.ds, release.live_model, set(release.tables)) != (ds, model, set(tables)):
            return False
        moved = [name for name in tables if tables[name] != release.tables[name] and is_nightly(self.store, name)]
        return all(self._same(name, ds, release.tables[name], tables[name]) for name in moved)

    def _same(self, name: str, ds: str, one: int, other: int) -> bool:
        untouched = self.store.untouched
        return untouched(name, ds, one) and untouched(name, ds, other)


def pinned(store: TableStore, ds: str) -> dict[str, int]:
    """The version of every table that has something of a night, and of every table that grows, at one moment.

    Raises StoreError where the night is being written again meanwhile.
    """
    for _ in range(TRIES):
        found = {name: store.version(name) for name in store.names() if name != TABLE and _has(store, name, ds)}
        nightly = [name for name in found if is_nightly(store, name)]
        if all(store.untouched(name, ds, found[name]) for name in nightly):
            return found
    raise StoreError(f"lake {store.root}: the tables of {ds} change all the time; promote when its steps have ended")


def is_nightly(store: TableStore, name: str) -> bool:
    """Whether a table has a partition for every night; of one that is not ours, whether it has any."""
    return TABLES[name].nightly if name in TABLES else bool(store.partitions(name))


def _has(store: TableStore, name: str, ds: str) -> bool:
    return not is_nightly(store, name) or store.exists(name, ds)


def _release(row: Mapping[str, Any]) -> Release:
    tables = {each["table"]: each["version"] for each in row["tables"]}
    told = {name: row[name] for name in TABLES[TABLE].columns if name not in ("night", "tables")}
    return Release(ds=row["night"], tables=tables, **told)


def _row(release: Release) -> dict[str, Any]:
    tables = [{"table": name, "version": version} for name, version in sorted(release.tables.items())]
    return {**asdict(release), "night": release.ds, "tables": tables}
