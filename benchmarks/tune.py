"""The same random search for every graph model of a run file, chosen on validation alone.

`python -m benchmarks.tune --run FILE [--trials 8] [--models a,b]` trains each model that is no control `trials` times
with settings drawn from SPACE (and OBJECTIVE_SPACE where it has an objective), one seed each, and prints the best. It
never looks at the test part. A stopped search goes on where it was: finished trials are found by their settings.
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
from schemas.run import Model, Objective, load_run

Space = Mapping[str, Sequence[Any]]

SPACE: Space = {
    "loss": ("bpr", "infonce"),
    "learning_rate": (1e-3, 3e-3, 1e-2),
    "temperature": (0.1, 0.15, 0.2, 0.3),
    "l2": (1e-6, 1e-5, 1e-4, 1e-3),
}
BACKBONE_SPACE: Space = {"layers": (1, 2, 3)}
OBJECTIVE_SPACE: Space = {"weight": (0.01, 0.03, 0.1, 0.3), "temperature": (0.1, 0.2, 0.5)}


def main() -> None:
    """Read the command line, search every model, print and keep the outcome."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--run", type=Path, required=True, help="run file")
    parser.add_argument("--ds", default=today(), help="night whose tables are read; it must have been materialized")
    parser.add_argument("--trials", type=int, default=8, help="settings tried per model")
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
    metric, found = night.run.evaluation.selection, []
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
    """`trials` different variants of a model, the same ones for the same seed."""
    generator, seen = random.Random(f"{seed} {model.name}"), set[str]()
    while len(seen) < trials:
        training, backbone = _draw(SPACE, generator), _draw(BACKBONE_SPACE, generator)
        drawn = {"training": {**model.training, **training}, "objectives": _objectives(model, generator)}
        if model.backbone is not None:
            drawn["backbone"] = model.backbone.model_copy(update={"options": {**model.backbone.options, **backbone}})
        variant = model.model_copy(update=drawn)
        if variant.model_dump_json() not in seen:
            seen.add(variant.model_dump_json())
            yield variant


def _objectives(model: Model, generator: random.Random) -> tuple[Objective, ...]:
    drawn = [(objective, _draw(OBJECTIVE_SPACE, generator)) for objective in model.objectives]
    return tuple(
        each.model_copy(
            update={"weight": new["weight"], "options": {**each.options, "temperature": new["temperature"]}}
        )
        for each, new in drawn
    )


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
