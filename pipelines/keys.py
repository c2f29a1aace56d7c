"""Keys that Airflow keeps: the passwords of its connections, for as long as one task works."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import ConfigError
from schemas.run import Run


def connection_keys(run: Run) -> dict[str, str]:
    """Environment variable -> password of the connection that `airflow.connections` names for it.

    Works inside a task or trigger alone. Raises ConfigError for a connection that is not there or has no password.
    """
    return {name: _password(run, name, connection) for name, connection in run.airflow.connections.items()}


@contextmanager
def keys_of(run: Run) -> Iterator[None]:
    """While the block runs, this process alone has the passwords in its environment."""
    keys = connection_keys(run)
    before = {name: os.environ.get(name) for name in keys}
    os.environ.update(keys)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _password(run: Run, name: str, connection: str) -> str:
    from airflow.sdk.bases.hook import BaseHook  # only where a task has Airflow around it
    from airflow.sdk.exceptions import AirflowException

    where = f"{run.file}: airflow.connections.{name}: {connection}"
    try:
        found = BaseHook.get_connection(connection)
    except AirflowException:
        raise ConfigError(f"{where}: Airflow has no such connection; add it, with the key as its password") from None
    if not found.password:
        raise ConfigError(f"{where}: the connection has no password; put the key there")
    return str(found.password)
