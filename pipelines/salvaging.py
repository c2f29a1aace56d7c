"""`loregraph salvage`: the ledger of a run file, as far as it can still be read, in the place of a damaged one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from language_models.ledger.salvage import salvage
from pipelines.night import work_folder
from schemas.errors import ConfigError
from schemas.run import load_run


def salvage_ledger(file: Path, lake: str | None = None) -> dict[str, Any]:
    """Salvage the run's ledger and return what became of it. Raises the errors of `language_models.ledger.salvage`."""
    run = load_run(file, lake=lake)
    if run.llm.ledger:
        raise ConfigError(f"{file}: llm.ledger: salvage reads a ledger in a file; restore a copy of the database")
    ledger = work_folder(run) / "ledger.sqlite"
    return {"ledger": str(ledger), **asdict(found := salvage(ledger)), "damaged": str(found.damaged)}


def lines(found: dict[str, Any]) -> list[str]:
    """What became of the ledger, in words."""
    kept = f"{found['ledger']}: {found['answers']:,} answers and {found['calls']:,} calls are kept"
    again = f"{found['asked_again']:,} calls will be asked again" if found["asked_again"] else "nothing is asked again"
    return [
        f"{kept}, {found['answers_lost']:,} answers are lost; {again}",
        f"the damaged file is {found['damaged']}; `loregraph night` goes on from here",
    ]
