"""What the page shows, a file per subject; each has a `router`."""

from __future__ import annotations

from fastapi import APIRouter

from pipelines.ui.routes import live, nights, users

ROUTERS: tuple[APIRouter, ...] = (nights.router, users.router, live.router)
