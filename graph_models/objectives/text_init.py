"""Text as a start: what nodes learn is added to the principal components of their text."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from graph_models.dataset import GraphDataset
from graph_models.objectives.base import Fusion
from graph_models.text import Text, both_texts

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
    start: Tensor  # [U+I, d]

    def __init__(self, graph: GraphDataset, dim: int) -> None:
        super().__init__()
        texts = both_texts(replace(graph, adaptor=None), "text_init")
        # kept in the checkpoint: another machine may give a component the other sign
        self.register_buffer("start", _start(texts, dim))

    def inputs(self, x: Tensor) -> Tensor:
        return x + self.start


def _start(texts: tuple[Text, Text], dim: int) -> Tensor:
    centred = [text.x[text.with_text] - text.x[text.with_text].mean(dim=0) for text in texts]
    components = principal_components(torch.cat(centred), dim)  # [P, k]
    components *= STD / (components.square().mean().sqrt() + torch.finfo(components.dtype).tiny)
    start = components.new_zeros(sum(len(text.x) for text in texts), dim)
    rows = torch.cat([text.present for text in texts]).nonzero()[:, 0]
    start[rows] = nn.functional.pad(components, (0, dim - components.shape[1]))
    return start


def principal_components(x: Tensor, most: int) -> Tensor:
    """Coordinates of centred rows x [n, D] along the directions of largest variance, descending: [n, min(D, most)]."""
    directions: Tensor = torch.linalg.eigh(x.T @ x).eigenvectors  # [D, D], smallest variance first
    return x @ directions.flip(1)[:, :most]
