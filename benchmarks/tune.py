"""The same random search for every graph model of a run file, chosen on validation alone.

`python -m benchmarks.tune --run FILE [--trials 6] [--models a,b]` trains each model that is no control `trials` times
with settings drawn from the spaces below, one seed each, and prints the best. It never looks at the test part. Models
of one backbone get the same draws of what they share, so a baseline and its candidate differ in the objective alone. A
stopped search goes on where it was: finished trials are found by their settings.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.protocol import Exam, validation
from features.corpus import Corpus
from pipelines.fitted import fit
from pipelines.night import Night, open_night, today, write_json
from schemas.run import load_run
from schemas.sections import Model, Objective

Space = Mapping[str, Sequence[Any]]

TRAINING: Space = {"temperature": (0.1, 0.15, 0.2), "l2": (0.0, 1e-5, 1e-4)}
BACKBONE: Mapping[str, Space] = {"lightgcn": {"layers": (2, 3)}, "alpharec": {"layers": (1, 2, 3)}}
OBJECTIVE: Space = {"weight": (0.001, 0.003, 0.01, 0.03), "temperature": (0.1, 0.2, 0.5)}


def main() -> None:
    """Read the command line, search every model, print and keep the outcome."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--run", type=Path, required=True, help="run file")
    parser.add_argument("--ds", default=today(), help="night whose tables are read; it must have been materialized")
    parser.add_argument("--trials", type=int, default=6, help="settings tried per model")
    parser.add_argument("--models", default="", help="only these, separated by commas")
    parser.add_argument("--seed", type=int, default=0, help="seed of the search and of the trainings")
    chosen = parser.parse_args()
    night = open_night(load_run(chosen.run), chosen.ds)
    corpus = night.corpus()
    exam = validation(corpus)
    for model in night.run.models:
        wanted = model.name in chosen.models.split(",") if chosen.models else model.control_of is None
        if wanted and model.backbone is not None:
            trials = search(night, model, corpus, exam, chosen.trials, chosen.seed)
            write_json(night.work / "tuning" / f"{model.name}.json", trials)


def search(night: Night, model: Model, corpus: Corpus, exam: Exam, trials: int, seed: int) -> list[dict[str, Any]]:
    """Train every drawn setting of one model; best first."""
    metric, found = night.run.evaluation.selection, list[dict[str, Any]]()
    for number, variant in enumerate(draws(model, trials, seed), start=1):
        fitted, _ = fit(night, variant, seed, corpus, exam)
        settings = {**variant.training, **_part_settings(variant)}
        found.append({"valid": fitted.valid, "settings": settings, "epochs": fitted.epochs, "seconds": fitted.seconds})
        value = fitted.valid[metric]
        line = f"{model.name} {number}/{trials}: {metric} {value:.4f}, {fitted.seconds:.0f} s, best epoch"
        print(f"{line} {fitted.best_epoch} of {fitted.epochs}: {settings}", flush=True)  # noqa: T201
    found.sort(key=lambda trial: -trial["valid"][metric])
    print(f"{model.name}: best {found[0]['valid'][metric]:.4f} with {found[0]['settings']}", flush=True)  # noqa: T201
    return found


def draws(model: Model, trials: int, seed: int) -> Iterator[Model]:
    """`trials` variants of a model that differ in training or backbone, the same ones for the same seed."""
    assert model.backbone is not None, "only graph models are searched"
    shared, own = random.Random(f"{seed} {model.backbone.name}"), random.Random(f"{seed} objectives")
    seen = list[tuple[dict[str, Any], dict[str, Any]]]()
    while len(seen) < trials:
        options, training = _draw(BACKBONE.get(model.backbone.name, {}), shared), _draw(TRAINING, shared)
        if (options, training) in seen:
            continue
        seen.append((options, training))
        backbone = model.backbone.model_copy(update={"options": {**model.backbone.options, **options}})
        objectives = tuple(_objective(objective, own) for objective in model.objectives)
        drawn = {"training": {**model.training, **training}, "backbone": backbone, "objectives": objectives}
        yield model.model_copy(update=drawn)


def _objective(objective: Objective, generator: random.Random) -> Objective:
    drawn = _draw(OBJECTIVE, generator)
    options = {**objective.options, "temperature": drawn["temperature"]}
    return objective.model_copy(update={"weight": drawn["weight"], "options": options})


def _draw(space: Space, generator: random.Random) -> dict[str, Any]:
    return {name: generator.choice(values) for name, values in space.items()}


def _part_settings(model: Model) -> dict[str, Any]:
    settings = {f"backbone.{name}": value for name, value in (model.backbone.options if model.backbone else {}).items()}
    for objective in model.objectives:
        settings |= {f"{objective.name}.weight": objective.weight}
        settings |= {f"{objective.name}.{name}": value for name, value in objective.options.items()}
    return settings


if __name__ == "__main__":
    main()
