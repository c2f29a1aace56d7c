"""LLaRA: the title of the next item among candidates."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from features.instructions.base import Candidates, LikedAbove
from features.instructions.examples import Example
from features.instructions.next_items import Next, NextItem, candidates
from features.instructions.sources import Sources
from features.instructions.wording import pick_title


class Llara(NextItem):
    """Shows the last items and `candidates`, of which one is next, and asks for its title: LLaRA's text-only prompt.

    `liked_above`: interactions rated lower are no answers.
    """

    source: ClassVar[str] = "LLaRA (Liao et al. 2024, arXiv 2312.02445)"

    def __init__(self, *, candidates: Candidates = 20, liked_above: LikedAbove = None) -> None:
        super().__init__(liked_above=liked_above)
        self.candidates = candidates

    def example(self, sources: Sources, task: int, about: int, draw: np.random.Generator) -> Example | None:
        del task
        it = Next.of(sources, about)
        offered = candidates(sources, it.user, it.item, self.candidates, draw)
        return self._worded(sources, it, offered, draw)

    def _worded(self, sources: Sources, it: Next, offered: list[int], draw: np.random.Generator) -> Example:
        del draw
        profile, named = sources.about(it.user, *offered), sources.named(offered)
        worded = pick_title(it.history, named, noun=sources.noun, profile=profile)
        return Example("pick_title", worded, sources.titles[it.item], it.user, it.item, it.shown)
