"""Held-out interactions reach no prompt, no feature and no model choice: a canary is planted in the test part alone."""

import sqlite3
from pathlib import Path

import polars as pl
from safetensors.numpy import load_file

from features.store import DeltaStore
from pipelines.job import run_night
from tests.support.small_world import books, events

CANARY, OTHER = "b38", "b39"  # no event of the small world has them
DS = "2026-01-01"


def with_test_item(item: str) -> list[tuple[str, str, int]]:
    """Every reader's last event, which leave-one-out holds out for test, is `item`; it lies before the night."""
    return [*events(), *((f"r{reader:02}", item, 1_750_000_000 + reader) for reader in range(38))]


def weights(lake: Path) -> list[dict[str, list[float]]]:
    files = sorted((lake / "_work" / "models").glob("*/*/*.safetensors"), key=lambda file: file.parent.parent.name)
    return [
        {name: x.tolist() for name, x in load_file(file).items() if not name.startswith("known_")}  # masks, all parts
        for file in files
        if "checkpoint" not in file.name
    ]


def test_a_canary_in_the_test_part_changes_nothing_but_the_test_metrics(world) -> None:
    one, other = world(with_test_item(CANARY), folder="canary"), world(with_test_item(OTHER), folder="other")
    first, second = run_night(one, ds=DS), run_night(other, ds=DS)
    title = books().filter(pl.col("id") == CANARY)["title"][0]

    calls = sqlite3.connect(one.parent / "lake" / "_work" / "ledger.sqlite").execute("SELECT kind, id, user FROM calls")
    prompts = calls.fetchall()
    assert len(prompts) >= 70
    assert [(kind, id) for kind, id, text in prompts if title in text] == [("item", CANARY)]  # its own catalogue row

    lakes = [DeltaStore(str(file.parent / "lake")) for file in (one, other)]
    for table in ("prompts", "profiles", "embeddings"):
        left, right = (lake.read(table, ds=DS).drop("split_id", strict=False) for lake in lakes)
        keys = ["kind", "id", *({"recipe", "field", "source"} & set(left.columns))]
        assert left.sort(keys).equals(right.sort(keys)), table

    assert weights(one.parent / "lake") == weights(other.parent / "lake")
    assert [(m["name"], m["valid"]) for m in first["models"]] == [(m["name"], m["valid"]) for m in second["models"]]
    chosen = [lake.read("recommendations", ds=DS)["model"][0] for lake in lakes]
    assert chosen[0] == chosen[1]


def test_the_canary_is_really_held_out(world) -> None:
    """The other side of the proof: the same event in train does reach the readers' prompts."""
    early = [(user, item, time - 1_000_000_000) for user, item, time in with_test_item(CANARY)[-38:]]
    file = world([*events(), *early], folder="early")
    run_night(file, step="ingest", ds=DS)
    run_night(file, step="split", ds=DS)
    run_night(file, step="generate", ds=DS)
    title = books().filter(pl.col("id") == CANARY)["title"][0]
    ledger = sqlite3.connect(file.parent / "lake" / "_work" / "ledger.sqlite")
    users = [text for (text,) in ledger.execute("SELECT user FROM calls WHERE kind = 'user'")]
    assert sum(title in text for text in users) >= 10
