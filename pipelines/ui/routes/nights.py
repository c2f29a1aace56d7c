"""The runs, and a run's nights: what they cost, what they brought, which gates failed."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pipelines.ui.rendering import Link, page
from pipelines.ui.routes.context import RunShelf

router = APIRouter()


@router.get("/", name="runs")
def runs(request: Request) -> Response:
    """All runs; where there is only one, its nights."""
    shelves = request.app.state.shelves
    if len(shelves) == 1:
        return RedirectResponse(Link(request)("overview", next(iter(shelves.values()))), 303)
    return page(request, "runs.html.j2")


@router.get("/runs/{run}", name="overview")
def overview(request: Request, shelf: RunShelf) -> Response:
    nights = shelf.history(60)
    return page(request, "overview.html.j2", shelf=shelf, here="overview", nights=nights[::-1])
