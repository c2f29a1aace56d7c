"""What every route of a run is given: the run's shelf, and the night that is meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Query, Request
from starlette.exceptions import HTTPException

from pipelines.ui.shelf import Shelf

Ds = Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]
Text = Annotated[str, Query(max_length=200)]  # what is searched for
Id = Annotated[str, Query(max_length=1000)]
Place = Annotated[int, Query(ge=1, le=1_000_000)]  # of a page, from 1


def readable(request: Request) -> Mapping[str, Shelf]:
    """The runs that whoever asks may read: all, unless the gate has left some of them out for this request."""
    shelves: Mapping[str, Shelf] = request.app.state.shelves
    chosen: Mapping[str, Shelf] = getattr(request.state, "shelves", shelves)
    return chosen


def shelf_of(request: Request, run: str) -> Shelf:
    shelves = readable(request)
    if run not in shelves:
        raise HTTPException(404, f"no run {run[:80]}; there are {', '.join(shelves)}")
    return shelves[run]


RunShelf = Annotated[Shelf, Depends(shelf_of)]
