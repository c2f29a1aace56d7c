"""Tasks that have the run file's keys from Airflow's connections while they work."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from pipelines.keys import keys_of
from schemas.run import load_run

Rest = ParamSpec("Rest")
Result = TypeVar("Result")


def keyed(work: Callable[Rest, Result]) -> Callable[Rest, Result]:
    """The same task; `airflow.connections` of its run file are in its environment, and in no other one."""

    @functools.wraps(work)
    def with_keys(*args: Rest.args, **kwargs: Rest.kwargs) -> Result:
        file = str(kwargs.get("file") or args[0])
        with keys_of(load_run(Path(file))):
            return work(*args, **kwargs)

    return with_keys
