"""What recipes have read, as the frames of the tables it goes into."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

import polars as pl

from features.corpus import Corpus
from features.generation import Generation, Lineage
from features.grounding import Titles
from features.partitions import Partition, cut
from features.recipes.base import Recipe, best_title
from pipelines.desk import Desk
from pipelines.increments import Increments, count, last_published, night_before
from schemas.records import EdgeRow, GeneratedRow, ProfileRow, Row, sha256
from schemas.tables import TABLES

Read = Mapping[str, Generation]  # by recipe
LINEAGE = tuple(each.name for each in fields(Lineage))
NO_ANSWER = ("missing", "not_asked", "nothing_to_ask")  # nothing came that could have been read
SURE = ("exact", "normalised")  # titles that are certainly the catalogue's: a fuzzy one is another book too often


def profile_rows(desk: Desk, read: Read) -> pl.DataFrame:
    """Tonight's profiles; of a recipe over partitions those of the last one of every user, whichever night wrote it."""
    rows = [
        (row.kind, row.id, row.recipe, row.field, row.text, sha256(row.text), row.key, desk.engines[row.recipe].model)
        for recipe in desk.recipes
        if not recipe.partitioned
        for row in _of(ProfileRow, read[recipe.name].rows)
    ]
    names = ["kind", "id", "recipe", "field", "text", "text_hash", "key", "model"]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    parts = [_last_parts(partition_rows(desk, each, read)) for each in desk.recipes if each.partitioned]
    return pl.concat([frame, *parts]).with_columns(split_id=pl.lit(desk.corpus.split_id))


def partition_rows(desk: Desk, recipe: Recipe, read: Read) -> pl.DataFrame:
    """All closed partitions of a recipe: last night's as they were, and what tonight's answers said of the others."""
    said: dict[tuple[str, int], dict[str, str]] = {}
    for row in _of(ProfileRow, read[recipe.name].rows):
        said.setdefault((row.id, row.part), {})[row.field] = row.text
    keys = {(line.id, line.part): line.key for line in read[recipe.name].lineage}
    before = {(row["user_id"], tuple(row["item_ids"])): row for row in desk.published_partitions(recipe).to_dicts()}
    about = {
        "recipe": recipe.name,
        "version": recipe.version,
        "model": desk.engines[recipe.name].model,
        "split_id": desk.corpus.split_id,
    }
    closed, rows = desk.closed(recipe), list[dict[str, Any]]()
    for user in desk.about(recipe, {}):
        parts = cut(user.history, closed.get(user.id, ()), recipe.max_items)[0]
        come = [part.part for part in parts if (user.id, part.part) in keys or (user.id, part.ids) in before]
        for part in parts[: max(come, default=0)]:  # what follows waits for an answer
            place, old = (user.id, part.part), before.get((user.id, part.ids))
            if old is not None and old["texts"]:
                rows.append({**old, "split_id": desk.corpus.split_id})
            else:  # without a key there was nothing to ask
                rows.append({**about, **_partition_row(user.id, part, said.get(place, {}), keys.get(place, ""))})
    return pl.DataFrame(rows, schema=dict(TABLES["partitions"].columns))


def _partition_row(user: str, part: Partition, texts: Mapping[str, str], key: str) -> dict[str, Any]:
    times = [event.time for event in part.events if event.time is not None]
    return {
        "user_id": user,
        "part": part.part,
        "item_ids": list(part.ids),
        "start_time": min(times, default=None),
        "end_time": max(times, default=None),
        "late": part.late,
        "fields": list(texts),
        "texts": list(texts.values()),
        "key": key,
    }


def generated_rows(desk: Desk, read: Read) -> pl.DataFrame:
    """What models made up for users, looked up in the catalogue by title."""
    titles = _titles(desk.corpus)
    rows = []
    for row in _of(GeneratedRow, [row for each in read.values() for row in each.rows]):
        found = titles.ground(row.title)
        grounded = (found.status, found.id, found.score)
        about = (row.key, desk.engines[row.recipe].model, desk.corpus.split_id)
        rows.append((row.user_id, row.recipe, row.rank, row.title, row.text, *grounded, *about))
    return pl.DataFrame(rows, schema=dict(TABLES["generated_items"].columns), orient="row")


def edge_rows(desk: Desk, read: Read, generated: pl.DataFrame) -> pl.DataFrame:
    """The edges of all recipes, each pair once per recipe; an item that the user has in train by now is none."""
    split_id, engines = desk.corpus.split_id, desk.engines
    rows = [
        (row.user_id, row.item_id, row.label, row.weight, row.recipe, row.key, engines[row.recipe].model, split_id)
        for row in _of(EdgeRow, [row for each in read.values() for row in each.rows])
    ]
    frame = pl.DataFrame(rows, schema=dict(TABLES["llm_edges"].columns), orient="row")
    grounded = generated.filter(pl.col("status").is_in(SURE)).select(
        "user_id",
        "item_id",
        pl.lit(1, pl.Int64).alias("label"),
        pl.col("score").alias("weight"),
        *("recipe", "key", "model", "split_id"),
    )
    fresh = grounded.unique(["recipe", "user_id", "item_id"], keep="first", maintain_order=True)
    known = train_pairs(desk.corpus)
    return pl.concat([frame, fresh]).join(known, on=["user_id", "item_id"], how="anti", maintain_order="left")


def train_pairs(corpus: Corpus) -> pl.DataFrame:
    """user_id and item_id of every train interaction, and its time (null where the data has none)."""
    user, item = corpus.train.edges
    time = pl.Series(corpus.train.time if corpus.timed else [None] * len(corpus.train), dtype=pl.Int64)
    ids = {"user_id": corpus.ids("user").gather(user), "item_id": corpus.ids("item").gather(item)}
    return pl.DataFrame({**ids, "time": time})


def held_out_pairs(corpus: Corpus) -> pl.DataFrame:
    """user_id and item_id of every valid and test interaction; for warnings alone, nothing is made from them."""
    user, item = corpus.edges[:, corpus.part != 0]
    return pl.DataFrame({"user_id": corpus.ids("user").gather(user), "item_id": corpus.ids("item").gather(item)})


def asked_rows(recipes: Iterable[Recipe], read: Read) -> pl.DataFrame:
    """Everyone a recipe with texts was to be asked about, and whether the answer could be read (null: none came).

    A user without train interactions is nobody to ask about; an item without any fact is a hole in the catalogue.
    """
    rows = []
    for recipe in recipes:
        if recipe.gives_edges:
            continue
        failed = {
            reject.id: None if reject.reason in NO_ANSWER else False
            for reject in read[recipe.name].rejects
            if recipe.kind == "item" or reject.reason != "nothing_to_ask"
        }
        answered = {line.id: True for line in read[recipe.name].lineage}
        rows += [(recipe.kind, id, recipe.name, ok) for id, ok in {**answered, **failed}.items()]
    schema = {"kind": pl.String, "id": pl.String, "recipe": pl.String, "answer_ok": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")


def with_brief(profiles: pl.DataFrame, recipes: Iterable[Recipe]) -> pl.DataFrame:
    """The profiles, and whether each text is a name and no prose (`brief`)."""
    names = [f"{recipe.name}/{field}" for recipe in recipes for field in recipe.names()]
    return profiles.with_columns(brief=pl.concat_str("recipe", pl.lit("/"), "field").is_in(names))


def prompt_rows(corpus: Corpus, read: Read) -> pl.DataFrame:
    """What was shown in each prompt, and the latest time behind it (null where the data has no times)."""
    table = TABLES["prompts"]
    columns = {**table.columns, **(table.optional or {})}
    names = [name for name in LINEAGE if name in columns]
    lines = [asdict(line) for generation in read.values() for line in generation.lineage]
    frame = pl.DataFrame(lines, schema={name: columns[name] for name in names})
    if not (frame["candidates_by"] != "").any():
        frame = frame.drop(table.optional or ())
    frame = frame.with_columns(split_id=pl.lit(corpus.split_id)).with_row_index("line")
    shown = frame.select("line", "kind", "id", pl.col("source_ids").alias("source")).explode("source").drop_nulls()
    is_user = pl.col("kind") == "user"
    pairs = shown.select(
        "line",
        user_id=pl.when(is_user).then("id").otherwise("source"),
        item_id=pl.when(is_user).then("source").otherwise("id"),
    )
    latest = pairs.join(train_pairs(corpus), on=["user_id", "item_id"]).group_by("line").agg(pl.col("time").max())
    return frame.join(latest, on="line", how="left", maintain_order="left").rename({"time": "max_time"}).drop("line")


def increments(desk: Desk, recipe: Recipe, read: Read) -> Increments:
    """The recipe's prompts (of partitions the closed ones) against those of the night before."""
    if recipe.partitioned:
        before, now = (rows.rename({"user_id": "id"}) for rows in _partitions(desk, recipe, read))
        return count(before, now, night_before(desk.night, "partitions"))
    before = last_published(desk.night, "prompts").filter(pl.col("recipe") == recipe.name)
    lines = [(line.id, line.part, line.key) for line in read[recipe.name].lineage]
    now = pl.DataFrame(lines, schema={"id": pl.String, "part": pl.Int64, "key": pl.String}, orient="row")
    return count(before, now, night_before(desk.night, "prompts"))


def _partitions(desk: Desk, recipe: Recipe, read: Read) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The partitions that were asked about, of the night before and of tonight."""
    asked = pl.col("key") != ""
    return desk.published_partitions(recipe).filter(asked), partition_rows(desk, recipe, read).filter(asked)


def reject_rows(recipes: Iterable[Recipe], read: Read) -> pl.DataFrame:
    """Every subject without a usable answer, and why."""
    rows = [
        (reject.key, recipe.kind, reject.id, reject.reason, f"{recipe.name}: {reject.detail}")
        for recipe in recipes
        for reject in read[recipe.name].rejects
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(["key", "kind", "id", "reason", "detail"], pl.String), orient="row")


def _last_parts(partitions: pl.DataFrame) -> pl.DataFrame:
    """The latest partition with a text of every user as profile rows, one per field."""
    told = partitions.filter(pl.col("texts").list.len() > 0).sort("user_id", "part")
    last = told.group_by("recipe", "user_id", maintain_order=True).last().explode("fields", "texts")
    hashes = [sha256(text) for text in last["texts"].to_list()]
    return last.select(
        pl.lit("user").alias("kind"),
        pl.col("user_id").alias("id"),
        "recipe",
        pl.col("fields").alias("field"),
        pl.col("texts").alias("text"),
        pl.Series("text_hash", hashes, dtype=pl.String),
        "key",
        "model",
    )


def _titles(corpus: Corpus) -> Titles:
    """The catalogue by title; of equal titles the item with the lowest id."""
    ids: dict[str, str] = {}
    columns = [name for name in ("title", "name") if name in corpus.items.columns]
    for row in corpus.items.select("id", *columns).iter_rows(named=True):
        title = best_title({name: row[name] for name in columns if row[name]})
        if title is not None:
            ids.setdefault(title, row["id"])
    return Titles(ids)


def _of(kind: type[Row], rows: Iterable[Row]) -> list[Any]:
    return [row for row in rows if isinstance(row, kind)]
