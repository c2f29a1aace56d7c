"""A night with bad answers is measured, stopped by its gate and shown on the report; nothing of it is published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from features.store import DeltaStore
from pipelines.job import run_night
from pipelines.night import open_night
from pipelines.report.html import render
from pipelines.steps.reporting import build
from schemas.errors import ConfigError, GateError
from schemas.run import load_run
from tests.support.small_world import BOOKS, READERS, RUN

DS, LATER = "2026-01-01", "2026-01-08"
WORDS = ["sea", "wind", "storm", "harbour", "letter", "winter", "garden", "music", "river", "stone", "forest", "night"]
RECORDED = RUN.replace(
    "[[recipes]]", '[llm]\nengine = "recorded"\nanswers = "answers.parquet"\n[[recipes]]', 1
).replace("near_duplicates = 1\nlargest_cluster = 1\n", "")


def said(words: list[str], seed: int) -> str:
    """English of its own: no two seeds give nearly the same."""
    return "It is about " + " ".join(np.random.default_rng(seed).permutation(words)) + "."


def generic(reader: int) -> str:
    """The same for everybody but for the names."""
    books = f"The {'Crypt' if reader % 2 == 0 else 'Voyage'} of Number"
    return (
        f"Reader {reader} likes stories with strong characters and a good plot, such as {books}, and will enjoy any "
        "book that takes its time and ends well."
    )


@pytest.fixture
def nights(world: Callable[..., Path]) -> Callable[..., tuple[Path, DeltaStore]]:
    """Run a night up to `generate` with recorded answers: `users` and `items` make the text of each by number."""

    def run(users: Callable[[int], str], items: Callable[[int], str], ds: str = DS, run: str = RECORDED):
        file = world(run=run)
        texts = [("user", f"r{n:02}", users(n)) for n in range(READERS)]
        texts += [("item", f"b{n:02}", items(n)) for n in range(BOOKS)]
        frame = pl.DataFrame(texts, schema=["kind", "id", "text"], orient="row")
        frame.with_columns(field=pl.lit("summarization"), model=pl.lit("recorded-1")).write_parquet(
            file.parent / "answers.parquet"
        )
        (file.parent / "lake" / "_work" / "ledger.sqlite").unlink(missing_ok=True)  # or the answers of before would do
        for step in ("ingest", "split", "generate"):
            run_night(file, step=step, ds=ds)
        return file, DeltaStore(str(file.parent / "lake"))

    return run


def values(lake: DeltaStore, recipe: str, ds: str = DS) -> dict[str, float]:
    rows = lake.read("answer_quality", ds=ds).filter(recipe=recipe, field="summarization")
    return dict(rows.select("measure", "value").rows())


def report_of(file: Path, ds: str = DS) -> dict[str, Any]:
    return build(open_night(load_run(file), ds))


def own(number: int) -> str:
    return said(WORDS, number)


def item(number: int) -> str:
    return said(WORDS, 1000 + number)


def test_one_generic_text_for_all_users_fails_the_gate_and_publishes_nothing(nights, tmp_path) -> None:
    with pytest.raises(GateError) as raised:
        nights(generic, item)
    assert raised.value.exit_code == 3
    message = str(raised.value)
    assert "table answer_quality: 2 of 8 expectations failed" in message
    assert "answer_quality.near_duplicates: expected at most 0.2 in every field" in message
    assert "(for example rlmrec.user summarization: 1)" in message
    lake = DeltaStore(str(tmp_path / "world" / "lake"))
    assert not {"profiles", "prompts", "llm_edges"} & set(lake.names())
    assert lake.exists("rejects", DS)
    assert values(lake, "rlmrec.user")["largest_cluster"] == 1.0
    assert values(lake, "rlmrec.item")["near_duplicates"] == 0.0

    report = report_of(tmp_path / "world" / "run.toml")
    assert [gate["table"] for gate in report["gates"] if not gate["success"]] == ["answer_quality"]
    user = report["answers"]["fields"][-1]
    assert (user["recipe"], user["field"]) == ("rlmrec.user", "summarization")
    assert user["measures"]["near_duplicates"]["over"]
    (cluster,) = [row for row in report["answers"]["examples"] if row["measure"] == "near_duplicates"]
    assert (cluster["size"], cluster["ids"][0], cluster["text"]) == (READERS, "r00", generic(0))
    page = render(report)
    assert "✗ 100.0" in page
    assert "the version before stays live of answer_quality" in page


def test_own_texts_pass_and_the_same_night_again_measures_the_same(nights) -> None:
    file, lake = nights(own, item)
    assert values(lake, "rlmrec.user")["coverage"] == 1.0
    assert values(lake, "rlmrec.user")["near_duplicates"] == 0.0
    assert report_of(file)["answers"]["compared_with"] is None
    versions = {name: lake.version(name) for name in lake.names() if name.startswith("answer_")}
    assert set(versions) == {"answer_quality", "answer_examples"}
    run_night(file, step="generate", ds=DS)
    assert {name: lake.version(name) for name in versions} == versions


def test_a_title_that_no_prompt_showed_is_counted_and_one_that_was_shown_is_not(nights) -> None:
    _, lake = nights(own, item)
    prompts = lake.read("prompts", ds=DS).filter(recipe="rlmrec.user").sort("id")
    read = [int(ids[0][1:]) for ids in prompts["source_ids"].to_list()]  # the number of a book that each was shown
    named = [1, 0, *read[2:]]  # even readers are shown even books, and odd ones odd books

    def naming(number: int) -> str:
        return f"{own(number)} Liked The {'Voyage' if named[number] % 2 else 'Crypt'} of Number {named[number]}."

    _, lake = nights(naming, item)
    assert values(lake, "rlmrec.user")["unknown_items"] == 2 / READERS
    examples = lake.read("answer_examples", ds=DS).filter(measure="unknown_items")
    assert set(examples.select("said", pl.col("ids").list.first()).rows()) == {
        ("voyage of number 1", "r00"),
        ("crypt of number 0", "r01"),
    }


def test_other_words_than_a_week_before_by_the_same_model_are_drift_and_fail_the_gate(nights) -> None:
    _, lake = nights(own, item)
    live = lake.version("profiles")
    others = [f"{word[::-1]}ing" for word in WORDS]
    with pytest.raises(
        GateError, match=r"answer_quality.word_drift: expected at most 0.5 .*rlmrec.user summarization: 0"
    ):
        nights(lambda number: said(others, number), item, ds=LATER)
    assert lake.version("profiles") == live
    found = values(lake, "rlmrec.user", LATER)
    assert found["text_change"] == 1.0
    assert found["coverage_drop"] == 0.0
    assert values(lake, "rlmrec.item", LATER)["text_change"] == 0.0

    file, _ = nights(own, item, ds="2026-01-09")
    report = report_of(file, "2026-01-09")
    assert report["answers"]["compared_with"] == DS  # the failed night has published no profiles
    shown = [
        row for row in report["answers"]["nights"] if (row["recipe"], row["field"]) == ("rlmrec.user", "summarization")
    ]
    assert [row["ds"] for row in shown] == [DS, LATER, "2026-01-09"]


def test_thresholds_of_the_run_file_hold(nights) -> None:
    loose = RECORDED.replace("[quality]", "[quality]\nnear_duplicates = 1.0\nlargest_cluster = 1.0")
    _, lake = nights(generic, item, run=loose)
    assert values(lake, "rlmrec.user")["near_duplicates"] == 1.0
    with pytest.raises(ConfigError, match=r"quality\.language: qqq: unknown"):
        nights(own, item, run=RECORDED.replace("[quality]", '[quality]\nlanguage = "qqq"'))
