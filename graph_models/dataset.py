"""What a graph model trains on: normalised adjacency, train edges, and text vectors with their presence."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from features.codes import ItemCodes
from features.corpus import Part
from features.table import EdgeTable, FeatureSet, FeatureTable, mean_of_items
from schemas import sections
from schemas.errors import DataError


@dataclass(frozen=True)
class GraphDataset:
    """Users and items on one index of nodes: user u is node u, item i is node num_users + i."""

    num_users: int
    num_items: int
    adjacency: Tensor  # sparse CSR float32 [N, N]: D^-1/2 A D^-1/2 of the train graph, no self loops, int32 indices
    seen: csr_matrix  # bool [U, I]: train interactions, duplicates merged, columns sorted in each row
    x_user: Tensor | None = None  # float32 [U, D]
    x_item: Tensor | None = None  # float32 [I, D]
    present_user: Tensor | None = None  # bool [U]: whether the row is a vector; else it is zero
    present_item: Tensor | None = None  # bool [I]
    has_user: Tensor | None = None  # bool [U, S]: which of the S sources that stand side by side a row has
    has_item: Tensor | None = None  # bool [I, S]
    widths_user: tuple[int, ...] = ()  # columns of each source
    widths_item: tuple[int, ...] = ()
    adaptor: sections.Part | None = None  # how parts that read text make one vector of a row's sources
    edges: Mapping[str, EdgeTable] = field(default_factory=dict)  # proposed by a language model, by recipe
    codes: ItemCodes | None = None  # semantic ids of the items

    @property
    def device(self) -> torch.device:
        return self.adjacency.device

    def to(self, device: torch.device) -> GraphDataset:
        """Copy every tensor to a device; `seen` stays in main memory, where the sampler works."""
        return replace(
            self,
            adjacency=self.adjacency.to(device),
            x_user=_move(self.x_user, device),
            x_item=_move(self.x_item, device),
            present_user=_move(self.present_user, device),
            present_item=_move(self.present_item, device),
            has_user=_move(self.has_user, device),
            has_item=_move(self.has_item, device),
        )

    def fingerprint(self) -> str:
        """Hash the edges and the text: equal fingerprints train equal models."""
        adaptor = self.adaptor.model_dump_json() if self.adaptor else None
        digest = hashlib.sha256(f"{self.num_users} {self.num_items} {adaptor}".encode())
        for array in (self.seen.indptr, self.seen.indices):
            digest.update(array.astype(np.int64).tobytes())
        for tensor in (self.x_user, self.x_item, self.has_user, self.has_item):
            digest.update(b"none" if tensor is None else tensor.cpu().numpy().tobytes())
        for name, edges in sorted(self.edges.items()):
            digest.update(name.encode())
            for array in (edges.user, edges.item, edges.label, edges.weight):
                digest.update(array.tobytes())
        if self.codes is not None:
            digest.update(self.codes.hash.encode())
        return digest.hexdigest()


def make_dataset(train: Part, features: FeatureSet | None = None, adaptor: sections.Part | None = None) -> GraphDataset:
    """Build the graph of the train part.

    `features`: text of items and users, and edges; without user text, a user is the mean of his train items. Raises
    DataError on an empty train part, and on a table whose rows are not the corpus's.
    """
    if not len(train):
        raise DataError("train: expected at least one interaction, found none")
    seen = train.by_user
    seen.sort_indices()
    graph = GraphDataset(train.num_users, train.num_items, normalised_adjacency(seen), seen, adaptor=adaptor)
    return graph if features is None else _with_features(graph, train, features)


def normalised_adjacency(by_user: csr_matrix) -> Tensor:
    """D^-1/2 [[0, R], [R', 0]] D^-1/2 of R [U, I] as sparse CSR [U+I, U+I]; isolated nodes have empty rows."""
    users, items = by_user.shape
    by_item = csr_matrix(by_user.T)
    by_item.sort_indices()
    degree = np.concatenate([np.diff(by_user.indptr), np.diff(by_item.indptr)])
    scale = np.zeros(users + items, dtype=np.float32)
    np.power(degree, -0.5, out=scale, where=degree > 0)
    row = np.concatenate([[0], np.cumsum(degree)])
    column = np.concatenate([by_user.indices + users, by_item.indices])
    value = np.repeat(scale, degree) * scale[column]
    nodes = users + items
    return sparse_csr(csr_matrix((value.astype(np.float32), column, row), shape=(nodes, nodes)))


def sparse_csr(matrix: csr_matrix) -> Tensor:
    """A SciPy matrix as sparse CSR float32; indices are int32 while they fit, which MKL need not convert."""
    matrix.sort_indices()
    index = np.int32 if matrix.nnz < 2**31 else np.int64
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(index)),
            torch.from_numpy(matrix.indices.astype(index)),
            torch.from_numpy(matrix.data.astype(np.float32)),
            matrix.shape,
            check_invariants=True,
        )


def _with_features(graph: GraphDataset, train: Part, features: FeatureSet) -> GraphDataset:
    graph = replace(graph, edges=dict(features.edges), codes=features.codes)
    if features.item is None:
        return graph
    item = features.item
    _check_rows(item, graph.num_items)
    user = features.user or mean_of_items(item, train)
    _check_rows(user, graph.num_users)
    return replace(
        graph,
        x_user=torch.from_numpy(user.x),
        x_item=torch.from_numpy(item.x),
        present_user=torch.from_numpy(user.present),
        present_item=torch.from_numpy(item.present),
        has_user=torch.from_numpy(user.has),
        has_item=torch.from_numpy(item.has),
        widths_user=user.widths,
        widths_item=item.widths,
    )


def _move(tensor: Tensor | None, device: torch.device) -> Tensor | None:
    return None if tensor is None else tensor.to(device)


def _check_rows(table: FeatureTable, nodes: int) -> None:
    if len(table.x) != nodes:
        raise DataError(f"features: {table.source}: expected {nodes} {table.kind} rows, found {len(table.x)}")
