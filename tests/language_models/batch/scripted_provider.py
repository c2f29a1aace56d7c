"""A `/v1/files` and `/v1/batches` on a loopback port whose every batch ends as a test says."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.serving import serving


@dataclass
class End:
    """How a batch ends."""

    status: str = "completed"
    output: bytes | None = None
    errors: bytes | None = None
    problems: list[dict[str, Any]] = field(default_factory=list)


Script = Callable[[list[dict[str, Any]]], End]  # the rows of a request file -> its batch's end


def answered(row: dict[str, Any], text: str = '{"summarization": "Fine."}') -> dict[str, Any]:
    """The output line of a row."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 20}}
    return {"id": "x", "custom_id": row["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}


def lines(entries: list[Any]) -> bytes:
    """JSONL with letters as they are, as some providers write it."""
    return b"".join(json.dumps(entry, ensure_ascii=False).encode() + b"\n" for entry in entries)


class Provider:
    """What was uploaded and created; objects are listed newest first."""

    def __init__(self, script: Script) -> None:
        self.script, self.url = script, ""
        self.files: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.lists: list[str] = []  # paths of list requests
        self.wrong_key = False  # refuse uploads, and say for which key
        self._numbers = itertools.count(1)

    def add_file(self, name: str, content: bytes, created: float | None = None) -> str:
        id = f"file-{next(self._numbers)}"
        about = {"object": "file", "bytes": len(content), "filename": name, "purpose": "batch", "status": "processed"}
        self.files[id] = {"id": id, "created_at": int(created or time.time()), **about}
        self.contents[id] = content
        return id

    def add_batch(self, file_id: str, metadata: dict[str, str] | None, created: float | None = None) -> dict[str, Any]:
        id = f"batch-{next(self._numbers)}"
        about = {"object": "batch", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        times = {"created_at": int(created or time.time())}
        self.batches[id] = {"id": id, "input_file_id": file_id, "metadata": metadata, "status": "x", **about, **times}
        return self.batches[id]

    async def upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        if self.wrong_key:
            message = f"Incorrect API key provided: {request.headers['authorization']}"
            return web.json_response({"error": {"message": message, "code": "invalid_api_key"}}, status=401)
        sent = form["file"]
        return web.json_response(self.files[self.add_file(sent.filename, sent.file.read())])

    async def create(self, request: web.Request) -> web.Response:
        body = await request.json()
        batch = self.add_batch(body["input_file_id"], body.get("metadata"))
        end = self.script([json.loads(line) for line in self.contents[body["input_file_id"]].splitlines()])
        batch |= {"status": end.status, "errors": {"data": end.problems} if end.problems else None}
        for name, content in (("output_file_id", end.output), ("error_file_id", end.errors)):
            batch[name] = self.add_file("out", content) if content is not None else None
        return web.json_response(batch)

    async def list(self, request: web.Request) -> web.Response:
        self.lists.append(request.path_qs)
        kept = self.batches if request.path.endswith("batches") else self.files
        ids = sorted(kept, key=lambda id: -kept[id]["created_at"])
        after, limit = request.query.get("after"), int(request.query.get("limit", 20))
        ids = ids[ids.index(after) + 1 :] if after else ids
        data = [kept[id] for id in ids[:limit]]
        return web.json_response({"object": "list", "data": data, "has_more": len(ids) > limit})

    async def get(self, request: web.Request) -> web.Response:
        batch = self.batches.get(request.match_info["id"])
        return web.json_response(batch) if batch else _missing()

    async def content(self, request: web.Request) -> web.Response:
        content = self.contents.get(request.match_info["id"])
        return web.Response(body=content) if content is not None else _missing()


def _missing() -> web.Response:
    return web.json_response({"error": {"message": "No such object", "code": "not_found"}}, status=404)


@contextmanager
def provider(script: Script) -> Iterator[Provider]:
    """Serve until the block ends."""
    served, app = Provider(script), web.Application()
    for path, handle in (("files", served.upload), ("batches", served.create)):
        app.router.add_post(f"/v1/{path}", handle)
        app.router.add_get(f"/v1/{path}", served.list)
    app.router.add_get("/v1/batches/{id}", served.get)
    app.router.add_get("/v1/files/{id}/content", served.content)
    with serving(app) as served.url:
        yield served
