"""What each recommender offers a user, side by side, and why the published one does."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from pipelines.ui.lists import LENGTH, Offered, lists_of
from pipelines.ui.readers import check_user, history_of, published_of, search_users, texts_of
from pipelines.ui.rendering import page
from pipelines.ui.routes.context import Ds, Id, RunShelf, Text
from pipelines.ui.shelf import Shelf
from pipelines.why.recommendation import explain_recommendation
from schemas.errors import ConfigError, unknown_name
from schemas.sections import Model

router = APIRouter()


@router.get("/runs/{run}/users", name="users")
def users(request: Request, shelf: RunShelf, q: Text = "", ds: Ds = "") -> Response:
    """Find a user by id, or by what his profile says."""
    night = shelf.night(ds)
    found = search_users(shelf, night, q)
    about = {"q": q, "found": found, "nights": shelf.nights()[::-1]}
    return page(request, "users.html.j2", shelf=shelf, here="users", ds=night, **about)


@router.get("/runs/{run}/user", name="user")
def user(request: Request, shelf: RunShelf, id: Id, ds: Ds = "", model: Id = "") -> Response:
    """A user's history and lists. The published one is read; a model's is made when it is named (`all`: of each)."""
    night = shelf.night(ds)
    check_user(shelf, night, id)
    published, history = published_of(shelf, night, id, LENGTH), history_of(shelf, night, id)
    wanted = [each for each in shelf.run.models if model in (each.name, "all")]
    lists = {each.name: lists_of(shelf).top(id, each, night) for each in wanted}
    about = {
        "id": id,
        "history": history,
        "texts": texts_of(shelf, night, id),
        "published": published,
        "lists": lists,
        "nights": shelf.nights()[::-1],
        **_marks(published, history, lists),
    }
    return page(request, "user.html.j2", shelf=shelf, here="users", ds=night, **about)


@router.get("/runs/{run}/user/list", name="user_list")
def user_list(request: Request, shelf: RunShelf, id: Id, model: Id, ds: Ds = "") -> Response:
    """One model's list as a piece of the page, which page.js puts into its place."""
    night = shelf.night(ds)
    published, history = published_of(shelf, night, id, LENGTH), history_of(shelf, night, id)
    lists = {model: lists_of(shelf).top(id, _model(shelf, model), night)}
    about = {"offered": lists[model], **_marks(published, history, lists)}
    return page(request, "user_list.html.j2", shelf=shelf, ds=night, **about)


@router.get("/runs/{run}/why", name="why")
def why(request: Request, shelf: RunShelf, user: Id, item: Id, ds: Ds = "") -> Response:
    """What was stored of a published recommendation: the model, and what it had read of both."""
    night = shelf.night(ds)
    past = shelf.past(night)
    found = explain_recommendation(past, user, item)
    about = {"found": found, "tables": past.to_json(), "id": user}
    return page(request, "why.html.j2", shelf=shelf, here="users", ds=night, **about)


def _model(shelf: Shelf, name: str) -> Model:
    models = {each.name: each for each in shelf.run.models}
    if name not in models:
        raise ConfigError(unknown_name("model", name, models))
    return models[name]


def _marks(published: list[dict[str, Any]], history: list[dict[str, Any]], lists: dict[str, Offered]) -> dict[str, Any]:
    """What is said beside an item: whether it is published, what the user went on to, how many models offer it."""
    offers: dict[str, int] = {}
    for each in lists.values():
        for item in each.items:
            offers[item["id"]] = offers.get(item["id"], 0) + 1
    later = {row["item_id"] for row in history if row["part"] == "test"}
    return {"is_published": {row["id"] for row in published}, "later": later, "offers": offers}
