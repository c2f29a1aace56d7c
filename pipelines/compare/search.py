"""The search that every cell gets: as written, then random, then around the best so far; on validation alone.

Trial 0 is the settings as the run file has them. Half of the others are drawn at random, the rest change one or two
coordinates of the best so far. What a cell shares with its twin without text it inherits: it starts from the twin's
best, and its random draws are of its own coordinates, so that the two differ by what the text adds. A draw depends on
the search's seed and the name of a coordinate alone, so that cells that share coordinates and their values get the same
draws of them. What was tried is not tried again, and a space that has no more settings than there are trials is tried
whole.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice, product
from types import MappingProxyType

from pipelines.compare.space import Settings, Space

NOTHING: Settings = MappingProxyType({})
MISSES = 1000  # draws in a row that were tried before, after which the search ends


@dataclass(frozen=True)
class Trial:
    """Settings that were tried, and what they came to on validation."""

    settings: Settings
    value: float  # -inf where it could not be trained
    kind: str  # written, random, local or grid


Measure = Callable[[Settings], float]


def search(
    space: Space, written: Settings, trials: int, seed: int, measure: Measure, inherited: Settings = NOTHING
) -> list[Trial]:
    """Every trial in its order; the best is `best_of` them. `measure` is called once per distinct settings."""
    start = {name: inherited.get(name, written[name]) for name in space}
    found = [Trial(start, measure(start), "written")]
    if size(space, start) <= trials:
        rest = (settings for settings in _grid(space) if settings != start)
        return [*found, *(Trial(settings, measure(settings), "grid") for settings in rest)]
    first = 1 + math.ceil((trials - 1) / 2)
    drawn: Iterator[Settings] = ({**settings, **inherited} for settings in _draws(space, seed))
    fresh = (settings for settings in drawn if not _tried(settings, found))
    for settings in islice(fresh, first - 1):
        found.append(Trial(settings, measure(settings), "random"))
    for step in count():
        if len(found) >= trials or step >= MISSES:
            return found
        settings = _changed(best_of(found).settings, space, seed, step)
        if not _tried(settings, found):
            found.append(Trial(settings, measure(settings), "local"))
    raise AssertionError("the loop above ends")


def best_of(trials: list[Trial]) -> Trial:
    """The trial with the largest value, of equal ones the first."""
    return max(trials, key=lambda trial: trial.value)


def size(space: Space, start: Settings) -> int:
    """How many settings there are: the grid, and the start (it may name more than the space) where it is not on it."""
    on_grid = all(start[name] in values for name, values in space.items())
    return math.prod(len(values) for values in space.values()) + (not on_grid)


def planned(space: Space, start: Settings, trials: int) -> int:
    """How many trials a search comes to."""
    return min(trials, size(space, start))


def _grid(space: Space) -> Iterator[Settings]:
    return (dict(zip(space, values, strict=True)) for values in product(*space.values()))


def _draws(space: Space, seed: int) -> Iterator[Settings]:
    """Random settings; number n of a coordinate is the same wherever the coordinate has the same values."""
    for number in range(MISSES):
        yield {name: _pick(values, f"{seed} {name} {number}") for name, values in space.items()}


def _pick(values: tuple[object, ...], text: str) -> object:
    return values[int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % len(values)]


def _changed(settings: Settings, space: Space, seed: int, step: int) -> Settings:
    """One or two coordinates (in turns) with another value."""
    generator = random.Random(f"{seed} {sorted(space)} {step}")
    names = [name for name, values in space.items() if any(value != settings[name] for value in values)]
    changed = generator.sample(names, k=min(1 + step % 2, len(names)))
    return {**settings, **{name: generator.choice([v for v in space[name] if v != settings[name]]) for name in changed}}


def _tried(settings: Settings, found: list[Trial]) -> bool:
    return any(trial.settings == settings for trial in found)
