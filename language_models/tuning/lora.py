"""Low-rank matrices beside the linear layers of a frozen language model (LoRA, arXiv 2106.09685), through peft."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from schemas.errors import ConfigError

KNOWN = (("q_proj", "v_proj"), ("c_attn",), ("query_key_value",))  # the first that a model has all of


@dataclass(frozen=True)
class Lora:
    """A layer's output becomes W x + alpha / rank * B A x, where only A and B are trained.

    Without `targets`, the last parts of the names of layers, they are found: those of `KNOWN`, else every linear layer
    but the head.
    """

    rank: int = 8
    alpha: float = 16
    dropout: float = 0.05
    targets: tuple[str, ...] = ()


def add_lora(lm: nn.Module, lora: Lora) -> list[str]:
    """Put the matrices, float32, into the model; gives the names of their parameters. A starts at random, B at zero.

    Raises ConfigError where no layer has the name of a target.
    """
    from peft import LoraConfig, inject_adapter_in_model

    layers = _layers(lm)
    targets = lora.targets or _found(layers)
    if missing := [name for name in targets if name not in layers]:
        known = ", ".join(sorted(layers))
        raise ConfigError(f"lora.targets: {', '.join(missing)}: no linear layer has this name (known: {known})")
    transposed = any(_transposed(layers[name]) for name in targets)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(targets),
        fan_in_fan_out=transposed,
    )
    inject_adapter_in_model(config, lm)
    names = [name for name, parameter in lm.named_parameters() if parameter.requires_grad]
    for name in names:
        parameter = lm.get_parameter(name)
        parameter.data = parameter.data.float()
    return names


def lora_layers(lm: nn.Module) -> Iterator[Any]:
    """The layers that have matrices beside them."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return (module for module in lm.modules() if isinstance(module, BaseTunerLayer))


def _layers(lm: Any) -> dict[str, nn.Module]:
    """Linear layers other than the head, by the last part of their names."""
    head, found = lm.get_output_embeddings(), {}
    for name, module in lm.named_modules():
        if (isinstance(module, nn.Linear) or _transposed(module)) and module is not head:
            found[name.rpartition(".")[2]] = module
    return found


def _transposed(module: nn.Module) -> bool:
    """Whether it is a linear layer as GPT-2 has them."""
    from transformers.pytorch_utils import Conv1D  # takes seconds

    return isinstance(module, Conv1D)


def _found(layers: dict[str, nn.Module]) -> tuple[str, ...]:
    return next((names for names in KNOWN if all(name in layers for name in names)), tuple(sorted(layers)))


def restore(flags: dict[torch.nn.Parameter, bool]) -> None:
    """Put back which parameters are trained."""
    for parameter, trained in flags.items():
        parameter.requires_grad_(trained)
