"""What the page shows, a file per subject; each has a `router`."""

from __future__ import annotations

from fastapi import APIRouter

from pipelines.ui.routes import answers, live, nights, rejects, texts, users

ROUTERS: tuple[APIRouter, ...] = tuple(each.router for each in (nights, texts, answers, rejects, users, live))
