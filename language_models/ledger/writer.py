"""One thread that commits in groups: while one commit is on its way to the disk, the next group gathers.

Nothing lingers to make a group larger: that was measured, and was slower at every load.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Self

from language_models.ledger.database import DatabaseError
from language_models.ledger.ledger import Ledger
from language_models.ledger.types import Call, Granted, Verdict
from schemas.errors import StoreError
from schemas.records import Completion

GROUP = 512  # rows per commit at most
TRIES = 5  # of one request over connections that get lost


@dataclass(slots=True)
class _Request:
    kind: tuple[object, ...]  # requests of one kind that follow each other are run as one
    rows: Sequence[Any]
    future: Future[Any]
    tries: int = 0


class Writer:
    """The ledger's writing methods, each returning a future that is done when its rows are safe.

    A request that fails alone fails alone. After an error of the database itself (disk full, server gone) every open
    and later future gets that error. A future may be cancelled only while it waits, and only that of a lease.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._queue: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._broken: DatabaseError | None = None
        self._thread = threading.Thread(target=self._run, name="loregraph-ledger", daemon=True)
        self._thread.start()

    def lease(self, calls: Sequence[Call], cap_usd: float | None = None) -> Future[Granted]:
        return self._ask(("lease", cap_usd), calls)

    def respond(self, completions: Sequence[Completion]) -> Future[None]:
        return self._ask(("respond",), completions)

    def adopt(self, keys: Iterable[str]) -> Future[list[str]]:
        return self._ask(("adopt",), list(keys))

    def release(self, keys: Iterable[str]) -> Future[None]:
        return self.abandon(keys, charged=False)

    def abandon(self, keys: Iterable[str], charged: bool = True) -> Future[None]:
        return self._ask(("abandon", charged), list(keys))

    def settle(self, verdicts: Iterable[Verdict]) -> Future[None]:
        return self._ask(("settle",), list(verdicts))

    def close(self) -> None:
        """Wait until everything asked for is safe."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _ask(self, kind: tuple[object, ...], rows: Sequence[Any]) -> Future[Any]:
        request = _Request(kind, rows, Future())
        if kind[0] != "lease":
            request.future.set_running_or_notify_cancel()  # whoever stops listening, what came must be kept
        with self._changed:
            if self._closed:
                raise StoreError(f"{self.ledger.where}: ledger: its writer is closed; make a new one")
            self._queue.append(request)
            self._changed.notify()
        return request.future

    def _run(self) -> None:
        while group := self._gather():
            self._commit([request for request in group if _wanted(request)])

    def _gather(self) -> list[_Request]:
        """The next group, at least one request; none when the writer is closed and nothing is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            group: list[_Request] = []
            rows = 0
            while self._queue and (not group or rows + len(self._queue[0].rows) <= GROUP):
                group.append(self._queue.popleft())
                rows += len(group[-1].rows)
        return group

    def _commit(self, group: Sequence[_Request]) -> None:
        """All in one transaction; where that fails, one by one, so that only those fail that must."""
        if self._broken is not None:
            return _fail(group, self._broken)
        try:
            results = self._apply(group)
        except Exception as error:  # noqa: BLE001  whoever waits for the future gets it; this thread must go on
            return self._retry(group, error)
        for request, result in zip(group, results, strict=True):
            request.future.set_result(result)
        return None

    def _retry(self, group: Sequence[_Request], error: Exception) -> None:
        if len(group) > 1:
            for request in group:
                self._commit([request])
            return
        if isinstance(error, DatabaseError) and error.passing and group[0].tries < TRIES:
            group[0].tries += 1
            self._commit(group)
            return
        if isinstance(error, DatabaseError):
            self._broken = error
        _fail(group, error)

    def _apply(self, group: Sequence[_Request]) -> list[object]:
        results: list[object] = []
        with self.ledger.transaction():
            for kind, requests in groupby(group, key=lambda request: request.kind):
                results += self._do(kind, [request.rows for request in requests])
        return results

    def _do(self, kind: tuple[Any, ...], requests: Sequence[Sequence[Any]]) -> Sequence[object]:
        rows = [row for rows in requests for row in rows]
        match kind:
            case ("lease", cap_usd):
                return self.ledger.lease_all(requests, cap_usd)
            case ("adopt",):
                return [self.ledger.adopt(keys) for keys in requests]
            case ("abandon", charged):
                self.ledger.abandon(rows, charged)
            case ("respond",):
                self.ledger.respond(rows)
            case _:
                self.ledger.settle(rows)
        return [None] * len(requests)


def _wanted(request: _Request) -> bool:
    return request.future.running() or request.future.set_running_or_notify_cancel()


def _fail(group: Sequence[_Request], error: Exception) -> None:
    for request in group:
        request.future.set_exception(error)
