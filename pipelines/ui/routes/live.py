"""The run in progress: a page, and the piece of it that page.js renews every two seconds."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from pipelines.ui.now import latest, now_of
from pipelines.ui.rendering import page
from pipelines.ui.routes.context import Ds, RunShelf
from pipelines.ui.shelf import Shelf

router = APIRouter()
NOT_SHOWN = ("ts", "level", "event", "logger", "run", "ds")  # of a line of the log, or in columns of their own


@router.get("/runs/{run}/live", name="live")
def live(request: Request, shelf: RunShelf, ds: Ds = "") -> Response:
    """The night that is named, else the one that was worked on last."""
    return page(request, "live.html.j2", shelf=shelf, here="live", asked=ds, **_about(shelf, ds))


@router.get("/runs/{run}/live/now", name="live_now")
def live_now(request: Request, shelf: RunShelf, ds: Ds = "") -> Response:
    """The part of the page that changes."""
    return page(request, "live_now.html.j2", shelf=shelf, **_about(shelf, ds))


def _about(shelf: Shelf, ds: str) -> dict[str, Any]:
    night = ds or latest(shelf)
    return {"now": now_of(shelf, night) if night else None, "ds": night, "not_shown": NOT_SHOWN}
