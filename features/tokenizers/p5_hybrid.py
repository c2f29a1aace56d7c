"""P5's hybrid indexing: a path by clusters or categories, and a last token that no other item has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from features.tokenizers.base import Clusters, Int32, Int64, Largest, Seed, TokenInputs, Tokenizer
from features.tokenizers.numbered import Numbered
from features.tokenizers.p5_collaborative import P5Collaborative
from features.tokenizers.p5_semantic import Column, Depth, P5Semantic, Separator


class P5Hybrid(Numbered):
    """CID + IID or SemID + IID: the codes of the path, then one that is the item's own, not its number in a cluster."""

    source: ClassVar[str] = "Hua et al., SIGIR-AP 2023 (P5 indexing: HID), arXiv 2305.06569"
    reads_train: ClassVar[bool] = True

    def __init__(
        self,
        *,
        path: Annotated[
            Literal["collaborative", "semantic"], Field(description="clusters of who reads what, or categories")
        ] = "collaborative",
        clusters: Clusters = 20,
        largest: Largest = 500,
        column: Column = "categories",
        separator: Separator = ";",
        depth: Depth = 4,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        by_company = P5Collaborative(clusters=clusters, largest=largest, seed=seed)
        by_category = P5Semantic(column=column, separator=separator, depth=depth)
        self.path: Tokenizer = by_company if path == "collaborative" else by_category

    @property
    def columns(self) -> tuple[str, ...]:
        return self.path.columns

    @property
    def sizes(self) -> tuple[int, ...]:
        return (*self.path.sizes, self.count)

    def encode(self, inputs: TokenInputs) -> Int32:
        """Codes [N, L]; the last is -1 of an item that has none yet."""
        return np.column_stack([self.path.encode(inputs), self.numbers(inputs)]).astype(np.int32)

    def unique(self, inputs: TokenInputs, codes: Int32, new: Int64, taken: Int32) -> Int32:
        del inputs
        number = self.counted_on(codes[new, -1].astype(np.int64), new, int(taken[:, -1].max(initial=-1)))
        return np.column_stack([codes[new, :-1], number]).astype(np.int32)

    def save(self, folder: Path) -> None:
        super().save(folder)
        self.path.save(folder / "path")

    def load(self, folder: Path) -> None:
        super().load(folder)
        self.path.load(folder / "path")

    def _fit(self, inputs: TokenInputs) -> None:
        self.path.fit(inputs)
        self.keep_numbers(inputs, np.arange(len(inputs.ids)))
