"""The texts of a night as the page searches them: every profile with what its user or item is called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import polars as pl
from markupsafe import Markup, escape

from pipelines.report.html import visible
from pipelines.ui.readers import TITLES
from pipelines.ui.shelf import Shelf
from schemas.errors import LoregraphError

SIZE = 25  # texts of a page
SHOWN = 320  # characters of a text that a list shows
BEFORE = 80  # of them before the first word that was found
COLUMNS = ("kind", "id", "recipe", "field", "model", "text")
FILTERS = ("kind", "recipe", "field", "model")


class Found(NamedTuple):
    """Some of the texts that a search has found: those of one page, how many there are, and what can be chosen from."""

    rows: list[dict[str, Any]]
    total: int
    choices: Mapping[str, Sequence[tuple[str, int]]]  # filter -> its values with their numbers of texts


def search_texts(shelf: Shelf, ds: str, words: str, chosen: Mapping[str, str], place: int) -> Found:
    """Page `place` (from 1) of the texts that have every word in id, title or text, by kind and id.

    `chosen`: the values of FILTERS to keep; "" keeps all. Those that have all words in id or title come first.
    """
    texts = _texts(shelf, ds)
    wanted = words.lower().split()
    matching = texts.filter(*(pl.col("searched").str.contains(word, literal=True) for word in wanted))
    choices = {name: _counts(_chosen(matching, {**chosen, name: ""}), name) for name in FILTERS}
    found = _chosen(matching, chosen)
    if wanted:
        named = pl.all_horizontal(pl.col("named").str.contains(word, literal=True) for word in wanted)
        found = found.with_columns(named.alias("first")).sort("first", descending=True, maintain_order=True)
    rows = found.slice((place - 1) * SIZE, SIZE).drop("searched", "named")
    return Found(rows.to_dicts(), found.height, choices)


def warm(shelf: Shelf) -> None:
    """Read the texts of the last night, so that nobody waits for them; nothing where there is none to read."""
    with suppress(LoregraphError):
        _texts(shelf, shelf.night(None))


def excerpt(text: str, words: str) -> Markup:
    """What of a text a list shows: from a little before the first word that is searched, with all of them marked."""
    pattern = _pattern(words)
    first = pattern.search(text) if pattern else None
    start = max(0, first.start() - BEFORE) if first else 0
    cut = text[start : start + SHOWN]
    return Markup("{}{}{}").format("… " if start else "", marked(cut, words), " …" if start + SHOWN < len(text) else "")


def marked(text: str, words: str) -> Markup:
    """A text, escaped, with the words that are searched inside `<mark>`."""
    shown, pattern = visible(text), _pattern(words)
    if pattern is None:
        return escape(shown)
    parts = pattern.split(shown)  # what was found stands at the odd places
    return Markup("").join(
        Markup("<mark>{}</mark>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def _texts(shelf: Shelf, ds: str) -> pl.DataFrame:
    """Every profile with `title`, and in small letters what is searched; made once for each version of the tables."""
    return shelf.made({"profiles": COLUMNS, "items": None}, ds, _with_titles)


def _with_titles(profiles: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    rows = profiles.select(COLUMNS).sort("kind", "id", maintain_order=True)  # a subject's texts as they were published
    name = next((each for each in TITLES if each in items.columns), None)
    titles = items.select(pl.lit("item").alias("kind"), "id", pl.col(name or "id").cast(pl.String).alias("title"))
    rows = rows.join(titles if name else titles.clear(), on=["kind", "id"], how="left", maintain_order="left")
    named = pl.concat_str("id", "title", separator="\n", ignore_nulls=True).str.to_lowercase()
    return rows.with_columns(named.alias("named")).with_columns(
        pl.concat_str("named", pl.col("text").str.to_lowercase(), separator="\n", ignore_nulls=True).alias("searched")
    )


def _chosen(texts: pl.DataFrame, chosen: Mapping[str, str]) -> pl.DataFrame:
    return texts.filter(*(pl.col(name) == value for name, value in chosen.items() if value))


def _counts(texts: pl.DataFrame, name: str) -> list[tuple[str, int]]:
    return texts[name].drop_nulls().value_counts().sort(name).rows()


def _pattern(words: str) -> re.Pattern[str] | None:
    each = sorted(set(words.split()), key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, each))})", re.IGNORECASE) if each else None
