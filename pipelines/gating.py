"""The gates of a night: what of its tables is measured, against which earlier night, and what becomes of the result.

What a table is compared with is read past the night's own record of sources: no row is made from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from features.answer_measures import ExampleMeter, measure_generated, measure_partitions, measure_prompts
from features.corpus import Corpus
from features.drift import vector_drift
from features.gates import check_tables, raise_if_any_failed
from features.list_measures import ListMeter, measure_codes
from features.measures import MEASURES, Measured, against_before, against_ids, against_vectors
from features.readers import Source
from features.table_measures import (
    EVENT_COLUMNS,
    EventLimits,
    EventSummary,
    measure_catalogue,
    measure_events,
    measure_splits,
    summarize_events,
)
from pipelines.increments import night_before
from pipelines.night import Night, end_of
from schemas.expectations import (
    Suite,
    catalogue_suite,
    code_suite,
    drift_suite,
    embedding_suite,
    event_suite,
    generated_suite,
    instruction_suite,
    neighbour_suite,
    partition_suite,
    prompt_suite,
    recommendation_suite,
    split_suite,
)
from schemas.records import KINDS

SWITCHES = {"vector_drift": "embeddings"}  # suite -> the table whose switch it has
SAME_FOR_ALL = ("popularity",)  # recommenders that give everyone the same list


def gate(night: Night, name: str, checks: Sequence[tuple[Suite, Measured]]) -> None:
    """Judge what was measured, record every suite's result, and write the Data Docs `name`.

    A suite that the run file switches off is not run. Raises GateError with all that fails.
    """
    run = [(suite, measured) for suite, measured in checks if is_on(night, suite.table)]
    if not run:
        return
    reports = check_tables(run, night.folder / "data_docs" / name)
    for report in reports:
        night.record(f"gate-{report.table}", report.to_json(relative_to=night.folder))
    raise_if_any_failed(reports)


def gate_rows(night: Night, suite: Suite, frame: pl.DataFrame) -> None:
    """`gate` of one table whose rows are judged."""
    gate(night, suite.table, [(suite, Measured(MEASURES[suite.table](frame), frame.height))])


def is_on(night: Night, table: str) -> bool:
    """Whether a table has a gate; that it has none is said."""
    name = SWITCHES.get(table, table)
    if getattr(night.run.gates.tables, name).enabled:
        return True
    night.progress.say(f"gate of {table}: switched off by gates.tables.{name}.enabled of {night.run.file}")
    return False


def gate_source(night: Night, source: Source) -> None:
    """Judge users, items and interactions before any of them is published. Raises GateError."""
    gates = night.run.gates
    checks = []
    for name, frame in (("users", source.users), ("items", source.items)):
        measured = measure_catalogue(frame, _before(night, name), gates.min_compared)
        checks.append((catalogue_suite(name, getattr(gates.tables, name)), measured))
    limits = EventLimits(end_of(night.ds), gates.tables.interactions.earliest, gates.min_compared)
    ids = {"user": source.users["id"], "item": source.items["id"]}
    events = measure_events(source.interactions, ids, source.rejects.height, _events_before(night), limits)
    gate(night, "ingest", [*checks, (event_suite(gates), events)])


def gate_splits(night: Night, splits: pl.DataFrame) -> None:
    """Judge the parts of the interactions. Raises GateError."""
    ids, settings = _ids(night), night.run.split
    parts = _before(night, "splits", ["part"])
    before = None if parts is None else dict(parts["part"].value_counts().rows())
    ordered = settings.rule == "time" and not (settings.cold_items or settings.cold_users)
    measured = measure_splits(splits, ids, before, end_of(night.ds), ordered, night.run.gates.min_compared)
    gate(night, "splits", [(split_suite(night.run.gates), measured)])


def with_profiles_before(night: Night, profiles: pl.DataFrame, reread: bool) -> pl.DataFrame:
    """The profiles, and whether each is another text than the night before by the same call (`changed`).

    Nothing is compared where answers are `reread` on purpose.
    """
    columns = ["kind", "id", "recipe", "field", "key", "text"]
    return against_before(profiles, None if reread else _before(night, "profiles", columns), "key", "text")


def gate_answers(night: Night, tables: Mapping[str, pl.DataFrame], compared: Sequence[str]) -> None:
    """Judge what was asked and made of it beside texts: prompts, and the generated items and partitions there are.

    `compared`: the recipes that ask for everyone every night. Raises GateError.
    """
    ids, end, prompts = _ids(night), end_of(night.ds), tables["prompts"]
    before = _rows_before(night, "prompts", "recipe", compared)
    checks = [(prompt_suite(night.run.gates), measure_prompts(prompts, ids, before, end))]
    if (generated := tables.get("generated_items")) is not None and generated.height:
        checks.append((generated_suite(), measure_generated(generated, ids)))
    if (partitions := tables.get("partitions")) is not None and partitions.height:
        checks.append((partition_suite(), measure_partitions(partitions, ids, end)))
    gate(night, "answers", checks)


def gated_examples(night: Night, blocks: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The blocks of `instructions` as they come; raises GateError after the last, before they are published."""
    if not is_on(night, "instructions"):
        yield from blocks
        return
    meter = ExampleMeter(_ids(night))
    yield from meter.through(blocks)
    before = _rows_before(night, "instructions", "name", [entry.name for entry in night.run.instructions])
    gate(night, "instructions", [(instruction_suite(night.run.gates), meter.measured(before))])


def gate_embeddings(night: Night, frame: pl.DataFrame) -> None:
    """Judge tonight's vectors row by row, and every source of them against the night before. Raises GateError."""
    gates, columns = night.run.gates, ["kind", "id", "source", "text_hash", "vector"]
    before = _before(night, "embeddings", columns, pl.col("source").is_in(frame["source"].unique().implode()))
    ids = _ids(night)
    judged = against_ids(against_vectors(frame.select(columns), before), ids)
    checks = [(embedding_suite(gates), Measured(MEASURES["embeddings"](judged), frame.height))]
    if before is not None and before.height:
        sizes = {kind: len(each) for kind, each in ids.items()}, _sizes(night, night_before(night, "embeddings"))
        found = vector_drift(frame, before, sizes, gates.tables.embeddings.sampled, gates.min_compared)
        checks += [(drift_suite(gates), found)] if found.rows else []
    gate(night, "embeddings", checks)


def gate_codes(night: Night, codes: pl.DataFrame) -> None:
    """Judge tonight's semantic ids. Raises GateError."""
    columns = ["name", "id", "fit", "codes"]
    measured = measure_codes(codes, _ids(night)["item"], _before(night, "semantic_ids", columns))
    gate(night, "semantic_ids", [(code_suite(), measured)])


def gated_lists(
    night: Night, corpus: Corpus, blocks: Iterable[pl.DataFrame], name: str, recommender: str
) -> Iterator[pl.DataFrame]:
    """The blocks of `recommendations` as they come; raises GateError after the last, before they are published."""
    shape, known = (corpus.num_users, corpus.num_items), corpus.edges
    personal = (corpus.train.user_degree > 0) & (recommender not in SAME_FOR_ALL)
    meter = ListMeter(
        ("user_id", "item_id"),
        corpus.ids("user"),
        corpus.ids("item"),
        night.run.recommend.k,
        np.unique(known[0] * shape[1] + known[1]),
        personal,
    )
    suite = recommendation_suite(night.run.gates)
    yield from _gated(night, suite, meter, blocks, name)


def gated_neighbours(night: Night, corpus: Corpus, blocks: Iterable[pl.DataFrame], name: str) -> Iterator[pl.DataFrame]:
    """The blocks of `neighbours` as they come; raises GateError after the last, before they are published."""
    own = np.arange(corpus.num_items, dtype=np.int64) * (corpus.num_items + 1)
    items, nobody = corpus.ids("item"), np.zeros(corpus.num_items, dtype=bool)
    meter = ListMeter(("item_id", "neighbour_id"), items, items, night.run.recommend.neighbours, own, nobody)
    yield from _gated(night, neighbour_suite(night.run.gates), meter, blocks, name)


def _gated(
    night: Night, suite: Suite, meter: ListMeter, blocks: Iterable[pl.DataFrame], model: str
) -> Iterator[pl.DataFrame]:
    if not is_on(night, suite.table):
        yield from blocks
        return
    yield from meter.through(blocks)
    before = _before(night, suite.table, ["model", meter.columns[1]])
    same = before is not None and before["model"].unique().to_list() == [model]
    distinct = before[meter.columns[1]].n_unique() if same and before is not None else None
    gate(night, suite.table, [(suite, meter.measured(distinct))])


def _ids(night: Night) -> dict[str, pl.Series]:
    """Tonight's users and items."""
    return {kind: night.store.read(f"{kind}s", night.ds, columns=["id"])["id"] for kind in KINDS}


def _before(
    night: Night, table: str, columns: Sequence[str] | None = None, where: pl.Expr | None = None
) -> pl.DataFrame | None:
    """A table as the night before has published it; None where there is none."""
    ds = night_before(night, table)
    return None if ds is None else night.store.read(table, ds, columns=columns, where=where)


def _rows_before(night: Night, table: str, column: str, names: Sequence[str]) -> dict[str, int]:
    """Rows of the night before by name, of those that have enough to be compared."""
    before = _before(night, table, [column], pl.col(column).is_in(list(names)))
    counts = {} if before is None else dict(before[column].value_counts().rows())
    return {name: count for name, count in counts.items() if count >= night.run.gates.min_compared}


def _events_before(night: Night) -> EventSummary | None:
    """The interactions of the night before in figures, and the rows that its `ingest` could not use."""
    ds = night_before(night, "interactions")
    if ds is None:
        return None
    there = night.store.read("interactions", ds, where=pl.lit(False)).columns
    events = night.store.read("interactions", ds, columns=[name for name in EVENT_COLUMNS if name in there])
    rejects = pl.col("step") == "ingest"
    found = night.store.read("rejects", ds, columns=["step"], where=rejects) if _has(night, "rejects", ds) else None
    return summarize_events(events, 0 if found is None else found.height)


def _sizes(night: Night, ds: str | None) -> Mapping[str, int]:
    """How many users and items a night has."""
    names = {kind: f"{kind}s" for kind in KINDS}
    return {
        kind: night.store.read(name, ds, columns=["id"]).height for kind, name in names.items() if _has(night, name, ds)
    }


def _has(night: Night, table: str, ds: str | None) -> bool:
    return ds is not None and night.store.exists(table, ds)
