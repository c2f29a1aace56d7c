"""BIGRec: the title of the next item, of all that there are."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from features.instructions.examples import Example
from features.instructions.next_items import Next, NextItem
from features.instructions.sources import Sources
from features.instructions.wording import next_title


class Bigrec(NextItem):
    """Shows the last items and asks for the title of the next one; D3 is tuned on the same.

    `liked_above`: interactions rated lower are no answers.
    """

    source: ClassVar[str] = "BIGRec (Bao et al. 2025, arXiv 2308.08434), D3 (Bao et al. 2024, arXiv 2406.14900)"

    def example(self, sources: Sources, task: int, about: int, draw: np.random.Generator) -> Example | None:
        del task, draw
        it = Next.of(sources, about)
        worded = next_title(it.history, noun=sources.noun, profile=sources.about(it.user, it.item))
        return Example("next_title", worded, sources.titles[it.item], it.user, it.item, it.shown)
