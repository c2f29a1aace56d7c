"""P5's semantic indexing: an item's path through the categories that its table gives."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from features.tokenizers.base import Int32, TokenInputs, Tokenizer
from schemas.errors import DataError

Depth = Annotated[int, Field(gt=0, le=16, description="categories of a path that are read at most")]
Column = Annotated[str, Field(description="column of the items that holds the path, broad categories first")]
Separator = Annotated[str, Field(description="what stands between two categories, where the column is text")]


class P5Semantic(Tokenizer):
    """A code for each category of a path, 0 where there is none; one more code is the number among equal paths.

    `column` is a list, or text with `separator` between the categories, broad ones first; at most `depth` of them are
    read. A category that `fit` has not seen ends the path.
    """

    source: ClassVar[str] = "Hua et al., SIGIR-AP 2023 (P5 indexing: SemID), arXiv 2305.06569"

    def __init__(self, *, column: Column = "categories", separator: Separator = ";", depth: Depth = 4) -> None:
        super().__init__()
        self.column, self.separator, self.depth = column, separator, depth

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(level) + 1 for level in self.about["levels"])

    def encode(self, inputs: TokenInputs) -> Int32:
        codes = [{name: code for code, name in enumerate(level, start=1)} for level in self.about["levels"]]
        found = np.zeros((inputs.items.height, len(codes)), dtype=np.int32)
        for row, path in enumerate(self._paths(inputs)):
            for level, name in enumerate(path[: len(codes)]):
                if name not in codes[level]:
                    break
                found[row, level] = codes[level][name]
        return found

    def _fit(self, inputs: TokenInputs) -> None:
        paths = self._paths(inputs)
        deepest = max(map(len, paths), default=0)
        if not deepest:
            raise DataError(f"p5_semantic: items.{self.column}: expected categories, found none in any row")
        levels = [sorted({path[level] for path in paths if level < len(path)}) for level in range(deepest)]
        self.about = {"levels": levels}

    def _paths(self, inputs: TokenInputs) -> list[list[str]]:
        return [self._path(value)[: self.depth] for value in inputs.items[self.column].to_list()]

    def _path(self, value: Any) -> list[str]:
        parts = value if isinstance(value, list) else str(value).split(self.separator) if value is not None else []
        return [text for part in parts if part is not None and (text := str(part).strip())]
