"""S-DPO: the title of the next item among candidates, and some of the others as answers that are worse."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from features.instructions.base import Size, Threshold
from features.instructions.examples import Example
from features.instructions.llara import Llara, Several
from features.instructions.next_items import Next
from features.instructions.sources import Sources


class SDpo(Llara):
    """What `llara` asks, with the titles of `rejected` other candidates beside the answer.

    `liked_above`: interactions rated lower are no answers.
    """

    source: ClassVar[str] = "S-DPO (Chen et al. 2024, arXiv 2406.09215)"

    def __init__(self, *, candidates: Several = 20, rejected: Size = 3, liked_above: Threshold | None = None) -> None:
        super().__init__(candidates=candidates, liked_above=liked_above)
        self.rejected = rejected

    def _worded(self, sources: Sources, it: Next, offered: list[int], draw: np.random.Generator) -> Example:
        others = draw.permutation([item for item in offered if item != it.item])[: self.rejected].tolist()
        return replace(super()._worded(sources, it, offered, draw), rejected=sources.named(others))
