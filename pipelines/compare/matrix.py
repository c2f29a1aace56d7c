"""The matrix from its first trial to its table: tune every cell alike, fit it for every seed, look at test once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.checks import check_run
from pipelines.compare.cells import Cell, make_cells, settings_of
from pipelines.compare.output import write_all
from pipelines.compare.price import costs
from pipelines.compare.statistics import Outcome, comparisons, pick_baseline
from pipelines.compare.summary import short, summarize
from pipelines.compare.trials import Bench
from pipelines.compare.tuning import finish, steps, tune
from pipelines.night import Counts, Night, last_night, refuse_missing, step
from pipelines.steps import STEPS
from schemas.errors import DataError
from schemas.run import load_run

FIRST = ("ingest", "split", "generate", "encode", "materialize", "tokenize")  # what it reads
NEEDED = {"users": "ingest", "items": "ingest", "splits": "split"}  # table -> the step that makes it


def run_compare(
    file: Path,
    ds: str | None = None,
    lake: str | None = None,
    max_cost_usd: float | None = None,
    systems: str | None = None,
    texts: str | None = None,
    skip_steps: bool = False,
) -> Counts:
    """Bring the night's tables up to date (unless `skip_steps`), then compare; what is there is not done again.

    Raises the errors of schemas.errors; the same call goes on after a stop.
    """
    run = load_run(file, lake=lake, max_cost_usd=max_cost_usd)
    settings_of(run)
    check_run(run)
    make_cells(run, _names(systems), _names(texts))
    ds = ds or last_night(run)
    for name in () if skip_steps else FIRST:
        STEPS[name](run, ds)
    return compare(run, ds, systems, texts)


@step
def compare(night: Night, systems: str | None = None, texts: str | None = None) -> Counts:
    """Search, fit, measure and write the comparison of a night that has its embeddings.

    `systems`, `texts`: names separated by commas, for a part of the matrix.
    """
    cells = make_cells(night.run, _names(systems), _names(texts))
    _refuse_missing(night, cells)
    bench = Bench(night, night.corpus())
    if not len(bench.exam.users):
        raise DataError("compare: expected users with train and valid interactions, found none; change [split]")
    compared, outcomes = settings_of(night.run), _outcomes(bench, cells)
    baseline = pick_baseline(outcomes, compared.baseline)
    rows = comparisons(outcomes, baseline, compared.resamples, compared.search_seed)
    found = summarize(night, outcomes, rows, baseline, costs(night, cells), bench.corpus.num_users)
    for warning in found["warnings"]:
        night.progress.say(f"compare: {warning}")
    paths = write_all(night, found, whole=systems is None and texts is None)
    return {**short(found), "fits": bench.fits, **paths}


def _outcomes(bench: Bench, cells: Sequence[Cell]) -> list[Outcome]:
    """Cells without text come first, for others inherit from them; those that read the same come together."""
    night, found = bench.night, dict[str, Outcome]()
    todo = sum(steps(cell, night.run) for cell in cells)
    with night.progress.track("compare", todo) as advance:
        for cell in sorted(cells, key=_reading):
            twin = found.get(cell.system.without or "")
            tuned = tune(bench, cell, advance, twin.tuned if twin else None)
            found[cell.name] = Outcome(cell, tuned, finish(bench, cell, tuned.best.settings, advance))
    return [found[cell.name] for cell in cells]


def _names(names: str | None) -> list[str]:
    return [name.strip() for name in names.split(",")] if names else []


def _reading(cell: Cell) -> str:
    return "" if cell.model.features is None else cell.model.features.model_dump_json() + cell.model.control


def _refuse_missing(night: Night, cells: Sequence[Cell]) -> None:
    needed = dict(NEEDED)
    if any(cell.model.features is not None and cell.model.features.item is not None for cell in cells):
        needed["embeddings"] = "materialize"
    refuse_missing(night, needed, "compare")
