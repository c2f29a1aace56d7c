"""/v1/files: request files that clients upload, and the output and error files of batches."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

from aiohttp import web

from language_models.simulator.counting import Counting
from language_models.simulator.drawing import Faults
from language_models.simulator.responses import JSON_TYPE, cut_off, page, refuse, reply
from schemas.records import JSON

PAGE = 10_000


@dataclass(frozen=True, slots=True)
class File:
    """A file and what OpenAI says of it."""

    id: str
    name: str
    purpose: str
    content: bytes
    created_at: int  # unix seconds

    def to_json(self) -> JSON:
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created_at,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


class Files:
    """Files by id, in memory, oldest first."""

    def __init__(self, counting: Counting, faults: Faults, most: int, most_bytes: int) -> None:
        self.counting, self.faults = counting, faults
        self.most, self._most_bytes = most, most_bytes
        self.kept: dict[str, File] = {}
        self._numbers = itertools.count(1)

    def add(self, name: str, purpose: str, content: bytes) -> File:
        file = File(f"file-{next(self._numbers):06d}", name, purpose, content, int(time.time()))
        self.kept[file.id] = file
        return file

    async def upload(self, request: web.Request) -> web.Response:
        """POST /v1/files, as a form with `file` and `purpose`."""
        form = await request.post()
        fault = self.faults.of_event("upload_error", "upload_reset")
        if fault == "upload_error":
            return refuse(500, "The server had an error while processing your request.")
        sent, purpose = form.get("file"), form.get("purpose")
        if not isinstance(sent, web.FileField) or not isinstance(purpose, str):
            return refuse(400, "file and purpose are required")
        if len(self.kept) >= self.most or sum(len(file.content) for file in self.kept.values()) >= self._most_bytes:
            return refuse(429, "no room for another file; delete some (--max-files, --max-stored-mib)", "storage_limit")
        file = self.add(sent.filename, purpose, sent.file.read())
        self.counting.files_uploaded += 1
        return cut_off(request) if fault else reply(file.to_json())

    async def show_all(self, request: web.Request) -> web.Response:
        """GET /v1/files?purpose=batch&limit=10000&after=ID&order=desc."""
        purpose = request.query.get("purpose")
        files = [file for file in self.kept.values() if purpose in (None, file.purpose)]
        if request.query.get("order") != "asc":
            files.reverse()
        return page(request, {file.id: file.to_json() for file in files}, PAGE)

    async def get(self, request: web.Request) -> web.Response:
        """GET /v1/files/{id}."""
        file = self.kept.get(request.match_info["id"])
        return reply(file.to_json()) if file else _missing(request)

    async def content(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/files/{id}/content."""
        file = self.kept.get(request.match_info["id"])
        if file is None:
            return _missing(request)
        fault = self.faults.of_event("download_error", "download_reset")
        if fault == "download_error":
            return refuse(500, "The server had an error while processing your request.")
        if fault == "download_reset":
            return await _half(request, file.content)
        return web.Response(body=file.content, content_type="application/octet-stream")

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /v1/files/{id}."""
        id = request.match_info["id"]
        gone = self.kept.pop(id, None)
        return reply({"id": id, "object": "file", "deleted": True}) if gone else _missing(request)


def _missing(request: web.Request) -> web.Response:
    return refuse(404, f"No such File object: {request.match_info['id']}", "not_found")


async def _half(request: web.Request, content: bytes) -> web.StreamResponse:
    """The first half of a body whose length was announced, then a reset."""
    response = web.StreamResponse(headers={"content-type": JSON_TYPE, "content-length": str(len(content) + 1)})
    await response.prepare(request)
    await response.write(content[: len(content) // 2])
    cut_off(request)
    return response
