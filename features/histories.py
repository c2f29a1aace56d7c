"""From the rows of some users (or items) to what is asked about each: histories in order, cut, and their prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import polars as pl

from features.corpus import Train, make_corpus
from features.generation import try_ask
from features.recipes.base import Recipe
from features.refresh import Bag, refreshed
from schemas.records import Kind, Prompt, Reject, Subject
from schemas.sections import Refresh


class Posed(NamedTuple):
    """A subject and its prompt, or why there is nothing to ask."""

    subject: Subject
    prompt: Prompt | Reject


def ask_each(recipe: Recipe, subjects: Iterable[Subject]) -> Iterator[Posed]:
    """Every subject with its prompt."""
    for subject in subjects:
        yield Posed(subject, try_ask(recipe, subject))


def shown(
    recipe: Recipe, subjects: Iterable[Subject], rule: Refresh, bags: Mapping[str, Bag] | None
) -> Iterator[Subject]:
    """Those that the recipe concerns; of a user as much as the rule of refresh says."""
    concerned = (subject for subject in subjects if recipe.concerns(subject))
    return refreshed(concerned, rule, bags) if recipe.kind == "user" and not recipe.partitioned else concerned


def train_of(kind: Kind, own: pl.DataFrame, other: pl.DataFrame, splits: pl.DataFrame) -> Train:
    """The train part of some users (or items, by `kind`), which is theirs in the train part of all.

    `own`: their rows of the table `users` (`items`); `other`: at least those of the other side that they have events
    with; `splits`: all their rows.
    """
    side = "item_id" if kind == "user" else "user_id"
    other = other.filter(pl.col("id").is_in(splits[side].unique().implode()))
    users, items = (own, other) if kind == "user" else (other, own)
    if splits.height:
        return make_corpus(users, items, splits).train
    return Train(  # nobody among them has an event
        num_users=users.height,
        num_items=items.height,
        edges=np.empty((2, 0), dtype=np.int64),
        time=np.empty(0, dtype=np.int64),
        weight=np.empty(0, dtype=np.float32),
        user_table=users.sort("id"),
        item_table=items.sort("id"),
    )
