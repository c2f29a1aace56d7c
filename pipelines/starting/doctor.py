"""`loregraph doctor`: what stands in the way of a night, and what to do about each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.starting.check import Check
from pipelines.starting.machine import check_clock, check_disk, check_gpu, check_java
from pipelines.starting.packages import check_packages, check_python, requirements

MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def examine(file: Path | None = None, lake: str | None = None, call: bool = False) -> dict[str, Any]:
    """All checks, of the machine alone or of a run file too; `healthy` where none failed.

    With `call` an endpoint is asked for one token, which is paid; without it nothing is.
    """
    checks = list(_of_machine(lake) if file is None else _of_run(file, lake, call))
    return {"healthy": all(check.state != "fail" for check in checks), "checks": [check.to_json() for check in checks]}


def lines(found: dict[str, Any]) -> list[str]:
    """A line per check, behind it what to do, and a last line in words."""
    said: list[str] = []
    for check in found["checks"]:
        said.append(f"{MARKS[check['state']]}  {check['name']}: {check['found']}")
        said += [f"      -> {check['next']}"] if check["next"] else []
    states = [check["state"] for check in found["checks"]]
    failed, warned = states.count("fail"), states.count("warn")
    worth = f", {warned} worth a look" if warned else ""
    said.append("nothing stands in the way" + worth if not failed else f"{failed} must be mended{worth}")
    return said


def _of_machine(lake: str | None) -> Iterator[Check]:
    yield check_python()
    yield from check_packages(requirements(), None)
    yield check_java(needed=False)
    yield check_gpu()
    yield check_disk("disk", Path(lake or ".").resolve())
    yield check_clock()


def _of_run(file: Path, lake: str | None, call: bool) -> Iterator[Check]:
    from pipelines.starting.run_checks import check_data, check_ledger, check_nights, loaded, needed_extras

    run, check = loaded(file, lake)
    yield check
    yield check_python()
    yield from check_packages(requirements(), None if run is None else needed_extras(run))
    if run is None:
        return
    from pipelines.night import work_folder
    from pipelines.starting.language import check_encoder, check_endpoint, places

    yield check_java(needed=run.engine.tables == "spark")
    yield check_gpu(run.device)
    folders = {"lake": Path(run.lake), "work": work_folder(run)}
    yield from (check_disk(name, folder) for name, folder in folders.items() if "://" not in str(getattr(run, name)))
    yield check_data(run.data)
    elsewhere: datetime | None = None
    for place in places(run):
        for found in check_endpoint(place, call):
            if isinstance(found, datetime):
                elsewhere = found
            else:
                yield found
    yield check_clock(elsewhere)
    if any(model.features for model in run.models) or run.semantic_ids:
        yield check_encoder(run.encoder)
    yield check_ledger(run)
    yield from check_nights(run)
