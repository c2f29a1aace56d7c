"""The seam between the ledger's rules and the database that keeps its rows: transactions, errors, who is alive."""

from __future__ import annotations

import os
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from schemas.chunks import chunks
from schemas.errors import StoreError

Row = tuple[Any, ...]
LOOKUP = 500  # keys per query, below every database's limit on bound values
BUSY_S = 60.0  # how long a writer waits for its turn
WORKER = "worker-"  # how names of workers begin; any other holder of leases is a batch


class DatabaseError(StoreError):
    """The database itself cannot be used, whatever is asked of it; `passing`: just now, and maybe no more."""

    def __init__(self, message: str, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


class Database(ABC):
    """One ledger's tables. SQL is written once, with `?` for values; every method may be called from any thread.

    Writers take turns, over all processes: a transaction begins by waiting for the one before to end. So what it reads
    is still so when it commits, and no two can wait for each other. Reading waits for nobody.
    """

    failures: tuple[type[Exception], ...]  # what the driver raises
    refusals: tuple[type[Exception], ...]  # of these, what it raises about a value, and not about itself

    def __init__(self, where: str) -> None:
        self.where = where  # fit to be shown: no password
        self.worker = f"{WORKER}{uuid.uuid4().hex}"
        self.rollbacks = 0  # whoever remembers rows that it wrote looks here whether to forget them
        self._process = os.getpid()
        self._turn = threading.RLock()
        self._writer: int | None = None  # thread of the open transaction
        self._depth = 0
        self._doomed = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is one commit; inside another transaction, part of that one's."""
        self._check_process()
        with self._turn:
            self._enter()
            try:
                yield
            except BaseException:
                self._doomed = True
                with suppress(StoreError):  # the error that led here is being raised
                    self._leave()
                raise
            self._leave()

    def execute(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Run one statement inside the open transaction and return its rows."""
        assert self._writer == threading.get_ident(), "writing needs a transaction"
        with self.errors():
            return self._write(sql, values)

    def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Run one statement per row inside the open transaction."""
        assert self._writer == threading.get_ident(), "writing needs a transaction"
        if rows:
            with self.errors():
                self._write_many(sql, rows)

    def query(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Read rows; inside a transaction it sees what that transaction has written."""
        self._check_process()
        with self.errors():
            return self._write(sql, values) if self._writer == threading.get_ident() else self._read(sql, values)

    def lookup(self, sql: str, keys: Iterable[str], values: Sequence[object] = ()) -> Iterator[Row]:
        """Rows of `sql`, which ends in `IN`, for any number of keys; `values` come before the keys."""
        for some in chunks(keys, LOOKUP):
            yield from self.query(f"{sql} ({marks(some)})", (*values, *some))

    def next_number(self, table: str) -> int:
        """The number of the next row; writers take turns, so nobody else gives it away."""
        return int(self.query(f"SELECT coalesce(max(number), 0) + 1 FROM {table}")[0][0])

    def close(self) -> None:
        """Leave, and close the connections; in a forked process they are the other one's, and left alone."""
        if self._process == os.getpid():
            with self._turn, self.errors():
                self._close()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """What the driver raises becomes a StoreError with the place, the cause and the next step."""
        try:
            yield
        except self.refusals as error:
            raise StoreError(f"{self.where}: ledger: {self.cause(error)}") from error
        except self.failures as error:
            message = f"{self.where}: ledger: {self.cause(error)}; {self.next_step(error)}"
            raise DatabaseError(message, self._depth > 0 and self.passing(error)) from error

    def cause(self, error: Exception) -> str:
        return str(error)

    @abstractmethod
    def next_step(self, error: Exception) -> str:
        """What the user can do about an error of the driver."""

    def passing(self, error: Exception) -> bool:  # noqa: ARG002
        """Whether what failed within a transaction may work in another one."""
        return False

    @abstractmethod
    def version(self) -> int:
        """Version of the tables; 0 where there are none."""

    @abstractmethod
    def create(self, statements: Iterable[str], version: int) -> None:
        """Run the schema's statements inside the open transaction; {number}, {serial} and {keyed} are the dialect's."""

    @abstractmethod
    def join(self) -> None:
        """Be seen as alive under `worker` by the other workers, until this process ends, however it ends."""

    @abstractmethod
    def alive(self, names: Iterable[str]) -> set[str]:
        """Those workers that live. Needs no clock."""

    @abstractmethod
    def tidy(self, holders: set[str]) -> None:
        """Forget workers that are dead and hold nothing."""

    @abstractmethod
    def _close(self) -> None: ...

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _commit(self) -> None: ...

    @abstractmethod
    def _rollback(self) -> None:
        """End the transaction without a trace; raises nothing, because the reason is on its way already."""

    @abstractmethod
    def _write(self, sql: str, values: Sequence[object]) -> list[Row]: ...

    @abstractmethod
    def _write_many(self, sql: str, rows: Sequence[Sequence[object]]) -> None: ...

    @abstractmethod
    def _read(self, sql: str, values: Sequence[object]) -> list[Row]: ...

    def _enter(self) -> None:
        if self._depth == 0:
            with self.errors():
                self._begin()
            self._writer, self._doomed = threading.get_ident(), False
        self._depth += 1

    def _leave(self) -> None:
        """End the transaction, if this was its outermost part. Raises StoreError where nothing of it is kept."""
        if self._depth > 1:
            self._depth -= 1
            return
        try:
            if self._doomed:
                raise StoreError(f"{self.where}: ledger: a part of the transaction failed; nothing of it is kept")
            with self.errors():
                self._commit()
        except StoreError:
            self.rollbacks += 1
            self._rollback()
            raise
        finally:
            self._depth, self._writer = 0, None

    def _check_process(self) -> None:
        if self._process != os.getpid():
            raise StoreError(f"{self.where}: ledger: opened before the process forked; open it in the new process")


def marks(values: Sequence[object]) -> str:
    """Placeholders for the values of an `IN`."""
    return ", ".join("?" * len(values))
