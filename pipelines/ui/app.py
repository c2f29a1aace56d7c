"""The page as an ASGI application, to be served by `loregraph ui` or mounted in another, such as Airflow's."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import parse_qs

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from pipelines.ui.rendering import HERE, Link, page
from pipelines.ui.routes import ROUTERS
from pipelines.ui.security import COOKIE, Gate, LoginNeeded, Shielded, TokenGate, open_to_all
from pipelines.ui.shelf import Shelf
from schemas.errors import ConfigError, DataError, LoregraphError, StoreError

log = logging.getLogger(__name__)
LONGEST_FORM = 4096  # bytes of the sign-in form
NOT_THERE = (DataError, StoreError)


def create_page(shelves: Mapping[str, Shelf], gate: Gate = open_to_all, hosts: frozenset[str] | None = None) -> FastAPI:
    """The page over some runs, by name. `gate` raises HTTPException for who may not read; `hosts`: allowed names."""
    app = FastAPI(title="Loregraph", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.shelves = shelves
    app.add_middleware(Shielded, hosts=hosts)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(gate)])
    if isinstance(gate, TokenGate):
        _sign_in(app, gate)
    app.add_exception_handler(LoregraphError, _named_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)
    return app


def _sign_in(app: FastAPI, gate: TokenGate) -> None:
    """A form that exchanges the token for a cookie, which no script and no other site can use."""

    async def sign_in(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LONGEST_FORM:
                raise HTTPException(413, "the form is too long")
        token = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]
        if not gate.opens(token):
            return page(request, "sign_in.html.j2", 401, wrong=True)
        response = RedirectResponse(Link(request)("runs"), 303)
        secure = request.url.scheme == "https"
        path = request.scope.get("root_path") or "/"
        response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure, path=path)
        return response

    app.add_api_route("/sign-in", sign_in, methods=["POST"], name="sign_in", response_class=HTMLResponse)


def _named_error(request: Request, error: Exception) -> Response:
    """An error of ours, in its own words."""
    status = 404 if isinstance(error, NOT_THERE) else 400 if isinstance(error, ConfigError) else 500
    return page(request, "error.html.j2", status, title="Not to be had", message=str(error))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 401 and isinstance(error.detail, str) and "token" in error.detail:
        return page(request, "sign_in.html.j2", 401, wrong=False)
    if isinstance(error, LoginNeeded):
        return page(request, "error.html.j2", 401, title="Log in first", message=str(error.detail), login=error.address)
    title = "No such page" if error.status_code == 404 else "Not possible"
    return page(request, "error.html.j2", error.status_code, title=title, message=str(error.detail))


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    told = "; ".join(f"{each['loc'][-1]}: {each['msg']}" for each in error.errors())
    return page(request, "error.html.j2", 422, title="Not understood", message=told)


def _unexpected(request: Request, error: Exception) -> Response:
    """Told to the log with its trace, to the reader without."""
    log.error("the page failed at %s", request.url.path, exc_info=error)
    return page(request, "error.html.j2", 500, title="The page failed", message="Its log says where.")
