"""LLMRec's features: profiles and attributes, propagated and added to the vectors, some hidden and restored."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from graph_models.dataset import GraphDataset
from graph_models.losses import unit_rows
from graph_models.objectives.base import Objective
from graph_models.objectives.rlmrec_gen import draw
from graph_models.options import Reference, Size
from graph_models.propagation import sparse_product
from graph_models.sampler import Batch
from graph_models.text import Text

Weight = Annotated[float, Field(ge=0)]
WEIGHTS = {"none": (0.1, 0.1), "reference": (2.8, 0.005)}  # of profile and attributes


class LLMRecFeatures(Objective):
    """z + w_u unit(profile) + w_i sum over the item sources of unit(attribute): all [U+I, d].

    A user's profile and each source of the items (director, country, ... each a text of its own) are projected to d;
    rows without one are zero. With A the normalised graph, profiles p give items A p and users A A p, an attribute a
    gives users A a and items A A a: text reaches a node over its edges alone. Sources of one width share a projection;
    what a user has of several sources goes through the model's adaptor.

    The loss restores masked features: each step `mask_rate` of the items with text, at most `most`, have their
    projections replaced by their source's learned token, and a decoder (Linear, LeakyReLU) restores the text x from A A
    a. It is the mean of (1 - cos(decoded, x))^2 over masked items and sources; without a rate it is zero.

    `compat` = reference is the published code: D^-1/2 A without the second root, the column's mean as token, a decoder
    whose LeakyReLU has slope 1, and the weights 2.8 and 0.005, where the options give none, instead of 0.1 and 0.1.
    """

    source: ClassVar[str] = "Wei et al., WSDM 2024, arXiv 2311.00423"
    needs_text: ClassVar[bool] = True
    adjacency: Tensor  # sparse CSR [U+I, U+I]
    root: Tensor | None  # [U+I, 1] of the degree, which takes the second root out of the adjacency
    maskable: Tensor  # int64 [P] items with any source
    token: Tensor | None  # [S, d]

    def __init__(
        self,
        graph: GraphDataset,
        dim: int,
        *,
        user_weight: Annotated[
            Weight | None, Field(description="of the profiles; default 0.1, with compat = reference 2.8")
        ] = None,
        item_weight: Annotated[
            Weight | None, Field(description="of each attribute; default 0.1, with compat = reference 0.005")
        ] = None,
        mask_rate: Annotated[
            float, Field(ge=0, le=1, description="share of items with text masked in a step; 0: no loss")
        ] = 0.1,
        most: Annotated[Size, Field(description="items masked in a step at most")] = 4096,
        compat: Reference = "none",
    ) -> None:
        super().__init__()
        self.num_users, self.num_items, self.dim = graph.num_users, graph.num_items, dim
        self.mask_rate, self.most = mask_rate, most
        self.user_weight = WEIGHTS[compat][0] if user_weight is None else user_weight
        self.item_weight = WEIGHTS[compat][1] if item_weight is None else item_weight
        self.user_text = Text(graph, "user", "llmrec_features")
        item_text = Text(replace(graph, adaptor=None), "item", "llmrec_features")
        self.sources = nn.ModuleList(_sources(item_text, graph.widths_item))
        reference, widths = compat == "reference", sorted(set(graph.widths_item))
        self.user_projection = _linear(self.user_text.dim, dim)
        self.item_projection = nn.ModuleDict({str(width): _linear(width, dim) for width in widths})
        self.decoder = nn.ModuleDict({str(width): _decoder(dim, width, reference) for width in widths if mask_rate})
        self.token = nn.Parameter(torch.zeros(len(self.sources), dim)) if mask_rate and not reference else None
        self.register_buffer("maskable", item_text.with_text, persistent=False)
        self.register_buffer("adjacency", graph.adjacency, persistent=False)
        self.register_buffer("root", _degree(graph).sqrt()[:, None] if reference else None, persistent=False)
        self.masked: list[tuple[Tensor, Tensor]] = []  # of each source, in this step: places in its x, and A A a there

    def outputs(self, z: Tensor) -> Tensor:
        masked = self._draw()  # bool [I]
        once = self._product(torch.cat([self._profiles(), self._attributes(masked)]))  # [U+I, S d]
        twice = self._product(once)
        profile = torch.cat([twice[: self.num_users, : self.dim], once[self.num_users :, : self.dim]])
        attribute = torch.cat([once[: self.num_users], twice[self.num_users :]])
        self.masked = self._to_restore(attribute[self.num_users :], masked) if self._masks else []
        attributes = unit_rows(attribute.view(len(z), -1, self.dim)).sum(dim=1)
        return z + self.user_weight * unit_rows(profile) + self.item_weight * attributes

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        del batch
        pairs = zip(self._each(), self.masked, strict=True) if self.masked else ()
        errors = [self._error(source, places, vectors) for source, (places, vectors) in pairs]
        joined = torch.cat([z.new_zeros(0), *errors])
        return joined.mean() if len(joined) else z.sum() * 0.0

    @property
    def _masks(self) -> bool:
        return self.training and self.mask_rate > 0

    def _each(self) -> list[_Source]:
        return [source for source in self.sources if isinstance(source, _Source)]

    def _draw(self) -> Tensor:
        masked = torch.zeros(self.num_items, dtype=torch.bool, device=self.maskable.device)
        if self._masks:
            masked[draw(self.maskable, self.mask_rate, self.most)] = True
        return masked

    def _profiles(self) -> Tensor:
        """[U, S d]: the profile, then nothing, beside the attributes of items."""
        rows = self.user_text.with_text
        profile = self.user_projection(self.user_text(rows))
        return _spread(nn.functional.pad(profile, (0, (len(self.sources) - 1) * self.dim)), rows, self.num_users)

    def _attributes(self, masked: Tensor) -> Tensor:
        """[I, S d]: the sources side by side."""
        return torch.cat([self._attribute(s, each, masked) for s, each in enumerate(self._each())], dim=1)

    def _attribute(self, number: int, source: _Source, masked: Tensor) -> Tensor:
        project = self.item_projection[str(source.width)]
        vectors = project(source.x)  # [P, d]
        if self._masks:
            token = project(source.mean) if self.token is None else self.token[number]
            vectors = torch.where(masked[source.rows][:, None], token, vectors)
        return _spread(vectors, source.rows, self.num_items)

    def _product(self, x: Tensor) -> Tensor:
        return sparse_product(x if self.root is None else x * self.root, self.adjacency, self.adjacency)

    def _to_restore(self, attribute: Tensor, masked: Tensor) -> list[tuple[Tensor, Tensor]]:
        blocks = torch.split(attribute, self.dim, dim=1)
        places = [masked[source.rows].nonzero()[:, 0] for source in self._each()]
        return [(at, block[source.rows[at]]) for source, at, block in zip(self._each(), places, blocks, strict=True)]

    def _error(self, source: _Source, places: Tensor, vectors: Tensor) -> Tensor:
        decoded = self.decoder[str(source.width)](vectors)  # [M, D]
        cosine = (unit_rows(decoded) * unit_rows(source.x[places])).sum(dim=1)
        return (1 - cosine).square()


class _Source(nn.Module):
    """One source of the items: the rows that have it, and only their vectors."""

    rows: Tensor  # int64 [P]
    x: Tensor  # [P, D]
    mean: Tensor  # [D]

    def __init__(self, x: Tensor, has: Tensor) -> None:
        super().__init__()
        rows = has.nonzero()[:, 0]
        present, self.width = x[rows], x.shape[1]
        mean = present.sum(dim=0) / max(1, len(rows))
        for name, tensor in (("rows", rows), ("x", present), ("mean", mean)):
            self.register_buffer(name, tensor, persistent=False)


def _sources(text: Text, widths: tuple[int, ...]) -> list[_Source]:
    blocks = torch.split(text.x, list(widths), dim=1)
    return [_Source(block, text.has[:, number]) for number, block in enumerate(blocks)]


def _degree(graph: GraphDataset) -> Tensor:
    degree = np.concatenate([np.diff(graph.seen.indptr), np.bincount(graph.seen.indices, minlength=graph.num_items)])
    return torch.from_numpy(degree.astype(np.float32)).to(graph.device)


def _spread(vectors: Tensor, rows: Tensor, size: int) -> Tensor:
    """Put vectors [P, d] into their rows of zeros [size, d]."""
    return vectors.new_zeros(size, vectors.shape[1]).index_copy(0, rows, vectors)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _decoder(dim: int, width: int, reference: bool) -> nn.Sequential:
    return nn.Sequential(_linear(dim, width), nn.LeakyReLU(1.0 if reference else 0.01))
