"""From a cell to its settings and final fits: the search on validation, then every seed with one look at test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pipelines.compare.cells import Cell, settings_of
from pipelines.compare.finals import Final
from pipelines.compare.search import Trial, best_of, planned, search, size
from pipelines.compare.space import Settings, space_of, written
from pipelines.compare.trials import Bench
from pipelines.progress import Advance
from schemas.errors import ConfigError
from schemas.run import Run


@dataclass(frozen=True)
class Tuned:
    """What the search of a cell has come to; nothing of test is in it."""

    trials: list[dict[str, Any]]  # as their files keep them, in order, with `kind`
    best: Trial
    possible: int  # settings that the space has


def tune(bench: Bench, cell: Cell, advance: Advance, twin: Tuned | None = None) -> Tuned:
    """Search the cell's space, from what its twin without text has found. Raises ConfigError where nothing fits."""
    run = bench.night.run
    space, start, seed = space_of(cell, run), written(cell, run), seeds_of(run)[0]
    inherited = {name: value for name, value in twin.best.settings.items() if name in space} if twin else {}
    kept, best = list[dict[str, Any]](), list[tuple[float, Settings]]()

    def measure(settings: Settings) -> float:
        advance(0, f"{cell.name}, trial {len(kept) + 1}")
        kept.append(bench.trial(cell, settings, seed))
        value = -math.inf if kept[-1]["value"] is None else float(kept[-1]["value"])
        _forget_worse(bench, cell, best, (value, settings), seed)
        advance(1, f"{cell.name}: {value:.4f} on validation")
        return value

    trials = search(space, start, budget(cell, run), settings_of(run).search_seed, measure, inherited)
    chosen = best_of(trials)
    if chosen.value == -math.inf:
        raise ConfigError(f"compare: {cell.name}: none of {len(kept)} settings could be fitted: {kept[0]['failed']}")
    told = [{**each, "kind": trial.kind} for each, trial in zip(kept, trials, strict=True)]
    return Tuned(told, chosen, size(space, start))


def finish(bench: Bench, cell: Cell, settings: Settings, advance: Advance) -> list[Final]:
    """Fit the chosen settings for every seed (what no seed changes, once) and look at test."""
    finals = []
    for seed in final_seeds(cell, bench.night.run):
        advance(0, f"{cell.name}, seed {seed}")
        finals.append(bench.final(cell, settings, seed))
        bench.forget(cell, settings, seed)
        advance(1, f"{cell.name}, seed {seed}")
    return finals


def steps(cell: Cell, run: Run) -> int:
    """How many fits a cell comes to."""
    return planned(space_of(cell, run), written(cell, run), budget(cell, run)) + len(final_seeds(cell, run))


def budget(cell: Cell, run: Run) -> int:
    """The trials of a cell: the same of all, and of all that are trained by steps; half as many more of a twin.

    A cell with text tries as many settings around what it inherits from its twin: the twin has had those trials too.
    """
    compared = settings_of(run)
    trials = compared.graph_trials or compared.trials if cell.graph else compared.trials
    is_twin = any(system.without == cell.system.name for system in compared.systems)
    return trials + trials // 2 if is_twin else trials


def seeds_of(run: Run) -> tuple[int, ...]:
    """The seeds of final fits; the first one is also that of the search."""
    return settings_of(run).seeds or run.seeds


def final_seeds(cell: Cell, run: Run) -> tuple[int, ...]:
    return seeds_of(run) if cell.seeded else seeds_of(run)[:1]


def _forget_worse(
    bench: Bench, cell: Cell, best: list[tuple[float, Settings]], mine: tuple[float, Settings], seed: int
) -> None:
    """The checkpoint of the best trial so far stays for the final fit; all others go."""
    gone = best[:] if not best or mine[0] > best[0][0] else [mine]
    if gone != [mine]:
        best[:] = [mine]
    for _, settings in gone:
        bench.forget(cell, settings, seed)
