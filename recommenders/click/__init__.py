"""Click models by the name that a run file gives them, and how to check and make one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from graph_models.options import check_options
from recommenders.click.dcn_v2 import DCNv2
from recommenders.click.din import DIN
from recommenders.click.predictor import Predictor
from recommenders.click.tower import Tower
from recommenders.click.trainer import ClickEpoch
from schemas.errors import ConfigError, unknown_name
from schemas.run import Run
from schemas.sections import ClickModel, ClickTraining

CLICK_MODELS: dict[str, type[Tower]] = {"din": DIN, "dcn_v2": DCNv2}


def check_click_model(model: ClickModel, run: Run) -> None:
    """Refuse a click model that could not be made, without making it. Raises ConfigError naming file and key."""
    where = f"{run.file}: click_models.{model.name}"
    if model.model not in CLICK_MODELS:
        raise ConfigError(unknown_name(f"{where}.model", model.model, CLICK_MODELS))
    check_options(CLICK_MODELS[model.model], model.options, f"{where}.options")
    read = model.features
    if model.control == "shuffled" and read is None:
        raise ConfigError(f"{where}.control: shuffled permutes texts; add features or remove it")
    if read is not None and read.item is None and read.semantic_ids is None:
        raise ConfigError(f"{where}.features.item: missing; without texts and semantic_ids leave features out")
    if read is not None and (read.edges or read.adaptor is not None):
        raise ConfigError(
            f"{where}.features: a click model reads texts and semantic ids alone; remove edges and adaptor"
        )


def make_predictor(
    model: ClickModel,
    run: Run,
    seed: int,
    settings: ClickTraining | None = None,
    folder: Path | None = None,
    progress: Callable[[ClickEpoch], None] | None = None,
) -> Predictor:
    """Make the untrained predictor of a click model and seed; `settings` replace those of the run file.

    `folder` keeps its checkpoints (none without it). Raises ConfigError as `check_click_model` does.
    """
    check_click_model(model, run)
    training = settings or run.click_training_of(model)
    return Predictor(CLICK_MODELS[model.model], model, training, seed, run.device, folder, progress)
