"""Two answers about one user or item side by side: of two models, two recipes or two nights."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Request, Response

from pipelines.ui.answers import Answer, answers_about, differences, pair_of
from pipelines.ui.rendering import page
from pipelines.ui.routes.context import Id, RunShelf
from pipelines.ui.shelf import Shelf
from pipelines.ui.texts import search_texts
from schemas.records import Kind

router = APIRouter()
SUGGESTED = 5  # subjects, where none is named


@router.get("/runs/{run}/answers", name="answers")
def answers(
    request: Request, shelf: RunShelf, kind: Kind = "item", id: Id = "", left: Id = "", right: Id = ""
) -> Response:
    """Choose a subject and two of the answers about it."""
    night = shelf.night("")
    found = answers_about(shelf, kind, id) if id else []
    pair = pair_of(found, left, right)
    told = [_with_call(shelf, night, answer) for answer in pair or ()]
    marked = differences(told[0].text, told[1].text) if told else None
    subjects = [] if id else search_texts(shelf, night, "", {"kind": kind}, 1).rows
    about = {"kind": kind, "id": id, "found": found, "told": told, "marked": marked}
    about["suggested"] = list(dict.fromkeys(row["id"] for row in subjects))[:SUGGESTED]
    return page(request, "answers.html.j2", shelf=shelf, here="answers", ds=night, **about)


def _with_call(shelf: Shelf, night: str, answer: Answer) -> Answer:
    return replace(answer, call=shelf.past(night).calls([answer.key]).get(answer.key))
