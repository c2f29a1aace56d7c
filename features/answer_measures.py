"""What the suites of what was asked and answered judge beside texts: prompts, partitions, generated items, examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import polars as pl

from features.grounding import STATUSES
from features.measures import Measured
from features.table_measures import SHOWN, Findings, some_rows

Ids = Mapping[str, pl.Series]  # kind -> the ids there are
ROLES = ("system", "user", "assistant")
LABELS = (0.0, 1.0)
FAULTS = ("empty_cells", "repeated_rows", "unknown_ids", "bad_messages", "bad_labels", "told")


def measure_prompts(prompts: pl.DataFrame, ids: Ids, before: Mapping[str, int], end: int) -> Measured:
    """Figures of what was asked, of the rules of `schemas.expectations.prompt_suite`.

    `before`: rows of the night before by recipe, where there are enough to compare with; `end`: unix seconds of the
    night's end, from which on no event may be behind a prompt.
    """
    found, subject = Findings(), pl.format("{} {}", pl.col("recipe").fill_null("?"), pl.col("id").fill_null("?"))
    found.note("rows", prompts.height)
    _note_empty(found, prompts, ("recipe", "version", "kind", "id", "part", "key", "split_id"), subject)
    _note_repeated(found, prompts, ("recipe", "kind", "id", "part"), subject)
    other = {"user": "item", "item": "user"}
    unknown = [_unknown(prompts.filter(pl.col("kind") == kind)["id"], kind, ids) for kind in ids]
    shown = [prompts.filter(pl.col("kind") == kind)["source_ids"].explode() for kind in ids]
    _note_unknown(found, [*unknown, *(_unknown(each, other[kind], ids) for kind, each in zip(ids, shown, strict=True))])
    found.note("split_ids", prompts["split_id"].n_unique())
    found.rows_where("after_night", prompts, pl.col("max_time") >= end, subject)
    _note_share(found, dict(prompts["recipe"].value_counts().rows()), before)
    return found.measured(prompts.height)


def measure_partitions(partitions: pl.DataFrame, ids: Ids, end: int) -> Measured:
    """Figures of closed partitions of histories, of the rules of `schemas.expectations.partition_suite`."""
    found, subject = Findings(), pl.format("{} part {}", pl.col("user_id").fill_null("?"), pl.col("part").fill_null(-1))
    found.note("rows", partitions.height)
    _note_empty(found, partitions, ("user_id", "recipe", "version", "part", "item_ids", "split_id"), subject)
    _note_repeated(found, partitions, ("recipe", "user_id", "part"), subject)
    _note_unknown(found, [_unknown(partitions["user_id"], "user", ids)])
    uneven = pl.col("fields").list.len() != pl.col("texts").list.len()
    found.rows_where("uneven", partitions, uneven | (pl.col("item_ids").list.len() == 0), subject)
    found.rows_where("backwards", partitions, pl.col("start_time") > pl.col("end_time"), subject)
    found.rows_where("after_night", partitions, pl.col("end_time") >= end, subject)
    return found.measured(partitions.height)


def measure_generated(generated: pl.DataFrame, ids: Ids) -> Measured:
    """Figures of items that a model made up, of the rules of `schemas.expectations.generated_suite`."""
    found, subject = Findings(), pl.format("{} {}", pl.col("user_id").fill_null("?"), pl.col("title").fill_null("?"))
    found.note("rows", generated.height)
    _note_empty(found, generated, ("user_id", "recipe", "rank", "title", "status", "key"), subject)
    _note_repeated(found, generated, ("recipe", "user_id", "rank"), subject)
    placed = generated.filter(pl.col("status") != "none")["item_id"].replace("", None)
    _note_unknown(found, [_unknown(generated["user_id"], "user", ids), _unknown(placed, "item", ids)])
    found.rows_where("bad_status", generated, ~pl.col("status").is_in(STATUSES), subject)
    lost = (pl.col("status") != "none") & (pl.col("item_id").fill_null("") == "")
    found.rows_where("unplaced", generated, lost, subject)
    found.rows_where("bad_scores", generated, ~pl.col("score").is_between(0.0, 1.0), subject)
    return found.measured(generated.height)


class ExampleMeter:
    """Counts what is wrong with instruction examples while their blocks go by, in the table's order."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._counts, self._examples = dict.fromkeys(FAULTS, 0), {name: list[str]() for name in FAULTS}
        self._rows: dict[str, int] = {}  # entry -> rows so far
        self._splits = set[str]()

    def through(self, blocks: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Give the blocks on, counted."""
        for block in blocks:
            if block.height:
                self._add(block)
            yield block

    def measured(self, before: Mapping[str, int]) -> Measured:
        """The figures of all blocks; `before`: rows of the night before by entry, where there are enough to compare."""
        found, rows = Findings(), sum(self._rows.values())
        found.note("rows", rows)
        for name in FAULTS:
            found.note(name, self._counts[name], self._examples[name])
        found.note("split_ids", len(self._splits))
        _note_share(found, self._rows, before)
        return found.measured(rows)

    def _add(self, block: pl.DataFrame) -> None:
        shown = pl.format("{} row {}", pl.col("name").fill_null("?"), pl.col("row").fill_null(-1))
        cells = ("name", "builder", "row", "task", "messages", "prompt_hash", "split_id")
        self._count("empty_cells", block, pl.any_horizontal(pl.col(cell).is_null() for cell in cells), shown)
        self._count("repeated_rows", block, ~pl.struct("name", "row").is_first_distinct(), shown)
        for kind, known in self._ids.items():
            missing = pl.col(f"{kind}_id").is_not_null() & ~pl.col(f"{kind}_id").is_in(known.implode())
            self._count("unknown_ids", block, missing, pl.format(f"{kind} {{}}", f"{kind}_id"))
        roles, said = pl.element().struct.field("role"), pl.element().struct.field("content")
        messages = pl.col("messages")
        silent = (said.fill_null("").str.strip_chars() == "") & (roles != "system")
        wrong = messages.list.eval(~roles.is_in(ROLES) | silent).list.any()
        answered = messages.list.last().struct.field("role") == "assistant"
        self._count("bad_messages", block, wrong | ~answered, shown)
        self._count("bad_labels", block, pl.col("label").is_not_null() & ~pl.col("label").is_in(LABELS), shown)
        self._count("told", block, pl.col("rejected").list.contains(_answer()), shown)
        self._splits.update(block["split_id"].drop_nulls().unique().to_list())
        for name, count in block.group_by("name").len().iter_rows():
            self._rows[name] = self._rows.get(name, 0) + count

    def _count(self, name: str, block: pl.DataFrame, fault: pl.Expr, shown: pl.Expr) -> None:
        if count := int(block.select(fault.fill_null(False).sum()).item()):
            self._counts[name] += count
            room = SHOWN - len(self._examples[name])
            self._examples[name] += some_rows(block, fault, shown, room)


def _note_share(found: Findings, rows: Mapping[str, int], before: Mapping[str, int]) -> None:
    """The lowest share of the rows of the night before, of names that both nights have."""
    shares = {name: rows[name] / count for name, count in before.items() if name in rows and count}
    lowest = min(shares, key=lambda name: shares[name], default=None)
    found.note("rows_share", None if lowest is None else shares[lowest], [] if lowest is None else [lowest])


def _answer() -> pl.Expr:
    return pl.col("messages").list.last().struct.field("content")


def _note_empty(found: Findings, rows: pl.DataFrame, columns: Iterable[str], shown: pl.Expr) -> None:
    found.rows_where("empty_cells", rows, pl.any_horizontal(pl.col(name).is_null() for name in columns), shown)


def _note_repeated(found: Findings, rows: pl.DataFrame, key: Iterable[str], shown: pl.Expr) -> None:
    found.rows_where("repeated_rows", rows, ~pl.struct(*key).is_first_distinct(), shown)


def _note_unknown(found: Findings, unknown: Iterable[list[str]]) -> None:
    told = [id for each in unknown for id in each]
    found.note("unknown_ids", len(told), told[:SHOWN])


def _unknown(used: pl.Series, kind: str, ids: Ids) -> list[str]:
    """Ids that the table of their kind lacks, each once."""
    distinct = used.drop_nulls().unique()
    return [f"{kind} {id}" for id in distinct.filter(~distinct.is_in(ids[kind].implode())).sort().to_list()]
