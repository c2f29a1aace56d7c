"""What an adaptor is: several text vectors of one row in, one vector out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn


class Adaptor(nn.Module, ABC):
    """A module from the sources of a row to one vector.

    The constructor takes the widths of the S sources, then its options as keyword-only parameters.
    """

    source: ClassVar[str]  # the paper, or what it stands for
    dim: int  # of the vectors it gives

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.widths = widths

    @abstractmethod
    def forward(self, x: Tensor, has: Tensor) -> Tensor:
        """Give [n, dim] of x [n, sum of widths], whose missing sources are zero, and has [n, S]."""


class Concat(Adaptor):
    """The sources side by side, as they are; a source that a row lacks stays zero."""

    source: ClassVar[str] = "concatenation"

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__(widths)
        self.dim = sum(widths)

    def forward(self, x: Tensor, has: Tensor) -> Tensor:
        del has
        return x
