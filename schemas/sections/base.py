"""What every section of a run file is: immutable, without unknown keys."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Option = str | int | float | bool | list[str] | list[int] | list[float]
Metric = Literal["recall@20", "ndcg@20", "recall@10", "ndcg@10", "recall@5", "ndcg@5"]
Protocol = Literal["loregraph", "lightgcn", "rlmrec", "llmrec", "alpharec"]
Control = Literal["none", "shuffled", "shuffled_items", "shuffled_users", "random"]


class Section(BaseModel):
    """A part of the run file: immutable, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
