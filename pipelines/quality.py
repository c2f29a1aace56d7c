"""The answers of a night as data: every recipe's fields are measured, compared with an earlier night, and gated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache

import polars as pl

from features.corpus import attributes
from features.quality.answers import judge
from features.quality.drift import earlier_night
from features.quality.language import check_language
from features.quality.records import Answers, Before, Judged, Measure
from features.quality.titles import TitleIndex, plain
from features.recipes.base import Recipe
from pipelines import rows
from pipelines.desk import Desk
from pipelines.night import Night
from schemas.tables import TABLES

NO_FIELD = ""  # of measures that belong to whole answers


def judge_answers(desk: Desk, read: rows.Read, profiles: pl.DataFrame) -> Judged:
    """Measures and examples of all recipes that write texts. `profiles`: tonight's rows of that table."""
    quality, found = desk.night.run.quality, Judged()
    if quality.language:
        check_language(quality.language)
    titles, shown = _titles(desk), _shown(desk, read, profiles)
    for answers in _fields(desk, read, profiles):
        found.add(judge(answers, quality, titles, shown(answers.recipe)))
    found.measures += _rejects(desk, read)
    return found


def publish_quality(night: Night, judged: Judged) -> pl.DataFrame:
    """Publish measures and examples, say what is over its threshold, and return the measures.

    The step's record `answers` has the highest value of every gated measure.
    """
    frame = pl.DataFrame(judged.measures, schema=dict(TABLES["answer_quality"].columns))
    night.publish("answer_quality", frame)
    night.publish("answer_examples", pl.DataFrame(judged.examples, schema=dict(TABLES["answer_examples"].columns)))
    for each in judged.measures:
        if each.allowed is not None and each.value > each.allowed:
            detail = f" ({each.detail})" if each.detail else ""
            place = f"{each.recipe}/{each.field}"
            night.progress.say(f"{place}: {each.measure} is {each.value:.4g}, at most {each.allowed:.4g}{detail}")
    gated = frame.filter(pl.col("allowed").is_not_null()).group_by("measure").agg(pl.col("value").max()).sort("measure")
    night.record("answers", {"measures": frame.height, "highest": dict(gated.rows())})
    return frame


def _fields(desk: Desk, read: rows.Read, profiles: pl.DataFrame) -> Iterator[Answers]:
    """Every field that has texts, and those without any that should have some."""
    asked = rows.asked_rows(desk.recipes, read)
    earlier = _earlier(desk.night)
    for recipe in desk.recipes:
        if recipe.gives_edges:
            continue
        mine = profiles.filter(pl.col("recipe") == recipe.name)
        ids = pl.concat([asked.filter(pl.col("recipe") == recipe.name)["id"], mine["id"]]).n_unique()
        due = [name for name in recipe.writes or recipe.answer_model.model_fields if name not in recipe.names()]
        for field in dict.fromkeys([*due, *sorted(mine["field"].unique())]):
            texts = mine.filter(pl.col("field") == field)
            yield Answers(
                recipe=recipe.name,
                kind=recipe.kind,
                field=field,
                asked=ids,
                texts=texts.select("id", "text"),
                prose=field not in recipe.names(),
                word_limit=recipe.words.get(field),
                before=earlier(recipe, field, set(texts["model"])),
            )


def _earlier(night: Night) -> Callable[[Recipe, str, set[str]], Before | None]:
    """How to get a field's answers of the earlier night. The store is read past the night's own record of sources.

    They are compared with alone: no row that is published is made from them.
    """
    store = night.store
    ds = earlier_night(store.partitions("profiles") if store.exists("profiles") else [], night.ds)
    if ds is None:
        return _nothing
    texts = store.read("profiles", ds, columns=["recipe", "field", "id", "text", "model"])
    prompts = store.read("prompts", ds, columns=["recipe", "version"]).unique()
    measured = _measured(night, ds)

    def before(recipe: Recipe, field: str, models: set[str]) -> Before | None:
        mine = texts.filter((pl.col("recipe") == recipe.name) & (pl.col("field") == field))
        versions = set(prompts.filter(pl.col("recipe") == recipe.name)["version"])
        comparable = set(mine["model"]) == models and versions == {recipe.version}
        return Before(ds, mine.select("id", "text"), comparable, measured.get((recipe.name, field), {}))

    return before


def _nothing(recipe: Recipe, field: str, models: set[str]) -> None:
    del recipe, field, models


def _measured(night: Night, ds: str) -> Mapping[tuple[str, str], dict[str, float]]:
    """The measures of another night, by recipe and field."""
    found: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    if night.store.exists("answer_quality", ds):
        columns = ("recipe", "field", "measure", "value")
        for recipe, field, measure, value in night.store.read("answer_quality", ds, columns=columns).rows():
            found[recipe, field][measure] = value
    return found


def _rejects(desk: Desk, read: rows.Read) -> list[Measure]:
    """Answers that could not be used, by recipe and reason."""
    found = []
    for recipe in desk.recipes:
        for reason, count in {"": len(read[recipe.name].rejects), **read[recipe.name].reasons}.items():
            name = f"rejected.{reason}" if reason else "rejected"
            found.append(Measure(recipe.name, recipe.kind, NO_FIELD, name, float(count)))
    return found


def _titles(desk: Desk) -> TitleIndex:
    items = desk.corpus.items
    columns = [name for name in ("title", "name") if name in items.columns]
    return TitleIndex.of(title for column in columns for title in items[column].drop_nulls().unique())


def _shown(desk: Desk, read: rows.Read, profiles: pl.DataFrame) -> Callable[[str], Callable[[str], Iterator[str]]]:
    """What a recipe's prompts may have shown of a user: own attributes, the items, and what other recipes said of them.

    Of a user's partitions all count, because each prompt goes on from the answer before.
    """
    known = {kind: _attributes(desk, kind) for kind in ("user", "item")}
    texts = {name: _texts(desk.recipe(name), profiles) for recipe in desk.recipes for name in recipe.needs}
    folded = cache(plain)

    def of_recipe(name: str) -> Callable[[str], Iterator[str]]:
        recipe, items = desk.recipe(name), _items(desk, name, read)

        def of_user(id: str) -> Iterator[str]:
            yield from map(folded, known["user"].get(id, ()))
            for item in items.get(id, ()):
                yield from map(folded, known["item"].get(item, ()))
                yield from (folded(texts[other][item]) for other in recipe.needs if item in texts[other])

        return of_user

    return of_recipe


def _texts(recipe: Recipe, profiles: pl.DataFrame) -> dict[str, str]:
    """What a recipe says in its main field, which is what others show, by id."""
    mine = profiles.filter((pl.col("recipe") == recipe.name) & (pl.col("field") == recipe.main_field()))
    return dict(zip(mine["id"].to_list(), mine["text"].to_list(), strict=True))


def _items(desk: Desk, name: str, read: rows.Read) -> Mapping[str, list[str]]:
    """The items that a recipe's prompts showed of each user, candidates among them."""
    items: defaultdict[str, list[str]] = defaultdict(list)
    recipe = desk.recipe(name)
    for line in read[name].lineage:
        items[line.id] += [*line.source_ids, *line.candidate_ids]
    if recipe.partitioned:
        for user, ids in desk.published_partitions(recipe).select("user_id", "item_ids").rows():
            items[user] += ids
    return items


def _attributes(desk: Desk, kind: str) -> dict[str, tuple[str, ...]]:
    table = desk.corpus.users if kind == "user" else desk.corpus.items
    return {id: tuple(each.values()) for id, each in zip(table["id"], attributes(table), strict=True)}
