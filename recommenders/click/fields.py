"""Ids as vectors: an embedding per item, per value of an attribute, and per rating of the history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from features.codes import ItemCodes
from features.corpus import Corpus, attributes
from schemas.errors import ConfigError, unknown_name
from schemas.records import Kind
from schemas.sections import Click


@dataclass(frozen=True)
class Field:
    """One attribute of every row of a kind, as ids from 1 in the order of its values; 0 fills a row up."""

    name: str
    ids: NDArray[np.int64]  # [N, M] where M is the most values of one row
    size: int  # number of ids, 0 included


@dataclass(frozen=True)
class Fields:
    """The attributes that click models embed."""

    num_items: int
    item: tuple[Field, ...] = ()
    user: tuple[Field, ...] = ()


def make_fields(corpus: Corpus, settings: Click) -> Fields:
    """Read the configured attributes. Raises ConfigError on a column that a table does not have."""
    item = _fields(corpus.items, settings.attributes, "item")
    return Fields(corpus.num_items, item, _fields(corpus.users, settings.user_attributes, "user"))


def with_codes(fields: Fields, codes: ItemCodes | None) -> Fields:
    """The same, and every prefix of an item's semantic ids as one more attribute; as they are where there are none."""
    if codes is None:
        return fields
    numbers = codes.prefixes(codes.codes.shape[1]) + 1  # 0 fills up
    more = (
        Field(f"{codes.source}.{level}", ids[:, None], int(ids.max()) + 1) for level, ids in enumerate(numbers.T, 1)
    )
    return replace(fields, item=(*fields.item, *more))


class Embeddings(nn.Module):
    """Vectors of `dim` for items, ratings and attributes; an item is its own beside the means of its attributes'."""

    def __init__(self, fields: Fields, ratings: int, dim: int) -> None:
        super().__init__()
        self.item = nn.Embedding(fields.num_items, dim)
        self.rating = nn.Embedding(ratings, dim)
        self.item_attributes = nn.ModuleList(Attribute(field, dim) for field in fields.item)
        self.user_attributes = nn.ModuleList(Attribute(field, dim) for field in fields.user)
        self.item_width, self.user_width = dim * (1 + len(fields.item)), dim * len(fields.user)
        for table in (self.item, self.rating):
            nn.init.xavier_normal_(table.weight)

    def items(self, item: Tensor) -> Tensor:
        """Vectors of item rows of any shape: [..., item_width]."""
        flat = item.reshape(-1)
        parts = [self.item(flat), *(attribute(flat) for attribute in self.item_attributes)]
        return torch.cat(parts, dim=1).view(*item.shape, self.item_width)

    def users(self, user: Tensor) -> Tensor:
        """Vectors of what is known of user rows [B]: [B, user_width]; no column where nothing is."""
        parts = [attribute(user) for attribute in self.user_attributes]
        return torch.cat(parts, dim=1) if parts else torch.zeros(len(user), 0, device=user.device)


class Attribute(nn.Module):
    """The mean of the vectors of a row's values; zero for a row without any."""

    ids: Tensor

    def __init__(self, field: Field, dim: int) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(field.size, dim, mode="mean", padding_idx=0)
        nn.init.xavier_normal_(self.bag.weight)
        self.register_buffer("ids", torch.from_numpy(field.ids), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        return self.bag(self.ids[rows])  # type: ignore[no-any-return]


def _fields(table: pl.DataFrame, wanted: Mapping[str, str], kind: Kind) -> tuple[Field, ...]:
    rows, known = attributes(table), set(table.columns) - {"id"}
    for name in wanted:
        if name not in known:
            where = "click.attributes" if kind == "item" else "click.user_attributes"
            raise ConfigError(unknown_name(where, name, known))
    return tuple(
        _field(name, [_values(row.get(name, ""), separator) for row in rows]) for name, separator in wanted.items()
    )


def _values(text: str, separator: str) -> list[str]:
    parts = text.split(separator) if separator else [text]
    return sorted({part.strip() for part in parts} - {""})


def _field(name: str, rows: list[list[str]]) -> Field:
    places = {value: id for id, value in enumerate(sorted({value for row in rows for value in row}), start=1)}
    ids = np.zeros((len(rows), max(1, *(len(row) for row in rows))), dtype=np.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = [places[value] for value in row]
    return Field(name, ids, len(places) + 1)
