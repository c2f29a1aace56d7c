"""LlamaRec: the letter of the next item among candidates."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from features.instructions.base import Candidates, LikedAbove
from features.instructions.examples import Example
from features.instructions.next_items import Next, NextItem, candidates
from features.instructions.sources import Sources
from features.instructions.wording import LETTERS, pick_letter

Lettered = Annotated[Candidates, Field(le=len(LETTERS))]


class Llamarec(NextItem):
    """Shows the last items and `candidates` with letters, of which one is next, and asks for its letter.

    `liked_above`: interactions rated lower are no answers.
    """

    source: ClassVar[str] = "LlamaRec (Yue et al. 2023, arXiv 2311.02089)"

    def __init__(self, *, candidates: Lettered = 20, liked_above: LikedAbove = None) -> None:
        super().__init__(liked_above=liked_above)
        self.candidates = candidates

    def example(self, sources: Sources, task: int, about: int, draw: np.random.Generator) -> Example | None:
        del task
        it = Next.of(sources, about)
        offered = candidates(sources, it.user, it.item, self.candidates, draw)
        worded = pick_letter(
            it.history, sources.named(offered), noun=sources.noun, profile=sources.about(it.user, *offered)
        )
        return Example("pick_letter", worded, LETTERS[offered.index(it.item)], it.user, it.item, it.shown)
