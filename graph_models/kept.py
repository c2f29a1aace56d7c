"""What a trained model leaves to the next night's: the parameters of its best epoch, and whose rows they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from features.corpus import Corpus
from graph_models.dataset import GraphDataset
from schemas.errors import StoreError

PARAMETERS, NODES = "parameters.safetensors", "nodes.parquet"


@dataclass(frozen=True)
class Kept:
    """Parameters and kept buffers by name, and the nodes in the order of their rows."""

    parameters: Mapping[str, Tensor]
    nodes: pl.DataFrame  # kind (user, item), id, trained: users first, each kind in index order

    def save(self, folder: Path) -> None:
        save_file(dict(self.parameters), folder / PARAMETERS)
        self.nodes.write_parquet(folder / NODES)

    @classmethod
    def load(cls, folder: Path) -> Kept:
        """Read what `save` wrote. Raises StoreError where it is not there or cannot be read."""
        if not is_kept(folder):
            raise StoreError(f"{folder}: no {PARAMETERS} with {NODES} here; run `loregraph train` for that night first")
        try:
            return cls(load_file(folder / PARAMETERS), pl.read_parquet(folder / NODES))
        except (SafetensorError, pl.exceptions.PolarsError, OSError, ValueError) as error:
            raise StoreError(
                f"{folder / PARAMETERS}, {NODES}: damaged ({error}); move the folder away and run `loregraph train` "
                "again"
            ) from None


def is_kept(folder: Path) -> bool:
    """Whether a folder has what `Kept.load` reads."""
    return (folder / PARAMETERS).is_file() and (folder / NODES).is_file()


def node_table(corpus: Corpus, graph: GraphDataset) -> pl.DataFrame:
    """Every node of the graph in index order: kind, id, and `trained`, whether anything positive taught its row.

    That is a train interaction, or an edge of a language model that the model reads: a row without either was moved as
    a negative at most.
    """
    ids = {kind: corpus.ids(kind) for kind in ("user", "item")}
    frames = [pl.DataFrame({"kind": [kind] * len(each), "id": each}) for kind, each in ids.items()]
    return pl.concat(frames).with_columns(trained=pl.Series(_trained(corpus, graph)))


def _trained(corpus: Corpus, graph: GraphDataset) -> NDArray[np.bool_]:
    user, item = corpus.train.user_degree > 0, corpus.train.item_degree > 0
    for edges in graph.edges.values():
        liked = edges.label > 0
        user[edges.user[liked]], item[edges.item[liked]] = True, True
    return np.concatenate([user, item])
