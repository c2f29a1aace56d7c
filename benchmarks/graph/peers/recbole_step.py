"""A training step of RecBole's LightGCN on an interaction of its own: `python recbole_step.py FILE.npz FOLDER`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.config import Config  # type: ignore[import-not-found]
from recbole.data import create_dataset  # type: ignore[import-not-found]
from recbole.data.interaction import Interaction  # type: ignore[import-not-found]
from recbole.model.general_recommender import LightGCN  # type: ignore[import-not-found]
from scipy.sparse import dok_matrix
from turns import serve  # type: ignore[import-not-found]

NAME = "pairs"


def prepare() -> tuple[Mapping[str, Callable[[], Any]], Mapping[str, Any]]:
    """RecBole's data set and model of the pairs, and Adam as its trainer makes it."""
    given, folder = np.load(sys.argv[1]), Path(sys.argv[2])
    write_atomic(given["user"], given["item"], folder / NAME)
    give_back_what_recbole_calls()
    config = Config(model="LightGCN", dataset=NAME, config_dict=settings(given, folder))
    dataset = create_dataset(config)
    model = LightGCN(config, dataset)
    user, item = (rows_of(dataset, field, given[f"num_{field}s"]) for field in ("user", "item"))
    x = torch.from_numpy(given["x"])
    model.user_embedding.weight.data[user] = x[: len(user)]
    model.item_embedding.weight.data[item] = x[len(user) :]
    optimizer = torch.optim.Adam(model.parameters(), lr=config["learning_rate"])
    batches = cycle([interaction(batch, user, item) for batch in given["batches"]])

    def step() -> dict[str, float]:
        optimizer.zero_grad()
        loss = model.calculate_loss(next(batches))
        loss.backward()
        optimizer.step()
        return {"loss": float(loss)}

    return {"step": step}, {"threads": torch.get_num_threads()}


def settings(given: Any, folder: Path) -> dict[str, Any]:
    """The sizes of the other clients; all else is RecBole's default."""
    return {
        "data_path": str(folder),
        "load_col": {"inter": ["user_id", "item_id"]},
        "embedding_size": given["x"].shape[1],
        "n_layers": int(given["layers"]),
        "reg_weight": float(given["l2"]),
        "require_pow": True,  # squared lengths, as LightGCN has them
        "use_gpu": False,
        "state": "ERROR",
    }


def write_atomic(user: NDArray[np.int64], item: NDArray[np.int64], folder: Path) -> None:
    """The file format that RecBole reads."""
    folder.mkdir(parents=True)
    lines = ["user_id:token\titem_id:token", *(f"{one}\t{other}" for one, other in zip(user, item, strict=True))]
    (folder / f"{NAME}.inter").write_text("\n".join(lines) + "\n", encoding="ascii")


def rows_of(dataset: Any, field: str, count: int) -> torch.Tensor:
    """RecBole's row of every one of our numbers; its row 0 is for padding."""
    return torch.from_numpy(dataset.token2id(f"{field}_id", np.arange(count).astype(str)))


def interaction(batch: NDArray[np.int64], user: torch.Tensor, item: torch.Tensor) -> Interaction:
    rows = {"user_id": user[batch[0]], "item_id": item[batch[1]], "neg_item_id": item[batch[2]]}
    return Interaction(rows)


def give_back_what_recbole_calls() -> None:
    """RecBole 1.2.1 calls names that NumPy 2 and SciPy 1.13 have left out; none of them is part of a step."""
    for name, type_ in (("float_", np.float64), ("complex_", np.complex128), ("unicode_", np.str_)):
        if name not in vars(np):
            setattr(np, name, type_)
    if not hasattr(dok_matrix, "_update"):
        dok_matrix._update = lambda self, entries: self._dict.update(entries)


if __name__ == "__main__":
    serve(prepare)
