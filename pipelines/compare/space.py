"""What a search may change of a cell: one coordinate per option, with the values that its class offers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graph_models.backbones import BACKBONES
from graph_models.objectives import OBJECTIVES
from graph_models.objectives.base import Fusion
from graph_models.options import check_options
from pipelines.compare.cells import Cell
from recommenders import RECOMMENDERS
from schemas.errors import ConfigError, unknown_name
from schemas.run import Run
from schemas.sections import Model, Objective, Part

Settings = Mapping[str, Any]  # coordinate, such as options.l2 or objectives.rlmrec_con.weight -> value
Space = Mapping[str, tuple[Any, ...]]

TRAINING: Mapping[str, Sequence[Any]] = {"temperature": (0.1, 0.15, 0.2), "l2": (0.0, 1e-5, 1e-4)}
WEIGHT = (0.001, 0.003, 0.01, 0.03, 0.1)  # of an objective's loss


def space_of(cell: Cell, run: Run) -> Space:
    """Coordinate -> values, without those that the run file keeps as written. Raises ConfigError on unknown ones."""
    space = {name: tuple(values) for name, values in _offered(cell, run)}
    for name, values in cell.system.space.items():
        if name not in (known := written(cell, run)):
            where = f"{run.file}: compare.systems.{cell.system.name}.space"
            raise ConfigError(unknown_name(where, name, known))
        space[name] = tuple(values)
        for value in values:
            _check(cell, run, name, value)
    return {name: values for name, values in space.items() if values}


def written(cell: Cell, run: Run) -> dict[str, Any]:
    """The value of every coordinate as the run file has it, and as the part's own default where it says nothing."""
    system = cell.system
    found = _named("options", RECOMMENDERS[system.recommender].options_of(), system.options)
    if system.backbone is None:
        return found
    found |= _named("backbone", BACKBONES[system.backbone.name], system.backbone.options)
    for each in system.objectives:
        found |= _named(f"objectives.{each.name}", OBJECTIVES[each.name], each.options)
        found[f"objectives.{each.name}.weight"] = each.weight
    training = run.settings_of(cell.model).model_dump(exclude={"warm_start"})
    return found | {f"training.{name}": value for name, value in training.items()}


def applied(model: Model, settings: Settings) -> Model:
    """The model with other settings."""
    given: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        place, _, option = name.rpartition(".")
        given.setdefault(place, {})[option] = value
    backbone = model.backbone and _with(model.backbone, given.get("backbone", {}))
    objectives = tuple(_weighted(each, given.get(f"objectives.{each.name}", {})) for each in model.objectives)
    options, training = ({**getattr(model, name), **given.get(name, {})} for name in ("options", "training"))
    changes = {"options": options, "backbone": backbone, "objectives": objectives, "training": training}
    return model.model_copy(update=changes)


def _offered(cell: Cell, run: Run) -> Iterator[tuple[str, Sequence[Any]]]:
    system = cell.system
    yield from ((f"options.{name}", each) for name, each in RECOMMENDERS[system.recommender].space.items())
    if system.backbone is None:
        return
    yield from ((f"backbone.{name}", each) for name, each in BACKBONES[system.backbone.name].space.items())
    for part in system.objectives:
        objective = OBJECTIVES[part.name]
        yield from ((f"objectives.{part.name}.{name}", each) for name, each in objective.space.items())
        if not issubclass(objective, Fusion):
            yield f"objectives.{part.name}.weight", WEIGHT
    softmax = run.training_of(cell.model).loss != "bpr"  # else there is no temperature
    yield from ((f"training.{name}", each) for name, each in TRAINING.items() if softmax or name != "temperature")


def _named(place: str, part: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword-only parameters of a part's constructor, as given or by default."""
    parameters = inspect.signature(part.__init__).parameters.values()  # type: ignore[misc]
    own = [each for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]
    return {f"{place}.{each.name}": options.get(each.name, each.default) for each in own}


def _with(part: Part, options: Mapping[str, Any]) -> Part:
    return part.model_copy(update={"options": {**part.options, **options}})


def _weighted(objective: Objective, options: Mapping[str, Any]) -> Objective:
    own = {name: value for name, value in options.items() if name != "weight"}
    changes = {"options": {**objective.options, **own}, "weight": options.get("weight", objective.weight)}
    return objective.model_copy(update=changes)


def _check(cell: Cell, run: Run, name: str, value: Any) -> None:
    """Refuse a value of the run file that the part would not take."""
    where, system = f"{run.file}: compare.systems.{cell.system.name}.space", cell.system
    place, _, option = name.rpartition(".")
    if place == "options":
        check_options(RECOMMENDERS[system.recommender].options_of(), {option: value}, where)
    elif place == "backbone" and system.backbone is not None:
        check_options(BACKBONES[system.backbone.name], {option: value}, where)
    elif place.startswith("objectives.") and option != "weight":
        check_options(OBJECTIVES[place.removeprefix("objectives.")], {option: value}, where)
    else:
        run.settings_of(Model.model_validate(applied(cell.model, {name: value}).model_dump()))
