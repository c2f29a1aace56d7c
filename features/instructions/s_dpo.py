"""S-DPO: the title of the next item among candidates, and some of the others as answers that are worse."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from features.instructions.base import Candidates, LikedAbove, Size
from features.instructions.examples import Example
from features.instructions.llara import Llara
from features.instructions.next_items import Next
from features.instructions.sources import Sources


class SDpo(Llara):
    """What `llara` asks, with the titles of `rejected` other candidates beside the answer.

    `liked_above`: interactions rated lower are no answers.
    """

    source: ClassVar[str] = "S-DPO (Chen et al. 2024, arXiv 2406.09215)"

    def __init__(
        self,
        *,
        candidates: Candidates = 20,
        rejected: Annotated[Size, Field(description="other candidates beside the answer, as worse ones")] = 3,
        liked_above: LikedAbove = None,
    ) -> None:
        super().__init__(candidates=candidates, liked_above=liked_above)
        self.rejected = rejected

    def _worded(self, sources: Sources, it: Next, offered: list[int], draw: np.random.Generator) -> Example:
        others = draw.permutation([item for item in offered if item != it.item])[: self.rejected].tolist()
        return replace(super()._worded(sources, it, offered, draw), rejected=sources.named(others))
