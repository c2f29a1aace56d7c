"""Who may read the page, and what a browser may do with it.

On loopback whoever can log in to the machine may read; from elsewhere a token is needed, by cookie or as a bearer. The
Host header must name an address that the page is served at, so that no other site's name can be pointed at it.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.types import ASGIApp

from schemas.errors import ConfigError

COOKIE = "loregraph_ui"
TOKEN_ENV = "LOREGRAPH_UI_TOKEN"
LEAST_CHARACTERS = 16
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "style-src-attr 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",  # profiles may be about people
}
Gate = Callable[[Request], Awaitable[None]]
Next = Callable[[Request], Awaitable[Response]]


async def open_to_all(request: Request) -> None:
    """The gate of a page that only this machine can reach."""
    del request


class LoginNeeded(HTTPException):
    """Raised by a gate that somebody else keeps: the page then has a link to where one logs in."""

    def __init__(self, address: str) -> None:
        super().__init__(401, "you are not logged in")
        self.address = address


class TokenGate:
    """Lets in who shows the token: `Authorization: Bearer`, or the cookie that the sign-in form sets."""

    def __init__(self, token: str) -> None:
        if len(token) < LEAST_CHARACTERS:
            raise ConfigError(f"{TOKEN_ENV}: expected at least {LEAST_CHARACTERS} characters, found {len(token)}")
        self._token = token

    async def __call__(self, request: Request) -> None:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not (self.opens(bearer) or self.opens(request.cookies.get(COOKIE, ""))):
            raise HTTPException(401, "a token is needed")

    def opens(self, shown: str) -> bool:
        return secrets.compare_digest(shown.encode(), self._token.encode())


class Shielded(BaseHTTPMiddleware):
    """Refuses foreign Host headers and puts the security headers on every response that has none of its own."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        super().__init__(app)
        self._hosts = hosts

    async def dispatch(self, request: Request, call_next: Next) -> Response:
        if self._hosts is not None and request.url.hostname not in self._hosts:
            response = Response("this name is not one that the page is served at", 421, media_type="text/plain")
        else:
            response = await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def served_names(host: str) -> frozenset[str] | None:
    """Names that a browser may use for the page; None (any) where it listens on all addresses, behind its token."""
    if is_loopback(host):
        return frozenset({"localhost", "127.0.0.1", "::1", host.strip("[]")})
    unspecified = host.strip("[]") in {"0.0.0.0", "::"}
    return None if unspecified else frozenset({host.strip("[]"), "localhost", "127.0.0.1", "::1"})
