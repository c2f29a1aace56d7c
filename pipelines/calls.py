"""The table `calls`: every call behind published rows, copied from the ledger once and never made again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields

import polars as pl
import pyarrow as pa

from language_models.ledger import Account, Ledger
from pipelines.night import Night
from schemas.chunks import chunks

CHUNK = 10_000  # calls per commit: what is in memory at a time


def publish_calls(night: Night, ledger: Ledger, tables: Mapping[str, pl.DataFrame], prompts: pl.DataFrame) -> int:
    """Append the calls behind tonight's tables, and those whose answer can never be used; returns how many are new.

    A call that may still be asked again is left out: its row would stay as it is now.
    """
    told = _new(night, pl.concat([frame["key"] for frame in tables.values()] or [pl.Series(dtype=pl.String)]))
    others = _new(night, prompts["key"])
    final = ledger.settled(key for key in others if key not in told)
    return _append(night, ledger, [*told, *final])


def _new(night: Night, keys: pl.Series) -> dict[str, None]:
    """The keys that the table does not have, each once."""
    distinct = keys.filter(keys != "").unique(maintain_order=True).to_frame("key")
    if night.store.exists("calls"):
        distinct = distinct.join(
            night.store.read("calls", columns=["key"]), on="key", how="anti", maintain_order="left"
        )
    return dict.fromkeys(distinct["key"].to_list())


def _append(night: Night, ledger: Ledger, keys: Iterable[str]) -> int:
    added = 0
    for some in chunks(ledger.accounts(keys), CHUNK):
        added += night.append("calls", _frame(some).with_columns(night=pl.lit(night.ds)))
    return added


def _frame(accounts: Sequence[Account]) -> pl.DataFrame:
    """By columns and through Arrow: rows as dicts, and lists one by one, would take several times as long."""
    values = {each.name: [getattr(account, each.name) for account in accounts] for each in fields(Account)}
    return pl.DataFrame(pa.table(values))
