"""What every tuned language model takes from a run file beside its options: its folder, the trainer, the judge."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from graph_models.curve import Progress
from graph_models.device import find_device
from language_models.capabilities import require
from language_models.model_folder import find_model
from schemas.errors import ConfigError
from schemas.run import Run
from schemas.sections import Evaluation, Model, SequenceTraining

NEEDS = ("logits", "train")


@dataclass(frozen=True)
class Settings:
    """Of one model and seed."""

    language_model: Path
    device: torch.device
    training: SequenceTraining
    evaluation: Evaluation
    seed: int = 0
    folder: Path | None = None  # of checkpoints
    progress: Progress | None = None

    @classmethod
    def of(cls, model: Model, run: Run, seed: int, folder: Path | None, progress: Progress | None) -> Settings:
        """Those of the run file. Raises ConfigError where the language model or the device is not there."""
        llm = run.llm_of_model(model)
        device = find_device(llm.device if llm.device != "auto" else run.device)
        training = run.sequence_training_of(model)
        return cls(find_model(llm.model), device, training, run.evaluation, seed, folder, progress)


def check_language_model(model: Model, run: Run, needs: tuple[str, ...] = NEEDS, instead: str = "") -> None:
    """Refuse what cannot be tuned: an engine without logits, packages or a folder that are not there."""
    llm, where = run.llm_of_model(model), f"{run.file}: models.{model.name}"
    require(model.recommender, needs, llm.engine, where, instead)
    for package in ("transformers", "peft"):
        if find_spec(package) is None:
            raise ConfigError(f"{where}: no module {package}; run: pip install 'loregraph[text]'")
    try:
        find_model(llm.model)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
