"""The ledger: every call to a language model by content key, in one SQLite file or one PostgreSQL database.

    planned -> leased -> responded -> parsed | rejected; parsed -> published

Intent and reserved cost are committed before a call is sent, raw text and cost before anyone reads it. So a killed
worker loses no acknowledged answer, and calls that it had in flight are known to be in doubt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Self

from language_models.ledger import batches, lookups, money
from language_models.ledger.database import LOOKUP, WORKER, Database, marks
from language_models.ledger.leasing import Leasing
from language_models.ledger.responses import Responses
from language_models.ledger.schema import prepare
from language_models.ledger.standing import Standing, standings, write
from language_models.ledger.templates import Templates
from language_models.ledger.types import Account, Asked, Batch, Call, Granted, State, Totals, Verdict
from schemas.chunks import chunks
from schemas.errors import StoreError
from schemas.records import Completion

REMEMBER = "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
PUBLISH = "UPDATE states SET state = 'published', published = ? WHERE state = 'parsed' AND key IN"


class Ledger:
    """Calls by content key. `night` is the scope of the spending cap, usually the date that the run is for.

    `where` is a path on a local disk, or a `postgresql://` address that several hosts share. Thread-safe. Every method
    raises StoreError, naming the place, the cause and the next step, where the ledger cannot be used.
    `clock` (unix seconds) is for timestamps alone: no rule depends on it.
    """

    def __init__(self, where: str | Path, night: str = "", clock: Callable[[], float] = time.time) -> None:
        self.night = night
        self._clock = clock
        self._database = _open(where)
        self._templates = Templates(self._database)
        try:
            prepare(self._database)
            self._database.tidy(lookups.holders(self._database))
        except BaseException:
            self._database.close()
            raise

    @property
    def where(self) -> str:
        """The place, fit to be shown."""
        return self._database.where

    @property
    def worker(self) -> str:
        """Our name as a holder of leases."""
        return self._database.worker

    # ---- reading

    def settled(self, keys: Iterable[str]) -> dict[str, State]:
        """The calls that need nothing more: parsed, published, or rejected after a paid answer."""
        return lookups.settled(self._database, keys)

    def answers(self, keys: Iterable[str]) -> dict[str, list[Completion]]:
        """Paid answers, oldest first; calls without any are absent."""
        return lookups.answers(self._database, keys)

    def failures(self, keys: Iterable[str]) -> dict[str, Completion]:
        """The last failure (`error:*`) of calls that have no paid answer and have not been asked again since."""
        return lookups.failures(self._database, keys)

    def last_asked(self, recipe: str, kind: str, ids: Iterable[str]) -> dict[str, Asked]:
        """The call per subject that brought its latest paid answer."""
        return lookups.last_asked(self._database, recipe, kind, ids)

    def totals(self) -> Totals:
        """The money of this night, over all workers and modes."""
        return money.totals(self._database, self.night)

    def calibration(self, model: str, recipe: str) -> tuple[int, int] | None:
        """Input tokens of all first answers: as estimated, and as the endpoint counted. None before the first."""
        return money.calibration(self._database, model, recipe)

    def recall(self, name: str) -> str | None:
        """What `remember` was told last."""
        rows = self._database.query("SELECT value FROM facts WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def remember(self, name: str, value: str) -> None:
        """Keep a small fact for later runs, such as what an endpoint can do."""
        with self.transaction():
            self._database.execute(REMEMBER, (name, value))

    def orphans(self) -> list[Call]:
        """Leases of dead workers, and of batches that have landed, with their prompts as they were sent."""
        holders = lookups.holders(self._database)
        dead = holders - self._living(holders)
        return [call for holder in sorted(dead) for call in lookups.leased_by(self._database, holder)]

    def leased_by(self, holder: str) -> list[Call]:
        """The calls that a worker or a batch (by its id) has leased, in the order in which they were first planned."""
        return lookups.leased_by(self._database, holder)

    def calls(self, keys: Iterable[str]) -> list[Call]:
        """The calls in the order in which they were first planned, with the prompt that was leased last."""
        return lookups.calls(self._database, keys)

    def accounts(self, keys: Iterable[str]) -> Iterator[Account]:
        """Everything that is kept of the calls, in no order; calls that are not known are absent."""
        return lookups.accounts(self._database, keys)

    def batches(self, open_only: bool = True) -> list[Batch]:
        """Batches in the order of their intent; by default those that have not landed."""
        return batches.read(self._database, open_only)

    # ---- leases

    def lease(self, calls: Sequence[Call], cap_usd: float | None = None) -> Granted:
        """Record the intent to make the calls, in one transaction; those `taken` may be sent now.

        A call can be leased for the turn that equals the number of its paid answers. First come first: from the first
        call that could pass the cap on, all that would be sent are refused.
        """
        return self.lease_all([calls], cap_usd)[0]

    def lease_all(self, requests: Sequence[Sequence[Call]], cap_usd: float | None = None) -> list[Granted]:
        """Several requests in one transaction, each answered by itself."""
        with self.transaction():
            self._database.join()
            return self._leasing(self.worker, cap_usd).lease(requests)

    def lease_for_batch(self, batch: Batch, calls: Sequence[Call], cap_usd: float | None = None) -> Granted:
        """Lease calls to a batch, which holds them until it has landed, whatever happens to this process.

        The batch is recorded as `intended`, in the same transaction, with the number of calls that were taken; if none
        were, there is no batch.
        """
        with self.transaction():
            granted = self._leasing(batch.id, cap_usd).lease([calls])[0]
            if granted.taken:
                batches.insert(self._database, replace(batch, state="intended", calls=len(granted.taken)))
        return granted

    def adopt(self, keys: Iterable[str]) -> list[str]:
        """Take over orphaned leases as they are, to recover their answers; of several workers, one gets each."""
        with self.transaction():
            self._database.join()
            living = lru_cache(maxsize=None)(self._lives)
            known = standings(self._database, keys).values()
            orphans = [call for call in known if call.leased and not living(call.holder or "")]
            for call in orphans:
                call.holder = self.worker
            write(self._database, orphans)
        return [call.key for call in orphans]

    def release(self, keys: Iterable[str]) -> None:
        """End leases of calls that were certainly not sent; their reservation is free again."""
        self.abandon(keys, charged=False)

    def abandon(self, keys: Iterable[str], charged: bool = True) -> None:
        """End leases whose answers could not be recovered; the calls may be leased again.

        `charged`: they may have been paid, which counts towards the cap and is reported. Leases of another worker that
        lives are left alone.
        """
        with self.transaction():
            for some in chunks(keys, LOOKUP):
                self._responses().abandon(some, charged)

    # ---- answers

    def respond(self, completions: Sequence[Completion]) -> None:
        """Keep what came back, raw, in one transaction, before anyone reads it. The calls must have been leased.

        A paid answer turns its reservation into spending. `error:*` frees it, and the call is rejected until a later
        run asks again. `unknown:*` turns it into possible spending, and the call may be leased again. A paid answer to
        a call that somebody else has leased or had answered meanwhile is kept too, and its cost counted.
        """
        with self.transaction():
            self._responses().keep(completions)

    def land(self, batch_id: str, completions: Sequence[Completion]) -> int:
        """Keep what a batch has brought for the calls that it still holds, and return how many those are.

        A call that it no longer holds was landed before, maybe by another worker: its answer is not counted twice.
        """
        with self.transaction():
            known = standings(self._database, (completion.key for completion in completions))
            held = {key for key, call in known.items() if call.holder == batch_id}
            ours = [completion for completion in completions if completion.key in held]
            self._responses().keep(ours)
        return len(ours)

    def settle(self, verdicts: Iterable[Verdict]) -> None:
        """Record how reading went. A published call stays published unless it is rejected; a leased one waits."""
        with self.transaction():
            for some in chunks(verdicts, LOOKUP):
                known = standings(self._database, (verdict.key for verdict in some))
                changed = {verdict.key: known[verdict.key] for verdict in some if self._judge(known, verdict)}
                write(self._database, changed.values())

    def publish(self, keys: Iterable[str], version: int) -> None:
        """Parsed calls whose rows stand in a published table are published; all others stay as they are."""
        with self.transaction():
            for some in chunks(keys, LOOKUP):
                self._database.execute(f"{PUBLISH} ({marks(some)})", (version, *some))

    # ---- batches

    def save_batch(self, batch: Batch) -> None:
        """Record how far a batch has come; once it has landed, what it still holds is orphaned."""
        with self.transaction():
            batches.save(self._database, batch)

    def drop_batch(self, batch_id: str) -> None:
        """Forget a batch that was certainly never submitted; its calls may be leased again."""
        with self.transaction():
            self.release([call.key for call in self.leased_by(batch_id)])
            batches.delete(self._database, batch_id)

    # ---- life

    def claim(self, name: str) -> bool:
        """Whether something that only one worker may do is ours from now on; until we end, however we end."""
        with self.transaction():
            self._database.join()
            before = self.recall(f"claim: {name}")
            if before not in (None, self.worker) and self._lives(str(before)):
                return False
            self.remember(f"claim: {name}", self.worker)
        return True

    def transaction(self) -> AbstractContextManager[None]:
        """Everything inside is one commit; may be nested. After an error nothing of it is kept."""
        return self._database.transaction()

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # ---- within

    def _leasing(self, holder: str, cap_usd: float | None) -> Leasing:
        living = lru_cache(maxsize=None)(self._lives)
        return Leasing(self._database, self._templates, holder, self.night, self._clock(), cap_usd, living)

    def _responses(self) -> Responses:
        """Any lease may be ended by us but another living worker's: who has a batch's answers is landing it."""
        another = lru_cache(maxsize=None)(self._is_another_worker)
        return Responses(self._database, self.night, self._clock(), lambda holder: not another(holder))

    def _is_another_worker(self, holder: str) -> bool:
        return holder.startswith(WORKER) and holder != self.worker and bool(self._database.alive({holder}))

    def _lives(self, holder: str) -> bool:
        return bool(self._living({holder}))

    def _living(self, holders: set[str]) -> set[str]:
        """Those workers that live, we included, and those batches that have not landed."""
        workers = {holder for holder in holders if holder.startswith(WORKER)}
        others = workers - {self.worker}
        return (workers - others) | self._database.alive(others) | batches.open_ids(self._database, holders - workers)

    def _judge(self, known: dict[str, Standing], verdict: Verdict) -> bool:
        """Apply a verdict; whether it changed anything."""
        call = known.get(verdict.key)
        if call is None or not (call.paid or call.reason.startswith("error:")):
            raise StoreError(f"{self.where}: ledger: call {verdict.key}: expected a paid answer to judge, found none")
        if call.leased or not call.paid or (call.state, verdict.state) == ("published", "parsed"):
            return False
        call.state, call.reason = verdict.state, verdict.reason
        return True


def _open(where: str | Path) -> Database:
    if isinstance(where, str) and where.startswith(("postgresql://", "postgres://")):
        from language_models.ledger.postgres import PostgresDatabase

        return PostgresDatabase(where)
    from language_models.ledger.sqlite import SqliteDatabase

    return SqliteDatabase(Path(where))
