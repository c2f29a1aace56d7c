"""Stored completions: kept with `store: true`, listed by metadata."""

from __future__ import annotations

import time
from collections.abc import Mapping

from aiohttp import web

from language_models.simulator.drawing import Faults
from language_models.simulator.responses import JSON_TYPE, limit_of, refuse

PAGE, MOST = 20, 100


class Stored:
    """Completions by id, indexed by each key and value of their metadata."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._kept: dict[str, tuple[float, bytes]] = {}  # id -> time (monotonic seconds), body; oldest first
        self._labelled: dict[tuple[str, str], dict[str, None]] = {}

    def keep(self, id: str, metadata: Mapping[str, str], content: bytes) -> None:
        self._kept[id] = time.monotonic(), content
        for label in metadata.items():
            self._labelled.setdefault(label, {})[id] = None

    async def get(self, request: web.Request) -> web.Response:
        """GET /v1/chat/completions/{id}."""
        kept = self._kept.get(request.match_info["id"])
        if kept is None:
            return refuse(404, "No such stored completion.", "not_found")
        return web.Response(body=kept[1], content_type=JSON_TYPE)

    async def show_all(self, request: web.Request) -> web.Response:
        """GET /v1/chat/completions?metadata[key]=value&limit=20&after=ID&order=asc."""
        query = request.query
        ids = self._visible([(name[9:-1], value) for name, value in query.items() if name.startswith("metadata[")])
        if query.get("order") == "desc":
            ids.reverse()
        if (after := query.get("after")) is not None:
            ids = ids[ids.index(after) + 1 :] if after in ids else []
        page = ids[: min(MOST, limit_of(request, PAGE))]
        return web.Response(body=self._page(page, len(page) < len(ids)), content_type=JSON_TYPE)

    def _visible(self, labels: list[tuple[str, str]]) -> list[str]:
        """Ids with all the labels, oldest first; the rarest label is gone through."""
        groups = sorted((self._labelled.get(label, {}) for label in labels), key=len)
        ids = groups[0] if groups else self._kept
        newest = time.monotonic() - self.faults.script.store_delay_s
        return [id for id in ids if self._kept[id][0] <= newest and all(id in group for group in groups[1:])]

    def _page(self, ids: list[str], more: bool) -> bytes:
        data = b",".join(self._kept[id][1] for id in ids)
        first, last = (f'"{ids[0]}"', f'"{ids[-1]}"') if ids else ("null", "null")
        tail = f'],"first_id":{first},"last_id":{last},"has_more":{"true" if more else "false"}}}'
        return b'{"object":"list","data":[' + data + tail.encode()
