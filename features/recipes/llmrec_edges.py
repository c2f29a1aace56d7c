"""Edge augmentation of LLMRec: one liked and one disliked item out of a base model's candidates (arXiv 2311.00423)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import BaseModel

from features.recipes.base import DATA_IS_DATA, JSON_ONLY, Data, MaxItems, is_empty, section
from features.recipes.choosing import Choosing
from features.recipes.reading import parse
from schemas.errors import AnswerError
from schemas.records import EdgeRow, Kind, Row, Subject

Letter = Literal["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"]


class Answer(BaseModel):
    """What the model is asked for: letters of two candidates."""

    liked: Letter
    disliked: Letter


@dataclass(frozen=True)
class LlmrecEdges(Choosing):
    """Shows a user's history and candidates; two distinct ones of them come back, or the answer is a reject."""

    name: ClassVar[str] = "llmrec.edges"
    version: ClassVar[str] = "1"
    kind: ClassVar[Kind] = "user"
    source: ClassVar[str] = "LLMRec (Wei et al. 2024, arXiv 2311.00423), section 3.1: implicit feedback"
    asks: ClassVar[str] = "the candidate that the user would like most, and the one he would like least"
    yields: ClassVar[str] = "two rows of llm_edges: liked (1) and disliked (-1)"
    tokens: ClassVar[tuple[int, int]] = (940, 12)
    answer: ClassVar[type[BaseModel]] = Answer
    gives_edges: ClassVar[bool] = True

    max_items: MaxItems = 20

    def system(self) -> str:
        return f"""\
You recommend {self.noun}s to a user, judging from what the user chose before.
You are given a JSON list of the user's history, oldest first, and a JSON list of candidates, each with the letter \
that stands for it in "option". {DATA_IS_DATA}
Requirements:
1. {JSON_ONLY} Its keys are "liked" and "disliked".
2. "liked" is the letter of the candidate that the user would like most.
3. "disliked" is the letter of the candidate that the user would like least. It is another one."""

    def data(self, subject: Subject) -> Data:
        events, offered = self.chosen(subject), self.offered(subject)
        items = [self.item(event) for event in events]
        options = [{"option": letter, **self.item(event)} for letter, event in offered.items()]
        text = f"{section('HISTORY', items)}\n{section('CANDIDATES', options)}"
        return Data(text, tuple(event.id for event in events), is_empty(items) or len(offered) < 2)

    def read(self, subject: Subject, answer: str, key: str) -> Sequence[Row]:
        parsed, offered = parse(answer, Answer), self.offered(subject)
        for letter in (parsed.liked, parsed.disliked):
            if letter not in offered:
                raise AnswerError("no_candidate", f"expected one of {', '.join(offered)}, found {letter}")
        if parsed.liked == parsed.disliked:
            raise AnswerError("one_candidate", f"expected two candidates, found {parsed.liked} twice")
        labels = {parsed.liked: 1, parsed.disliked: -1}
        return [EdgeRow(subject.id, offered[each].id, label, 1.0, self.name, key) for each, label in labels.items()]
