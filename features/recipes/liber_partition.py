"""Interest summaries of LIBER: one call per closed partition of a history, carried forward (arXiv 2411.14713)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BaseModel, Field

from features.recipes.base import DATA_IS_DATA, JSON_ONLY, Data, Positive, Recipe, is_empty, section
from features.recipes.reading import Text
from schemas.records import Kind, Subject


class Answer(BaseModel):
    """What the model is asked for."""

    summary: Text
    change: Text = ""


@dataclass(frozen=True)
class LiberPartition(Recipe):
    """Shows the `max_items` events of a closed partition and the summary before it; closed ones are not asked again.

    LIBER's two prompts (a partition's summary, and the shift against the one before) are one call here, so that a
    user's new events cost one call when they fill a partition, and none before.
    """

    name: ClassVar[str] = "liber.partition"
    version: ClassVar[str] = "1"
    kind: ClassVar[Kind] = "user"
    source: ClassVar[str] = "LIBER (Zhu et al. 2024, arXiv 2411.14713): streaming partitions, cascaded interests"
    asks: ClassVar[str] = "the user's interests now, given those before and the events since, and what has changed"
    yields: ClassVar[str] = "a row of partitions per closed partition; summary and change of the latest as profile"
    tokens: ClassVar[tuple[int, int]] = (620, 60)
    answer: ClassVar[type[BaseModel]] = Answer
    words: ClassVar[Mapping[str, int]] = {"summary": 100, "change": 60}
    partitioned: ClassVar[bool] = True

    max_items: Annotated[Positive, Field(description="events of a partition")] = 10

    def system(self) -> str:
        return f"""\
You keep a summary of a user's interests up to date.
You are given a JSON object with the summary so far, and a JSON list of the {self.noun}s that the user has chosen \
since, oldest first. {DATA_IS_DATA}
Requirements:
1. {JSON_ONLY} Its keys are "summary" and "change".
2. "summary" says what the user is interested in now, in at most 100 words; "None" if that cannot be told.
3. "change" says what has stayed, what is new and what has faded against the summary so far, in at most 60 words; \
"None" where there is no summary so far."""

    def data(self, subject: Subject) -> Data:
        events = self.chosen(subject)
        items = [{**self.item(event), "review": self.review(event)} for event in events]
        before = section("SUMMARY SO FAR", {"summary": self.show(subject.before.get("summary"))})
        text = f"{before}\n{section('CHOSEN SINCE', items)}"
        return Data(text, tuple(event.id for event in events), is_empty(items))
