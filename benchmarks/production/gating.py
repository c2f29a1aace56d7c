"""What the gates let through: ten faulty nights, 200 planted faults, 30 clean nights.

A faulty night is a whole one, from files or tables that are wrong; a planted fault stands in the rows in front of one
gate. Nights are those of `benchmarks.production.gate_world`.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from deltalake import write_deltalake
from safetensors.numpy import load_file, save_file

from benchmarks.figures import Figure, at_least, exactly, stated
from benchmarks.production.gate_world import STEPS, World, change_some, make_world, night_of
from benchmarks.production.planted import KINDS, Fault, faults
from features.measures import against_asked, against_ids
from features.readers import Source
from features.store import DeltaStore
from pipelines import gating
from pipelines.night import Night, open_night
from schemas.errors import GateError, LoregraphError
from schemas.expectations import profile_suite
from schemas.run import load_run

READERS = 300
CAUGHT = 0.95
Run = Callable[[World, str, str], int]  # a night from a step on -> the exit code
HALF = pl.int_range(pl.len()) % 2 == 0  # of the rows
GERMAN = (
    "Dieser Eintrag Nummer {} wird von Menschen gelesen, die sehr gerne lange Abende mit alten Geschichten verbringen."
)


@dataclass(frozen=True)
class FaultyNight:
    """What goes wrong, where the night must stop, and what is done before that step to make it go wrong."""

    name: str
    table: str  # whose gate must stop it
    before: str  # the step
    spoil: Callable[[World], None]


def gating_figures(folder: Path) -> list[Figure]:
    """The full form: 30 nights, then every faulty night by the command line, and 200 faults."""
    return _figures(make_world(folder / "world", READERS), 30, FAULTY_NIGHTS, _by_command, 200)


def check_gating_figures(folder: Path) -> list[Figure]:
    """The short form: four nights, then four faulty ones in this process, and a fault of every second kind."""
    some = [each for each in FAULTY_NIGHTS if each.name in SHORT]
    return _figures(make_world(folder / "world", 60), 4, some, _here, len(KINDS), every=2)


def _figures(
    world: World, clean: int, faulty: Sequence[FaultyNight], run: Run, planted: int, every: int = 1
) -> list[Figure]:
    """`planted` faults, or every second or third of them."""
    found = [*_clean_nights(world, clean), *_faulty_nights(world, clean, faulty, run)]
    return [*found, *_planted(world, night_of(clean - 1), list(faults(planted))[::every])]


def _faulty_nights(world: World, number: int, nights: Sequence[FaultyNight], run: Run) -> list[Figure]:
    """Each is night `number`, in a copy of the world with the clean nights before it."""
    ds, last, figures = night_of(number), night_of(number - 1), list[Figure]()
    for place, each in enumerate(nights):
        mine = world.copy(world.home.parent / f"faulty-{place}")
        for step in STEPS[: STEPS.index(each.before)]:
            mine.night(ds, [step])
        yesterday = _content(mine.store, last)
        each.spoil(mine)
        code = run(mine, ds, each.before)
        stopped = not mine.store.exists(each.table, ds)
        kept = _content(mine.store, last) == yesterday
        figures.append(exactly("faulty", f"{each.name}: exit code", code, 3))
        what = f"{each.name}: {each.table} is not published, yesterday's rows are as they were"
        figures.append(exactly("faulty", what, int(stopped and kept), 1))
    return figures


def _here(world: World, ds: str, first: str) -> int:
    """The exit code of the steps of a night from one on, run in this process."""
    try:
        world.night(ds, STEPS[STEPS.index(first) :])
    except LoregraphError as error:
        return error.exit_code
    return 0


def _by_command(world: World, ds: str, first: str) -> int:
    """The exit code of `loregraph` for the first step of the rest of a night that does not end with 0."""
    for step in STEPS[STEPS.index(first) :]:
        command = [sys.executable, "-m", "pipelines.cli", step, "--run", str(world.file), "--ds", ds]
        if code := subprocess.run(command, check=False, capture_output=True).returncode:
            return code
    return 0


def _content(store: DeltaStore, ds: str) -> Mapping[str, int]:
    """What every table has of a night, as a sum of hashes of its rows."""
    names = [name for name in store.names() if ds in store.partitions(name) and name != "lineage"]
    return {name: int(store.read(name, ds).hash_rows().sum()) for name in names}


def _edit(name: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[World], None]:
    """Change a source file."""

    def spoil(world: World) -> None:
        frame = change(pl.read_parquet(world.data(name)))
        frame.write_parquet(world.data(name))

    return spoil


def _half_catalogue(world: World) -> None:
    """Every second book is gone, and its events with it."""
    gone = pl.read_parquet(world.data("items")).filter(HALF)["id"].implode()
    _edit("items", lambda frame: frame.filter(~pl.col("id").is_in(gone)))(world)
    _edit("interactions", lambda frame: frame.filter(~pl.col("item_id").is_in(gone)))(world)


def _vectors(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[World], None]:
    """Rewrite the table of all vectors."""

    def spoil(world: World) -> None:
        frame = world.store.read("vectors")
        table = change(np.stack([each.to_numpy() for each in frame["vector"]]))
        new = pl.Series("vector", table.astype(np.float32).tolist(), dtype=pl.List(pl.Float32))
        rows = frame.with_columns(new).to_arrow(compat_level=pl.CompatLevel.oldest())
        write_deltalake(f"{world.store.root}/vectors", rows, mode="overwrite")

    return spoil


def _answers(text: Callable[[int], str]) -> Callable[[World], None]:
    """Let another model answer: every book and reader gets a text of its number."""

    def spoil(world: World) -> None:
        about = [("item", id) for id in pl.read_parquet(world.data("items"))["id"]]
        about += [("user", id) for id in pl.read_parquet(world.data("users"))["id"]]
        rows = [
            (kind, id, field, text(number), "offline")
            for number, (kind, id) in enumerate(about)
            for field in ("summarization", "reasoning")
        ]
        schema = ["kind", "id", "field", "text", "model"]
        pl.DataFrame(rows, schema=schema, orient="row").write_parquet(world.home / "answers.parquet")
        run = world.file.read_text(encoding="utf-8")
        llm = '\n[llm]\nengine = "recorded"\nanswers = "answers.parquet"\n'
        world.file.write_text(run + llm, encoding="utf-8")

    return spoil


def _collapse(world: World) -> None:
    """Every reader's vector becomes the same one in the models that wait to be published."""
    for file in (world.home / "lake" / "_work").rglob("vectors.safetensors"):
        tensors = load_file(file)
        tensors["user"] = np.repeat(tensors["user"][:1], len(tensors["user"]), axis=0)
        save_file(tensors, file)


def _shifted(table: np.ndarray) -> np.ndarray:
    """Every vector a little in one direction, and of unit norm again."""
    away = np.random.default_rng(0).normal(size=table.shape[1])
    moved = table + 0.3 * away / np.linalg.norm(away)
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True))


def _cut(table: np.ndarray) -> np.ndarray:
    """Half of the dimensions, of unit norm again."""
    half = table[:, : table.shape[1] // 2]
    return np.asarray(half / np.linalg.norm(half, axis=1, keepdims=True))


def _not_finite(table: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(table))[:, None] % 50 == 0, np.nan, table)


FAULTY_NIGHTS = (
    FaultyNight(
        "nulls: half of the titles",
        "items",
        "ingest",
        _edit("items", lambda frame: frame.with_columns(pl.when(HALF).then(None).otherwise("title").alias("title"))),
    ),
    FaultyNight("half-empty catalogue", "items", "ingest", _half_catalogue),
    FaultyNight(
        "half of the events", "interactions", "ingest", _edit("interactions", lambda frame: frame.filter(HALF))
    ),
    FaultyNight(
        "titles of other books",
        "items",
        "ingest",
        _edit("items", lambda frame: frame.with_columns(pl.col("title").shuffle(seed=0))),
    ),
    FaultyNight("copied profiles", "profiles", "generate", _answers(lambda _: "A reader of many good books.")),
    FaultyNight("drift: profiles in another language", "profiles", "generate", _answers(GERMAN.format)),
    FaultyNight("wrong dimension", "embeddings", "materialize", _vectors(_cut)),
    FaultyNight("vectors that are not finite", "embeddings", "materialize", _vectors(_not_finite)),
    FaultyNight("drift: vectors", "embeddings", "materialize", _vectors(_shifted)),
    FaultyNight("one list for everybody", "recommendations", "recommend", _collapse),
)
SHORT = ("half-empty catalogue", "copied profiles", "wrong dimension", "one list for everybody")


def _planted(world: World, ds: str, planted: Sequence[Fault]) -> list[Figure]:
    """Faults in the rows of a night, judged as that night judged them; misses are named."""
    night = open_night(load_run(world.file), ds)
    missed, caught = list[Fault](), list[Fault]()
    for fault in planted:
        rows = fault.plant(night.store.read(fault.table, night.ds))
        try:
            JUDGES[fault.table](night, rows)
        except GateError:
            caught.append(fault)
        else:
            missed.append(fault)
    found = [at_least("planted", f"{len(planted)} planted faults caught", len(caught) / len(planted), CAUGHT)]
    kinds = Counter((each.table, each.kind) for each in missed)
    of = Counter((each.table, each.kind) for each in [*missed, *caught])
    found.append(stated("planted", "kinds", f"{len(of)}, of which {len(of) - len(kinds)} were caught every time"))
    for (table, kind), times in sorted(kinds.items()):
        severities = ", ".join(f"{each.severity:.2g}" for each in missed if (each.table, each.kind) == (table, kind))
        found.append(stated("planted", f"missed: {table}: {kind}", f"{times} of {of[table, kind]} (at {severities})"))
    return found


def _judge_source(name: str) -> Callable[[Night, pl.DataFrame], None]:
    def judge(night: Night, rows: pl.DataFrame) -> None:
        tables = {each: night.store.read(each, night.ds) for each in ("users", "items", "interactions")} | {name: rows}
        none = pl.DataFrame(schema={"file": pl.String})
        gating.gate_source(night, Source(tables["users"], tables["items"], tables["interactions"], none))

    return judge


def _judge_profiles(night: Night, rows: pl.DataFrame) -> None:
    asked = night.store.read("profiles", night.ds).select("kind", "id", "recipe").unique(maintain_order=True)
    ids = {kind: night.store.read(f"{kind}s", night.ds)["id"] for kind in ("user", "item")}
    judged = against_asked(gating.with_profiles_before(night, rows, reread=False), asked)
    gating.gate_rows(night, profile_suite(night.run.gates), against_ids(judged, ids))


def _judge_prompts(night: Night, rows: pl.DataFrame) -> None:
    gating.gate_answers(night, {"prompts": rows}, [recipe.name for recipe in night.run.recipes])


def _judge_lists(night: Night, rows: pl.DataFrame) -> None:
    list(gating.gated_lists(night, night.corpus(), [rows], str(rows["model"][0]), "graph"))


def _judge_neighbours(night: Night, rows: pl.DataFrame) -> None:
    list(gating.gated_neighbours(night, night.corpus(), [rows], str(rows["model"][0])))


JUDGES: Mapping[str, Callable[[Night, pl.DataFrame], None]] = {
    **{name: _judge_source(name) for name in ("users", "items", "interactions")},
    "splits": gating.gate_splits,
    "prompts": _judge_prompts,
    "profiles": _judge_profiles,
    "embeddings": gating.gate_embeddings,
    "semantic_ids": gating.gate_codes,
    "recommendations": _judge_lists,
    "neighbours": _judge_neighbours,
}


def _clean_nights(world: World, count: int) -> list[Figure]:
    """Nights in a row with new events, new books and a few descriptions written anew; a false alarm is named."""
    alarms = list[str]()
    for number in range(count):
        try:
            world.night(night_of(number))
        except GateError as error:
            alarms.append(f"{night_of(number)}: {error}")
        change_some(world, number)
    found = [exactly("clean", f"false alarms in {count} clean nights", len(alarms), 0)]
    found += [stated("clean", "alarm", each) for each in alarms]
    return found if alarms else [*found, stated("clean", "growth", _growth(world, night_of(0), night_of(count - 1)))]


def _growth(world: World, first: str, last: str) -> str:
    tables = ("items", "interactions")
    sizes = [[world.store.read(name, ds).height for ds in (first, last)] for name in tables]
    return ", ".join(f"{old:,} to {new:,} {name}" for name, (old, new) in zip(tables, sizes, strict=True))
