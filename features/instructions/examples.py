"""An example of an instruction, and the rows of the table `instructions` that examples become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from features.instructions.messages import Worded, plain
from features.instructions.sources import Sources
from schemas.records import canonical, sha256
from schemas.tables import TABLES


@dataclass(frozen=True)
class Example:
    """A question, its answer, and whom and what it is about, as rows of the corpus."""

    task: str
    worded: Worded
    answer: str
    user: int | None = None
    item: int | None = None
    shown: Sequence[int] = ()  # item rows of the user's interactions that the question shows
    rejected: Sequence[str] = ()  # answers that are worse
    label: float | None = None  # of yes and no
    template: str = ""
    search: bool = False  # whether a wish is told: then it is search, and no recommendation


def rows(sources: Sources, made: Sequence[Example], first: int) -> pl.DataFrame:
    """Examples as rows of the table `instructions` but for `name` and `builder`, numbered from `first` on."""
    users, items = sources.corpus.ids("user"), sources.corpus.ids("item")
    told = [
        _row(each, row, users[each.user] if each.user is not None else None, items, sources.corpus.split_id)
        for row, each in enumerate(made, first)
    ]
    columns = {name: dtype for name, dtype in TABLES["instructions"].columns.items() if name not in ("name", "builder")}
    return pl.DataFrame(told, schema=columns)


def _row(each: Example, row: int, user: str | None, items: pl.Series, split_id: str) -> dict[str, Any]:
    asked = {"system": each.worded.system, "user": each.worded.user}
    said = {**asked, "assistant": each.answer}
    return {
        "row": row,
        "task": each.task,
        "template": each.template,
        "search": each.search,
        "user_id": user,
        "item_id": items[each.item] if each.item is not None else None,
        "messages": [{"role": role, "content": content} for role, content in said.items()],
        "rejected": [plain(answer) for answer in each.rejected],
        "label": each.label,
        "source_ids": items.gather(list(each.shown)).to_list(),
        "prompt_hash": sha256(canonical(asked)),
        "split_id": split_id,
    }
