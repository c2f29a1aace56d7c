"""Text as a start: what nodes learn is added to the principal components of their text."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from graph_models.dataset import GraphDataset
from graph_models.objectives.base import Fusion
from graph_models.text import Text, both_texts

ROWS_AT_ONCE = 65536
STD = 0.1  # as LightGCN draws its first embeddings


class TextInit(Fusion):
    """Layer-0 vectors [U+I, d] plus a constant: equal to embeddings that start from text and are trained from there.

    The constant is the d leading principal components of users' and items' text, one basis for both, each kind about
    its own mean, so that the first inner products say how near two texts are. Where text has fewer dimensions the rest
    is zero. Rows with text have a standard deviation of 0.1, rows without stay as they are. Several sources stand side
    by side; an adaptor is not read, since nothing would train it.
    """

    source: ClassVar[str] = "embeddings that start from text, as in Harte et al., RecSys 2023, arXiv 2309.09261"
    needs_text: ClassVar[bool] = True
    node_rows: ClassVar[tuple[str, ...]] = ("start",)  # a warm start keeps it: tonight's components have other axes
    start: Tensor  # [U+I, d]

    def __init__(self, graph: GraphDataset, dim: int) -> None:
        super().__init__()
        texts = both_texts(replace(graph, adaptor=None), "text_init")
        # kept in the checkpoint: another machine may give a component the other sign
        self.register_buffer("start", _start(texts, dim))

    def inputs(self, x: Tensor) -> Tensor:
        return x + self.start


def _start(texts: tuple[Text, Text], dim: int) -> Tensor:
    """In blocks: text of a million nodes is not copied."""
    means = [_mean(text) for text in texts]
    directions = _directions(texts, means)[:, :dim]  # [D, k]
    start = directions.new_zeros(sum(len(text.x) for text in texts), dim)
    first, squares, rows = 0, 0.0, 0
    for text, mean in zip(texts, means, strict=True):
        for block in torch.split(text.with_text, ROWS_AT_ONCE):
            components = (text.x.index_select(0, block) - mean) @ directions  # [B, k]
            start[first + block, : directions.shape[1]] = components
            squares, rows = squares + float(components.square().mean(dim=1).sum()), rows + len(block)
        first += len(text.x)
    scale: float = STD / (math.sqrt(squares / max(rows, 1)) + torch.finfo(start.dtype).tiny)
    return start * scale


def _mean(text: Text) -> Tensor:
    blocks = [text.x.index_select(0, block).sum(dim=0) for block in torch.split(text.with_text, ROWS_AT_ONCE)]
    total: Tensor = torch.stack(blocks).sum(dim=0)
    return total / max(len(text.with_text), 1)


def _directions(texts: tuple[Text, Text], means: list[Tensor]) -> Tensor:
    """Directions of the largest variance of all centred rows, descending: [D, D]."""
    scatter = means[0].new_zeros(len(means[0]), len(means[0]))
    for text, mean in zip(texts, means, strict=True):
        for block in torch.split(text.with_text, ROWS_AT_ONCE):
            centred = text.x.index_select(0, block) - mean
            scatter += centred.T @ centred
    directions: Tensor = torch.linalg.eigh(scatter).eigenvectors  # smallest variance first
    return directions.flip(1)
