"""What every route of a run is given: the run's shelf, and the night that is meant."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from starlette.exceptions import HTTPException

from pipelines.ui.shelf import Shelf

Ds = Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]
Text = Annotated[str, Query(max_length=200)]  # what is searched for
Id = Annotated[str, Query(max_length=1000)]
Place = Annotated[int, Query(ge=1, le=1_000_000)]  # of a page, from 1


def shelf_of(request: Request, run: str) -> Shelf:
    shelves: dict[str, Shelf] = request.app.state.shelves
    if run not in shelves:
        raise HTTPException(404, f"no run {run[:80]}; there are {', '.join(shelves)}")
    return shelves[run]


RunShelf = Annotated[Shelf, Depends(shelf_of)]
