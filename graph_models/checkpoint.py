"""One file per training run, replaced whole: tensors and state, without pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


@dataclass(frozen=True)
class Checkpoint:
    """Where a run is remembered, and the key of what it trains: a file with another key is not resumed."""

    file: Path
    key: str

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write both, then take the place of the file before."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        draft = self.file.with_suffix(f".{os.getpid()}.draft")
        copies = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(copies, draft, metadata={"key": self.key, "state": json.dumps(state)})
        draft.replace(self.file)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Read both, or nothing where there is no such file, another key, or a torn file; nothing of it is run."""
        try:
            with safe_open(self.file, framework="pt") as opened:
                metadata = opened.metadata() or {}
                if metadata.get("key") != self.key:
                    return None
                return {name: opened.get_tensor(name) for name in opened.keys()}, json.loads(metadata["state"])  # noqa: SIM118
        except (FileNotFoundError, SafetensorError, ValueError, KeyError, RecursionError):
            return None


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Name every tensor of the optimizer's state: optimizer.NUMBER.FIELD."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{number}.{name}": value for number, fields in state.items() for name, value in fields.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Undo `optimizer_tensors`, with the settings that the optimizer was made with."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".", 2)
            state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
