"""Two nights of a small world for the page: two models, answers that cannot be read, hostile titles, ids and texts."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from pipelines.job import run_night
from schemas.sections.gates import GateTables
from tests.support.small_world import RUN, books, events

FIRST, LAST = "2026-01-01", "2026-01-02"
SCRIPT = "<script>window.hacked=1</script>"
IMAGE = '"><img src=x onerror="window.hacked=1">'
CLOSING = "</title></textarea></script><svg onload=window.hacked=1>"
TEMPLATE = "{{7*7}}${7*7}{% raise %}"
HIDDEN = "ab\u202egnp.exe\u0007\u0000\u2066end"
LINK = "javascript:window.hacked=1"
LONG = "long " * 200_000  # a megabyte
TITLES = {
    "b00": f"The Crypt {SCRIPT}",
    "b01": IMAGE,
    "b02": CLOSING,
    "b03": TEMPLATE,
    "b04": HIDDEN,
    "b05": f"[read]({LINK}) <a href='{LINK}'>more</a>",
}
HOSTILE_ITEM, HOSTILE_USER = 'b"><img src=x onerror=window.hacked=1>', "r/../../etc/passwd?x=<script>"
UNREADABLE, UNANSWERED, NAMELESS = "b06", "b07", "b08"
STEPS = ("ingest", "split", "generate")
MODELS = {FIRST: "small-model", LAST: "large-model"}


def page_run(model: str) -> str:
    """The run file of a night whose answers come from a model."""
    recorded = f'[llm]\nengine = "recorded"\nanswers = "answers.parquet"\nmodel = "{model}"\n'
    once = '[[recipes]]\nname = "once.item"\noptions = { noun = "book" }\n'
    unseen = "".join(f"[gates.tables.{name}]\nenabled = false\n" for name in GateTables.model_fields)
    return RUN.replace('name = "mini"', 'name = "paged"').replace("[gates]\n", f"{once}[gates]\n") + recorded + unseen


def hostile_nights(home: Path) -> Path:
    """Make the world in a folder and live its two nights up to their texts; returns the run file."""
    (home / "data").mkdir(parents=True)
    catalogue().write_parquet(home / "data" / "items.parquet")
    readings().write_parquet(home / "data" / "interactions.parquet")
    answers().write_parquet(home / "answers.parquet")
    for ds, model in MODELS.items():
        (home / "run.toml").write_text(page_run(model), encoding="utf-8")
        for step in STEPS:
            run_night(home / "run.toml", step=step, ds=ds)
    return home / "run.toml"


def catalogue() -> pl.DataFrame:
    """The books, some with titles and an id that want to be run, and one of which nothing is known."""
    id = pl.col("id").replace({"b09": HOSTILE_ITEM})
    title = pl.col("id").replace_strict(TITLES, default=pl.col("title"))
    nothing = pl.col("id") == NAMELESS
    blank = [pl.when(~nothing).then(name).alias(name) for name in ("title", "subjects")]
    return books().with_columns(title=title).with_columns(blank).with_columns(id=id)


def readings() -> pl.DataFrame:
    """The events under the same ids, and two rows that cannot be used."""
    rows: list[tuple[str | None, str, int]] = [(_reader(user), _book(item), time) for user, item, time in events()]
    rows += [(None, "b01", 1_700_000_000), ("r01", "b10", -1)]
    return pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")


def answers() -> pl.DataFrame:
    """What two models say of every book and reader; of one book no JSON, of one nothing."""
    items = [_book(id) for id in books()["id"] if id != UNANSWERED]
    users = sorted({_reader(user) for user, _, _ in events()})
    subjects = [("item", id) for id in items] + [("user", id) for id in users]
    rows = [(kind, id, model, _answer(kind, id, model)) for kind, id in subjects for model in MODELS.values()]
    return pl.DataFrame(rows, schema=["kind", "id", "model", "raw"], orient="row")


def _answer(kind: str, id: str, model: str) -> str:
    if id == UNREADABLE:
        return f"I would rather not. {SCRIPT}"
    size = "short tale" if model == MODELS[FIRST] else "long and winding tale"
    said = f"{'Readers of' if kind == 'item' else 'Likes'} {id}: a {size} of crypts and voyages. {SCRIPT} {IMAGE}"
    if id == "b10":
        said += " " + LONG
    return json.dumps({"summarization": said, "reasoning": f"Said by {model}. {TEMPLATE}", "description": said})


def _book(id: str) -> str:
    return HOSTILE_ITEM if id == "b09" else id


def _reader(id: str) -> str:
    return HOSTILE_USER if id == "r09" else id
