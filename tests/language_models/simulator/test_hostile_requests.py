"""Forty ways to be hostile to the simulator: none crashes it, leaks, or is answered with more than an error."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from language_models.simulator.batch_rows import BatchInputError, read_rows
from language_models.simulator.options import read_options
from schemas.errors import ConfigError
from tests.language_models.simulator.asking import SCHEMA, body, post
from tests.support.simulator import Simulator, simulator

LIMITS = ("--read-timeout-s", "1", "--max-body-mib", "1", "--max-file-mib", "2", "--max-files", "3")
CHAT, KIB = "/v1/chat/completions", 1024
MOST_MEMORY_KIB = 400 * KIB  # of the process at its peak; the bombs below are larger


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with simulator(*LIMITS) as running:
        yield running


def packet(path: str, content: bytes, method: str = "POST", **headers: str) -> bytes:
    usual = {"Host": "h", "Content-Type": "application/json", "Content-Length": str(len(content))}
    usual["Connection"] = "close"
    named = usual | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items() if value)
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogateescape") + content


def chat(**changes: object) -> bytes:
    return packet(CHAT, json.dumps(body("A", **changes)).encode())


def schema(inner: object) -> bytes:
    return chat(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": inner}})


def form(filename: str, content: bytes) -> bytes:
    parts = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="' + filename.encode() + b'"\r\n\r\n'
    )
    return packet("/v1/files", parts + content + b"\r\n--b--\r\n", Content_Type="multipart/form-data; boundary=b")


def doubling(depth: int) -> dict:
    """A schema of a few lines that asks for 2 ** depth values."""
    defs = {f"d{n}": {"properties": {"a": {"$ref": f"#/$defs/d{n + 1}"}, "b": {"$ref": f"#/$defs/d{n + 1}"}}}
            for n in range(depth)}  # fmt: skip
    return {"$defs": {**defs, f"d{depth}": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/d0"}}}


SCRIPT = "<script>alert(1)</script>\u202e\u0000\x1b[31m"
BOMB = gzip.compress(b" " * (300 * KIB * KIB), compresslevel=1)
ENDLESS = packet(CHAT, b"", Content_Length="", Transfer_Encoding="chunked") + b"10000\r\n" + b" " * 65536 + b"\r\n"

# what is sent -> statuses that are right; 0 is a connection that is closed without a word
HOSTILE: dict[str, tuple[bytes, set[int]]] = {
    "empty": (packet(CHAT, b""), {400}),
    "not json": (packet(CHAT, b"{model: m"), {400}),
    "no object": (packet("/v1/embeddings", b'["input"]'), {400}),
    "nested deeply": (packet(CHAT, b"[" * 100_000), {400}),
    "nested object": (packet("/v1/batches", b'{"a":' * 50_000 + b"1" + b"}" * 50_000), {400}),
    "too long": (packet(CHAT, b" " * (2 * KIB * KIB)), {413}),
    "nan": (packet(CHAT, b'{"model": "m", "messages": [{"role": "user", "content": NaN}], "max_tokens": NaN}'), {400}),
    "huge number": (packet(CHAT, b'{"model": "m", "messages": 1' + b"0" * 20_000 + b"}"), {400}),
    "many choices": (chat(n=10**9), {400}),
    "many tokens": (chat(max_completion_tokens=10**18), {400}),
    "wrong labels": (chat(store=True, metadata=["a"]), {400}),
    "many values": (schema({"type": "array", "items": SCHEMA, "minItems": 10**12}), {400}),
    "doubling schema": (schema(doubling(60)), {400}),
    "schema of itself": (schema({"$defs": {"a": {"properties": {"a": {"$ref": "#/$defs/a"}}}}, "$ref": "a"}), {400}),
    "schema of text": (schema({"properties": {"a": "b"}}), {400}),
    "script": (packet(CHAT, json.dumps(body(SCRIPT)).encode()), {200}),
    "half a surrogate": (packet(CHAT, b'{"model": "m", "messages": [{"role": "user", "content": "\\ud83d"}]}'), {400}),
    "no utf-8": (packet(CHAT, b'{"model": "\xff\xfe"}'), {400}),
    "path in id": (packet("/v1/files/..%2F..%2F..%2Fetc%2Fpasswd/content", b"", "GET"), {404}),
    "path in url": (packet("/v1/files/../../../../etc/passwd", b"", "GET"), {404}),
    "hostile file name": (form("../../../../tmp/loregraph-planted.jsonl", b"{}"), {200}),
    "large file": (form("a.jsonl", b"x" * (3 * KIB * KIB)), {413}),
    "no boundary": (packet("/v1/files", b"x", Content_Type="multipart/form-data"), {400}),
    "gzip bomb": (packet(CHAT, BOMB, Content_Encoding="gzip"), {415}),
    "too long a length": (packet(CHAT, b"{}", Content_Length="100"), {408}),
    "too short a length": (packet(CHAT, b"{}" * 100, Content_Length="2"), {400}),
    "no length": (packet(CHAT, b"{}", Content_Length="-5"), {400}),
    "endless chunks": (ENDLESS + ENDLESS.partition(b"\r\n\r\n")[2] * 40, {413}),
    "slow chunks": (ENDLESS, {408}),
    "many headers": (packet(CHAT, b"{}", **{f"X_{n}": "y" for n in range(5_000)}), {400}),
    "long header": (packet(CHAT, b"{}", X="y" * 100_000), {400}),
    "long line": (packet("/" + "a" * 100_000, b"{}"), {400}),
    "smuggled": (packet(CHAT, b"0\r\n\r\nGET /faults HTTP/1.1\r\n\r\n", Transfer_Encoding="chunked"), {400}),
    "two lengths": (packet(CHAT, b"{}", X="y\r\nContent-Length: 3"), {400}),
    "unknown method": (packet(CHAT, b"", "BREW"), {400, 405}),
    "control characters": (b"GET /health\x00\x1b HTTP/1.1\r\nHost: h\r\n\r\n", {400}),
    "no http": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, {400}),
    "websocket": (packet("/v1/models", b"", "GET", Connection="Upgrade", Upgrade="websocket"), {200}),
    "wrong page": (packet("/v1/files?limit=-1e9", b"", "GET"), {400}),
    "wrong script": (packet("/faults", b'{"hang": {"a": 1}, "most": []}'), {400}),
    "half a head": (b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nX-Slow: ", {0}),
}


def send(sim: Simulator, sent: bytes) -> tuple[int, bytes]:
    """Status and everything that comes back before the endpoint is silent or hangs up; 0 where nothing comes."""
    address = ("127.0.0.1", int(sim.root.rsplit(":", 1)[1]))
    with closing(socket.create_connection(address, timeout=5)) as connection:
        came = b""
        try:
            connection.sendall(sent)
            while part := connection.recv(65536):
                came += part
                connection.settimeout(0.2)
        except (TimeoutError, ConnectionError):
            pass
    return (int(came.split(b" ", 2)[1]) if came else 0), came


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_is_refused_and_the_next_one_is_served(sim, name):
    sent, expected = HOSTILE[name]
    status, came = send(sim, sent)
    assert status in expected, came[:300]
    assert b"Traceback" not in came
    assert b"root:" not in came
    assert status == 200 or b"<script>" not in came
    began = time.monotonic()
    assert post(sim, body("The Sea"))[0] == 200
    assert time.monotonic() - began < 5
    assert not Path("/tmp/loregraph-planted.jsonl").exists()
    assert peak_kib(sim) < MOST_MEMORY_KIB


def peak_kib(sim: Simulator) -> int:
    told = Path(f"/proc/{sim.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in told.splitlines() if line.startswith("VmHWM")))


def test_no_more_files_are_kept_than_allowed(sim):
    statuses = [send(sim, form(f"{n}.jsonl", b"{}"))[0] for n in range(4)]
    assert statuses[-1] == 429


ROWS = {
    "no object": b"[]",
    "nested": b"[" * 100_000,
    "numbers": b'{"custom_id": [1], "method": 5, "url": {}, "body": {}}',
    "surrogate": b'{"custom_id": "\\ud83d", "method": "POST", "url": "/v1/chat/completions", "body": {"model": []}}',
    "lines": b"\n" * 500_000,
}


@pytest.mark.parametrize("name", ROWS)
def test_a_batch_of_hostile_rows_fails_and_says_why(name):
    with pytest.raises(BatchInputError) as raised:
        read_rows(ROWS[name], CHAT)
    assert len(str(raised.value)) < 500


def test_connections_beyond_the_most_are_told_so():
    with simulator("--max-connections", "5") as few:
        address = ("127.0.0.1", int(few.root.rsplit(":", 1)[1]))
        held = [socket.create_connection(address, timeout=5) for _ in range(5)]
        time.sleep(0.2)
        status, came = send(few, packet("/health", b"", "GET"))
        assert (status, came.count(b"--max-connections")) == (503, 1)
        for connection in held:
            connection.close()
        time.sleep(0.2)
        assert send(few, packet("/health", b"", "GET"))[0] == 200


def test_a_client_that_asks_too_often_is_told_when_to_come_back():
    with simulator("--client-rpm", "3") as few:
        answers = [send(few, packet("/v1/models", b"", "GET")) for _ in range(4)]
    assert [status for status, _ in answers] == [200, 200, 200, 429]
    assert b"retry-after-ms: " in answers[-1][1].lower()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_whoever_listens_to_other_machines_needs_a_key(host):
    with pytest.raises(ConfigError, match="can be reached from other machines; give --key too"):
        read_options(["--host", host], "simulate")
    assert read_options(["--host", host, "--key", "right-key"], "simulate").most_per_client == 6000
    assert read_options(["--host", "127.0.0.2"], "simulate").most_per_client is None


def test_where_others_can_connect_the_key_is_asked_for_everywhere_but_at_health():
    with simulator("--host", "0.0.0.0", "--key", "right-key") as open_to_all:
        asked = {path: send(open_to_all, packet(path, b"", "GET"))[0] for path in ("/health", "/faults", "/stats")}
        assert asked == {"/health": 200, "/faults": 401, "/stats": 401}
        right = packet("/stats", b"", "GET", Authorization="Bearer right-key")
        assert send(open_to_all, right)[0] == 200
