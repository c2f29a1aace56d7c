"""Who is compared with whom, and what the paired bootstrap says; a slice and metric is a family of hypotheses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from evaluation.intervals import Pair, compare_many, holm, mean_over_seeds
from evaluation.metrics import Scores
from pipelines.compare.cells import TITLE, Cell
from pipelines.compare.finals import ALL, METRICS, PRIMARY, SLICES, Final
from pipelines.compare.tuning import Tuned

Role = Literal["baseline", "twin", "unanswered", "shuffled", "shuffled_items", "shuffled_users", "random", "title"]
SURE = 0.05


@dataclass(frozen=True)
class Outcome:
    """What the search and the final fits of a cell have come to."""

    cell: Cell
    tuned: Tuned
    finals: list[Final]

    @property
    def valid(self) -> float:
        """The selection metric on the whole of validation, mean over seeds."""
        return float(np.mean([final.valid for final in self.finals]))

    def scores(self, part: str) -> Scores | None:
        """Per-user scores of a slice, mean over seeds; None where it has no users."""
        found = [final.scores[part] for final in self.finals if part in final.scores]
        return mean_over_seeds(found) if found else None

    def by_seed(self, part: str, metric: str) -> list[float]:
        return [float(f.scores[part].values[metric].mean()) for f in self.finals if part in f.scores]


def pick_baseline(outcomes: Sequence[Outcome], wanted: str) -> str:
    """The baseline's name: the run file's, or the best without text on validation."""
    if wanted != "best":
        return wanted
    return max((each for each in outcomes if each.cell.text is None), key=lambda each: each.valid).cell.name


def pairs_of(cells: Sequence[Cell], baseline: str) -> list[tuple[str, str, Role]]:
    """(candidate, against, role) in the order of the cells.

    Controls are held against the system without text alone: that they say no more than it is what they are for.
    """
    names = {cell.name for cell in cells}
    found: list[tuple[str, str, Role]] = []
    for cell in cells:
        twin = cell.system.without if cell.text is not None else None
        twin = twin if twin in names else None
        if cell.model.control == "none" or twin is None:
            found.append((cell.name, baseline, "baseline"))
        if twin is not None:
            found.append((cell.name, twin, "twin"))
        found += [(cell.name, other.name, "unanswered") for other in _unanswered(cell, cells)]
        found += [(cell.name, control.name, control.control) for control in _controls(cell, cells)]  # type: ignore[misc]
    return [pair for pair in found if pair[0] != pair[1]]


def comparisons(outcomes: Sequence[Outcome], baseline: str, resamples: int, seed: int) -> list[dict[str, Any]]:
    """One row per pair, slice and metric: difference, 95 % interval, p, and p adjusted within its slice and metric."""
    pairs = pairs_of([outcome.cell for outcome in outcomes], baseline)
    rows: list[dict[str, Any]] = []
    for part in (ALL, *SLICES):
        scores = {each.cell.name: found for each in outcomes if (found := each.scores(part)) is not None}
        if scores and pairs:
            rows += _of_part(part, scores, pairs, resamples, seed)
    return rows


def find(rows: Sequence[Mapping[str, Any]], name: str, role: str, part: str = ALL, metric: str = PRIMARY) -> Any:
    """The row of a cell against its baseline, twin or control; None where there is none."""
    wanted = {"name": name, "role": role, "slice": part, "metric": metric}
    return next((row for row in rows if all(row[key] == value for key, value in wanted.items())), None)


def leaks(outcomes: Sequence[Outcome], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A warning for every control without content that is surely better than the system without text."""
    for outcome in outcomes:
        cell = outcome.cell
        if cell.model.control == "none":
            continue
        row = find(rows, cell.name, "twin") or find(rows, cell.name, "baseline")
        if row is not None and row["low"] > 0 and row["p_adjusted"] < SURE:
            yield (
                f"leak? {cell.name} is above {row['against']} by {row['difference']:+.4f} "
                f"[{row['low']:+.4f}, {row['high']:+.4f}] though its texts are {cell.model.control}: look at which "
                "rows have a text at all, and at what the system gains without reading any (its other settings)"
            )


def _controls(cell: Cell, cells: Sequence[Cell]) -> list[Cell]:
    if cell.text is None or cell.model.control != "none":
        return []
    own = [each for each in cells if each.model.control_of == cell.name]
    title = [each for each in cells if each.system.name == cell.system.name and each.text == TITLE]
    return [each for each in (*own, *title) if each.name != cell.name and each.control != "none"]


def _unanswered(cell: Cell, cells: Sequence[Cell]) -> list[Cell]:
    """The cell that reads the same without what a language model wrote: what answers add to facts is held against."""
    texts = cell.model.features.texts("item") if cell.model.features is not None else ()
    facts = tuple(text for text in texts if "/" not in text)
    if cell.model.control != "none" or not facts or facts == texts:
        return []
    others = [each for each in cells if each.system.name == cell.system.name and each.model.control == "none"]
    return [each for each in others if each.model.features is not None and each.model.features.texts("item") == facts]


def _of_part(
    part: str, scores: Mapping[str, Scores], pairs: Sequence[tuple[str, str, Role]], resamples: int, seed: int
) -> Iterator[dict[str, Any]]:
    distinct: list[Pair] = list(dict.fromkeys((name, against) for name, against, _ in pairs))
    found = compare_many(scores, distinct, resamples, seed)
    for metric in METRICS:
        adjusted = dict(zip(distinct, holm([found[pair][metric].p for pair in distinct]), strict=True))
        for name, against, role in pairs:
            interval = asdict(found[name, against][metric])
            about = {"name": name, "against": against, "role": role, "slice": part, "metric": metric}
            yield {**about, **interval, "p_adjusted": adjusted[name, against]}
