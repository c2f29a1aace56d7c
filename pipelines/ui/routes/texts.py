"""Texts: searched over all users and items, and one of them beside its sources, prompts, answers and rejects."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal

import polars as pl
from fastapi import APIRouter, Depends, Request, Response

from pipelines.ui.rendering import page
from pipelines.ui.routes.context import Ds, Id, Place, RunShelf, Text
from pipelines.ui.shelf import Shelf
from pipelines.ui.texts import SIZE, excerpt, marked, search_texts
from pipelines.why.subject import explain_subject
from schemas.errors import StoreError
from schemas.records import Kind

router = APIRouter()
OTHER_NIGHTS = 12  # of which the texts of a subject are compared
AnyKind = Literal["", "user", "item"]


def filters(kind: AnyKind = "", recipe: Text = "", field: Text = "", model: Text = "") -> dict[str, str]:
    """What is chosen; "" chooses nothing."""
    return {"kind": kind, "recipe": recipe, "field": field, "model": model}


Filters = Annotated[dict[str, str], Depends(filters)]


@router.get("/runs/{run}/texts", name="texts")
def texts(request: Request, shelf: RunShelf, chosen: Filters, q: Text = "", ds: Ds = "", place: Place = 1) -> Response:
    """The texts of a night that have every word of `q`, 25 a page."""
    night = shelf.night(ds)
    found = search_texts(shelf, night, q, chosen, place)
    about = {
        "q": q,
        "chosen": chosen,
        "found": found,
        "place": place,
        "size": SIZE,
        "excerpt": partial(excerpt, words=q),
        "marked": partial(marked, words=q),
        "nights": shelf.nights()[::-1],
    }
    return page(request, "texts.html.j2", shelf=shelf, here="texts", ds=night, **about)


@router.get("/runs/{run}/subject", name="subject")
def subject(request: Request, shelf: RunShelf, kind: Kind, id: Id, ds: Ds = "") -> Response:
    """A user or item: what was shown about it, what came back, and what was made of it."""
    night = shelf.night(ds)
    past = shelf.past(night)
    found = explain_subject(past, kind, id)
    about = {"kind": kind, "id": id, "title": found["attributes"].get("title") or found["attributes"].get("name")}
    about |= {"attributes": _told(found["attributes"]), "nights": shelf.nights()[::-1], "tables": past.to_json()}
    about |= {"reviews": _reviews(shelf, night, kind, id)}
    about |= {"others": _other_nights(shelf, night, kind, id, found["recipes"])}
    return page(request, "subject.html.j2", shelf=shelf, here="texts", ds=night, found=found, **about)


def _told(attributes: dict[str, Any]) -> dict[str, Any]:
    """What the source says, without what it leaves empty."""
    return {name: value for name, value in attributes.items() if name != "id" and value not in (None, "")}


def _reviews(shelf: Shelf, night: str, kind: Kind, id: str) -> dict[str, str]:
    """What users wrote beside the subject's train interactions, by the id of the other side; none where nobody did."""
    other = "item_id" if kind == "user" else "user_id"
    mine = (pl.col(f"{kind}_id") == id) & (pl.col("part") == "train")
    with suppress(StoreError):  # the split is not there, or has no such column
        rows = shelf.store.read("splits", night, where=mine, columns=[other, "review"])
        return dict(rows.drop_nulls("review").rows())
    return {}


def _other_nights(shelf: Shelf, night: str, kind: Kind, id: str, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The texts of other nights, the latest first, and whether each is that of this night."""
    mine = (pl.col("kind") == kind) & (pl.col("id") == id)
    hashes = {(row["recipe"], name): field["text_hash"] for row in told for name, field in row["fields"].items()}
    others = [ds for ds in shelf.nights()[::-1] if ds != night][:OTHER_NIGHTS]
    rows = [{**row, "ds": ds} for ds in others for row in _texts_of(shelf, ds, mine)]
    return [{**row, "same": hashes.get((row["recipe"], row["field"])) == row["text_hash"]} for row in rows]


def _texts_of(shelf: Shelf, ds: str, where: pl.Expr) -> list[dict[str, Any]]:
    if not shelf.has("profiles", ds):
        return []
    names = ["recipe", "field", "text", "text_hash", "model"]
    return shelf.store.read("profiles", ds, where=where, columns=names).sort("recipe", "field").to_dicts()
