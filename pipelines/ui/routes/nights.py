"""The runs, and a run's nights: what they cost, what they brought, which gates failed, what is live."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from features.releases import Release, Releases
from pipelines.ui.morning import charts, drifts, failed_gates, interval, verdict
from pipelines.ui.records import failures_of, gates_of, runs_of, steps_of
from pipelines.ui.rendering import Link, page
from pipelines.ui.routes.context import RunShelf, readable
from pipelines.ui.shelf import Shelf
from pipelines.watching.history import lowest_coverage, published_rows, release_of
from pipelines.watching.pulse import FOLDER
from pipelines.watching.summary import read_summary

router = APIRouter()
NIGHTS = 60  # shown
Night = Annotated[str, Path(pattern=r"^\d{4}-\d{2}-\d{2}$")]
# The report has its styles inside and forbids itself everything else; it is shown as it was written.
REPORT = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
FUNCTIONS = {
    "failed_gates": failed_gates,
    "lowest_coverage": lowest_coverage,
    "release_of": release_of,
    "published_rows": published_rows,
    "interval": interval,
}


@router.get("/", name="runs")
def runs(request: Request) -> Response:
    """All runs that may be read; where there is only one, its nights."""
    shelves = readable(request)
    if len(shelves) == 1:
        return RedirectResponse(Link(request)("overview", next(iter(shelves.values()))), 303)
    return page(request, "runs.html.j2", runs=shelves)


@router.get("/runs/{run}", name="overview")
def overview(request: Request, shelf: RunShelf) -> Response:
    """The last night in a sentence, its figures, and the nights before it."""
    nights = shelf.history(NIGHTS)
    found = _releases(shelf)
    about: dict[str, Any] = {"releases": found, "live": found[-1] if found else None, "verdict": None, **FUNCTIONS}
    if nights:
        last = nights[-1]
        about |= {"last": last, "verdict": verdict(last), "drifts": drifts(shelf.folder(last["ds"]))}
        about |= {"charts": charts(nights, shelf.folder), "runs_now": _runs_now(shelf, last["ds"])}
    return page(request, "overview.html.j2", shelf=shelf, here="overview", nights=nights[::-1], **about)


@router.get("/runs/{run}/nights/{ds}", name="night")
def night(request: Request, shelf: RunShelf, ds: Night) -> Response:
    """Everything that a night has recorded."""
    folder = shelf.folder(ds)
    if not folder.is_dir():
        raise HTTPException(404, f"{folder}: no night of this date has run; the list of nights has those that did")
    found = read_summary(folder, shelf.run.evaluation.selection)
    nights = [each["ds"] for each in shelf.history(NIGHTS)]
    about = {
        "night": found,
        "verdict": verdict(found),
        "steps": steps_of(folder),
        "gates": gates_of(folder),
        "drifts": drifts(folder),
        "failures": failures_of(folder),
        "llm_runs": runs_of(folder),
        "has_report": (folder / "report.html").is_file(),
        "before": max((each for each in nights if each < ds), default=None),
        "after": min((each for each in nights if each > ds), default=None),
    }
    return page(request, "night.html.j2", shelf=shelf, here="overview", ds=ds, **about, **FUNCTIONS)


@router.get("/runs/{run}/nights/{ds}/report", name="report")
def report(shelf: RunShelf, ds: Night) -> Response:
    """The night's report as it was written."""
    file = shelf.folder(ds) / "report.html"
    if not file.is_file():
        raise HTTPException(404, f"{file}: not written yet; `loregraph report --run {shelf.file} --ds {ds}` writes it")
    return Response(file.read_bytes(), media_type="text/html", headers={"Content-Security-Policy": REPORT})


def _releases(shelf: Shelf) -> list[Release]:
    return Releases(shelf.store).all()


def _runs_now(shelf: Shelf, ds: str) -> bool:
    return any((shelf.folder(ds) / FOLDER).glob("*.json"))
