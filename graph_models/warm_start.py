"""A warm start: tonight's model begins where an earlier night's ended, row by row, and new nodes begin from text."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.sparse import bmat, csr_matrix, diags
from torch import Tensor

from graph_models.backbones.base import Backbone
from graph_models.dataset import GraphDataset
from graph_models.kept import Kept
from graph_models.model import GraphModel
from graph_models.objectives.base import Objective
from graph_models.ridge import fit_ridge

FEWEST = 10  # rows with text and an earlier vector that a kind needs, for its new nodes to start from text

Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class WarmStart:
    """How many nodes started from what, and which parts of the model kept none of their other parameters.

    A model without a row per node, such as AlphaRec, has no nodes to count: its new ones are made of text anyway.
    """

    nodes_kept: int = 0
    new_from_text: int = 0
    new_from_neighbours: int = 0
    fresh: int = 0
    parameters_fresh: list[str] = field(default_factory=list)  # `part: why`

    def figures(self) -> dict[str, Any]:
        return asdict(self)


def warm_start(model: GraphModel, kept: Kept, graph: GraphDataset, nodes: pl.DataFrame, same_text: bool) -> WarmStart:
    """Overwrite a freshly built model's parameters with an earlier model's, where they mean the same.

    `nodes`: tonight's, as `node_table` makes them; a node that the earlier model did not have, or had untrained, is
    new. What a part declares as `node_rows` is copied by id. The row of a new node is, where the node has text, what a
    ridge regression of the earlier rows on tonight's text of its kind says; else the mean of such rows over its train
    neighbours; else what the fresh model drew.

    Any other parameter is copied as it is, but a part (the backbone, an objective) begins afresh as a whole where one
    of its parameters has another name or shape, and where it reads text whose coordinates were made anew
    (`same_text` is false): principal components are refitted every night and have other axes, and a shuffled control
    permutes other rows. Text that quantisation made anew is no concern: AutoGraph's factors have no parameters.
    """
    state = model.state_dict()
    place = _places(nodes, kept.nodes)
    origins: _Origins | None = None
    fresh = list[str]()
    for prefix, part in model.parts().items():
        own = {name.removeprefix(f"{prefix}."): value for name, value in state.items() if name.startswith(f"{prefix}.")}
        old = _inside(kept, prefix)
        for name in part.node_rows:
            if not _same_rows(own[name], old.get(name), kept):
                fresh.append(f"{prefix}.{name}: another shape")
                continue
            origins = origins or _Origins(place, graph)
            state[f"{prefix}.{name}"] = origins.rows(own[name], old[name])
        why = _why_fresh(part, own, old, same_text)
        state |= {} if why else {f"{prefix}.{name}": old[name] for name in own if name not in part.node_rows}
        fresh += [f"{prefix}: {why}"] if why else []
    model.load_state_dict(state)
    return WarmStart(**(origins.counts() if origins else {}), parameters_fresh=fresh)


def _places(nodes: pl.DataFrame, earlier: pl.DataFrame) -> NDArray[np.int64]:
    """The earlier row of every node of tonight: int64 [N], -1 where it is new."""
    known = earlier.with_row_index("place").filter("trained").select("kind", "id", "place")
    joined = nodes.join(known, on=["kind", "id"], how="left", maintain_order="left")
    return joined["place"].cast(pl.Int64).fill_null(-1).to_numpy()


def _inside(kept: Kept, prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in kept.parameters.items() if name.startswith(start)}


def _same_rows(own: Tensor, old: Tensor | None, kept: Kept) -> bool:
    return old is not None and old.shape[1:] == own.shape[1:] and len(old) == kept.nodes.height


def _why_fresh(
    part: Backbone | Objective, own: dict[str, Tensor], old: dict[str, Tensor], same_text: bool
) -> str | None:
    """Why a part's parameters, but for those of nodes, are not copied; None where they are, or where it has none."""
    shapes, before = ({n: v.shape for n, v in each.items() if n not in part.node_rows} for each in (own, old))
    if shapes and part.needs_text and not same_text:
        return "its text has new coordinates tonight"
    return "another shape" if shapes != before else None


class _Origins:
    """Where every node's row comes from; worked out once, for all tensors with a row per node."""

    def __init__(self, place: NDArray[np.int64], graph: GraphDataset) -> None:
        self.place, self.known = place, place >= 0
        users = graph.num_users
        self.blocks = [
            (slice(0, users), graph.x_user, graph.present_user),
            (slice(users, len(place)), graph.x_item, graph.present_item),
        ]
        self.from_text = np.zeros(len(place), dtype=bool)
        for rows, _, present in self.blocks:
            self.from_text[rows] = _from_text(self.known[rows], present)
        self.neighbours = _neighbours(graph, np.flatnonzero(~self.known & ~self.from_text), self.known | self.from_text)

    def rows(self, fresh: Tensor, earlier: Tensor) -> Tensor:
        """Tonight's [N, ...] of what the fresh model drew and the earlier model's rows."""
        value = fresh.detach().cpu().clone()
        value[self.known] = earlier[self.place[self.known]]
        for rows, x, present in self.blocks:
            if x is not None and present is not None and self.from_text[rows].any():
                value[rows] = _predicted(value[rows], x, present.cpu().numpy() & self.known[rows], self.from_text[rows])
        nodes, mean = self.neighbours
        value[nodes] = torch.from_numpy(np.asarray(mean @ value.numpy(), dtype=np.float32))
        return value

    def counts(self) -> dict[str, int]:
        kept, text, near = int(self.known.sum()), int(self.from_text.sum()), len(self.neighbours[0])
        return {
            "nodes_kept": kept,
            "new_from_text": text,
            "new_from_neighbours": near,
            "fresh": len(self.place) - kept - text - near,
        }


def _from_text(known: Bool, present: Tensor | None) -> Bool:
    """Which nodes of one kind start from text: bool [n]."""
    if present is None:
        return np.zeros_like(known)
    has = present.cpu().numpy()
    return np.asarray(has & ~known & ((has & known).sum() >= FEWEST))


def _predicted(value: Tensor, x: Tensor, fitted: Bool, wanted: Bool) -> Tensor:
    """The rows of one kind, with those that are wanted as a ridge regression on the fitted ones has them."""
    source, target = (torch.from_numpy(np.flatnonzero(each)).to(x.device) for each in (fitted, wanted))
    predicted = fit_ridge(x, value.to(x.device), source).predict(x, target).cpu()
    return value.index_copy(0, target.cpu(), predicted)


def _neighbours(graph: GraphDataset, nodes: NDArray[np.int64], given: Bool) -> tuple[NDArray[np.int64], csr_matrix]:
    """Those of the nodes that have a train neighbour with a given row: int64 [n], and the mean over them [n, N]."""
    by_user = graph.seen.astype(np.float32)
    linked = csr_matrix(bmat([[None, by_user], [by_user.T, None]], format="csr", dtype=np.float32))[nodes]
    linked = csr_matrix(linked @ diags(given.astype(np.float32)))
    count = np.asarray(linked.sum(axis=1)).ravel()
    mean = csr_matrix(diags(1 / np.maximum(count, 1)) @ linked)
    return nodes[count > 0], mean[count > 0]
