"""What could not be used, why, and what to do about it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from pipelines.ui.rejects import SIZE, meaning_of, search_rejects
from pipelines.ui.rendering import page
from pipelines.ui.routes.context import Ds, Place, RunShelf, Text

router = APIRouter()


@router.get("/runs/{run}/rejects", name="rejects")
def rejects(
    request: Request,
    shelf: RunShelf,
    q: Text = "",
    step: Text = "",
    kind: Text = "",
    reason: Text = "",
    ds: Ds = "",
    place: Place = 1,
) -> Response:
    """The rejects of a night, 25 a page, with the number of each reason."""
    night = shelf.night(ds)
    chosen = {"step": step, "kind": kind, "reason": reason}
    found = search_rejects(shelf, night, q, chosen, place)
    about = {"q": q, "chosen": chosen, "found": found, "place": place, "size": SIZE, "nights": shelf.nights()[::-1]}
    about["meaning_of"] = meaning_of
    return page(request, "rejects.html.j2", shelf=shelf, here="rejects", ds=night, **about)
