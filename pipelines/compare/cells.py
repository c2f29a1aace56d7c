"""The cells of the matrix: every system without text once, every system that reads text once per text and control."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from graph_models.backbones import BACKBONES
from graph_models.objectives import OBJECTIVES
from recommenders import RECOMMENDERS, check_model
from schemas.errors import ConfigError, unknown_name
from schemas.run import Run
from schemas.sections import Compare, CompareText, Features, Model, System

Kind = Literal["none", "shuffled", "shuffled_items", "shuffled_users", "random", "title"]
TITLE = "title-only"  # how the title control's text is called


@dataclass(frozen=True)
class Cell:
    """One system with one text (or none) under one control; what is tuned, fitted and measured."""

    system: System
    text: str | None  # its name; TITLE of a title control
    control: Kind
    model: Model

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def graph(self) -> bool:
        """Whether it is trained by steps."""
        return self.system.backbone is not None

    @property
    def seeded(self) -> bool:
        """Whether seeds differ: in what the recommender draws, or in how the control is drawn."""
        return RECOMMENDERS[self.system.recommender].seeded or self.model.control != "none"


def settings_of(run: Run) -> Compare:
    """The section `compare`. Raises ConfigError where the run file has none."""
    if run.compare is None:
        raise ConfigError(f"{run.file}: compare: missing; add [compare] with [[compare.systems]]")
    return run.compare


def make_cells(run: Run, systems: Collection[str] = (), texts: Collection[str] = ()) -> list[Cell]:
    """The cells in the order of the run file; with names only of those, and of what they are measured against.

    Raises ConfigError on an unknown name, a system that cannot be made, and one that reads text where no text suits.
    """
    compare = settings_of(run)
    chosen = [text for text in compare.texts if _is_in(texts, text.name)]
    _refuse_unknown(f"{run.file}: compare.texts", texts, [text.name for text in compare.texts])
    wanted = _with_references(run, compare, systems)
    cells = [cell for system in compare.systems if system.name in wanted for cell in _of(run, compare, system, chosen)]
    names = [cell.name for cell in cells]
    for cell in cells:
        if names.count(cell.name) > 1:
            raise ConfigError(f"{run.file}: compare: two cells are called {cell.name}; rename a system or a text")
        _check(cell, run)
    _check_references(run, compare)
    return cells


def reads(system: System) -> bool:
    """Whether a system reads text or edges."""
    return _reads_text(system) or bool(_edges(system))


def _of(run: Run, compare: Compare, system: System, texts: list[CompareText]) -> Iterator[Cell]:
    if not reads(system):
        yield Cell(system, None, "none", _model(system, None, None, "none"))
        return
    suited = [(text, read) for text in texts if (read := _suited(system, text)) is not None]
    if not suited:
        raise ConfigError(
            f"{run.file}: compare.systems.{system.name}: reads text or edges; expected a [[compare.texts]] that has "
            f"them, found {', '.join(text.name for text in texts) or 'none'}"
        )
    for text, features in suited:
        yield Cell(system, text.name, "none", _model(system, text.name, features, "none"))
        for control in compare.controls:
            if control != "title":
                yield Cell(system, text.name, control, _model(system, text.name, features, control))
    if "title" in compare.controls and _reads_text(system):
        title = Features(item=compare.title)
        if all(features != title for _, features in suited):
            yield Cell(system, TITLE, "title", _model(system, TITLE, title, "title"))


def _model(system: System, text: str | None, features: Features | None, control: Kind) -> Model:
    whole = system.name if text is None else f"{system.name}.{text}"
    changed = control not in ("none", "title")
    return Model(
        name=f"{whole}.{control}" if changed else whole,
        recommender=system.recommender,
        options=system.options,
        backbone=system.backbone,
        objectives=system.objectives,
        training=system.training,
        cold_items=system.cold_items,
        cold_spread=system.cold_spread,
        features=features,
        control="none" if control == "title" else control,
        control_of=whole if changed else None,
    )


def _suited(system: System, text: CompareText) -> Features | None:
    """What a system reads of a text; None where it lacks what the system needs."""
    edges = _edges(system)
    if (_reads_text(system) and text.item is None) or not set(edges) <= set(text.edges):
        return None
    read = Features.model_validate(text.model_dump(exclude={"name", "edges"}))
    if not _reads_text(system):
        read = Features()
    return read.model_copy(update={"edges": edges})


def _reads_text(system: System) -> bool:
    recommender, backbone = RECOMMENDERS.get(system.recommender), system.backbone
    parts = [OBJECTIVES[each.name] for each in system.objectives if each.name in OBJECTIVES]
    of_backbone = backbone is not None and backbone.name in BACKBONES and BACKBONES[backbone.name].needs_text
    whole = system.cold_items == "text" or (recommender is not None and recommender.reads_text)
    return whole or of_backbone or any(p.needs_text for p in parts)


def _edges(system: System) -> tuple[str, ...]:
    """The recipes whose edges its objectives read."""
    found = []
    for each in system.objectives:
        option = (
            inspect.signature(OBJECTIVES[each.name].__init__).parameters.get("edges") if _known(each.name) else None
        )
        if option is not None:
            found.append(str(each.options.get("edges", option.default)))
    return tuple(dict.fromkeys(found))


def _known(objective: str) -> bool:
    return objective in OBJECTIVES


def _with_references(run: Run, compare: Compare, systems: Collection[str]) -> set[str]:
    """The chosen systems, their twins without text, and the baseline."""
    by_name = {system.name: system for system in compare.systems}
    _refuse_unknown(f"{run.file}: compare.systems", systems, by_name)
    if not systems:
        return set(by_name)
    twins = {twin for name in systems if (twin := by_name[name].without) is not None}
    named = {compare.baseline} if compare.baseline != "best" else set()
    found = {*systems, *twins, *named}
    if not any(not reads(by_name[name]) for name in found):
        found |= {name for name, system in by_name.items() if not reads(system)}
    return found


def _check_references(run: Run, compare: Compare) -> None:
    """What lifts are measured against reads no text."""
    without_text = {system.name for system in compare.systems if not reads(system)}
    if not without_text:
        raise ConfigError(f"{run.file}: compare.systems: expected one that reads no text, as a baseline; found none")
    referred = {f"systems.{each.name}.without": each.without for each in compare.systems if each.without is not None}
    referred |= {"baseline": compare.baseline} if compare.baseline != "best" else {}
    for where, name in referred.items():
        if name not in without_text:
            known = ", ".join(sorted(without_text))
            raise ConfigError(f"{run.file}: compare.{where}: {name} reads text; expected one of {known}")


def _refuse_unknown(where: str, names: Collection[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(unknown_name(where, name, known))


def _is_in(names: Collection[str], name: str) -> bool:
    return not names or name in names


def _check(cell: Cell, run: Run) -> None:
    """As `check_model`, but the error names the place in `compare`."""
    try:
        check_model(cell.model, run)
        run.settings_of(cell.model)
    except ConfigError as error:
        rest = str(error).removeprefix(f"{run.file}: models.{cell.name}")
        raise ConfigError(f"{run.file}: compare.systems.{cell.system.name}{rest}") from None
