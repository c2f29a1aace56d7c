"""A key is planted, a night runs well and badly with it, and then it is looked for in everything that was left."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from aiohttp import web

from language_models.encoders.openai_embeddings import EndpointModel
from language_models.engines.openai_engine import OpenAIEngine
from pipelines.failures import tell, told_of
from schemas.errors import ConfigError, EngineError
from schemas.run import load_run
from schemas.secrets import masked, without_passwords
from schemas.sections import Encoder, Llm
from tests.support.faulty_endpoint import chat, endpoint
from tests.support.simulator import ROOT, simulator
from tests.support.watched_world import NO_TEXT, WATCHED, write_world

DS = "2026-01-01"
KEY = "sk-planted/4711+key=with&signs"
TOKEN = "planted-token-of-the-webhook-4711"
PLANTED = (KEY, TOKEN)
ENGINE = """
[llm]
engine = "openai"
model = "simulated"
base_url = "{url}"
key_env = "LOREGRAPH_PLANTED"
usd_per_million_input = 1.0
usd_per_million_output = 1.0
attempts = 2
timeout_s = 5
metrics_port = {port}
[airflow]
webhook_env = "LOREGRAPH_WEBHOOK"
[watch]
lineage = "lineage/events.jsonl"
log = "json"
"""


def forms(secret: str) -> set[bytes]:
    """What the secret may look like, also in the middle of base64."""
    raw = secret.encode()
    texts = {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], raw.hex()}
    inner = {base64.b64encode(b"x" * shift + raw)[4:-4].decode() for shift in range(3)}
    return {text.encode() for text in texts | inner}


def found_in(folder: Path) -> list[str]:
    """Files that hold a planted secret in any form."""
    wanted = {form for secret in PLANTED for form in forms(secret)}
    files = [file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
    assert len(files) > 10, "a night leaves more than that"
    return [str(file) for file in files if any(form in file.read_bytes() for form in wanted)]


COMMANDS = """
import json, sys
from pipelines.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["loregraph", *arguments]
    try:
        main()
    except SystemExit as ended:
        print(f"{arguments[0]} ended with {ended.code or 0}")
"""


def loregraph(file: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    """One command after the other in one process, each with the run file."""
    told = json.dumps([[*line.split(), "--run", str(file)] for line in lines])
    script = file.parent.with_name("commands.py")
    script.write_text(COMMANDS)
    command = [sys.executable, str(script), told]
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "LOREGRAPH_PLANTED": KEY,
        "LOREGRAPH_WEBHOOK": f"http://127.0.0.1:1/{TOKEN}",
    }
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, env=env)


def said_nothing(done: subprocess.CompletedProcess[str]) -> None:
    for secret in PLANTED:
        for form in forms(secret):
            assert form.decode() not in done.stdout + done.stderr


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_night_that_goes_well_leaves_the_key_nowhere(tmp_path):
    run = WATCHED.replace("max_epochs = 2", "max_epochs = 1\ntensorboard = true")
    with simulator("--key", KEY, "--fault", "server_error=0.05", "--fault", "invalid_body=0.05") as simulated:
        file = write_world(tmp_path / "world", run + ENGINE.format(url=simulated.url, port=free_port()))
        after = (f"why item b00 --ds {DS}", f"plan --ds {DS}", "prompt rlmrec.item --id b00", f"report --ds {DS}")
        done = loregraph(file, f"night --ds {DS}", *after)
        assert done.stdout.count("ended with 0") == 1 + len(after), done.stdout + done.stderr[-2000:]
        assert simulated.stats()["served"] > 50, "the key was the right one"
        assert "401" not in simulated.stats()["by_status"]
    said_nothing(done)
    kinds = {each.suffix for each in file.parent.rglob("*")}
    assert kinds >= {".sqlite", ".html", ".jsonl", ".parquet", ".safetensors", ".prom"}
    assert found_in(file.parent) == []


def echoing(request: dict, _attempt: int) -> web.StreamResponse | str:
    """Half of the answers, and every error, repeat the key in some form."""
    told = request["messages"][-1]["content"]
    forms_of_it = f"{KEY} {quote(KEY, safe='')} {base64.b64encode(KEY.encode()).decode()}"
    if len(told) % 2:
        return chat(json.dumps({"summarization": f"People who like keys such as {forms_of_it}.", "reasoning": "said"}))
    return web.json_response({"error": {"message": f"no such key: Bearer {forms_of_it}"}}, status=400)


@pytest.mark.parametrize("status", [pytest.param(400, marks=pytest.mark.slow), 401])
def test_an_endpoint_that_echoes_the_key_gets_it_into_no_table_log_or_error(tmp_path, status):
    def refused(_request: dict, _attempt: int) -> web.StreamResponse:
        return web.json_response({"error": {"message": f"wrong key {KEY} {quote(KEY, safe='')}"}}, status=401)

    with endpoint(echoing if status == 400 else refused) as served:
        file = write_world(tmp_path / "world", NO_TEXT + ENGINE.format(url=served.url, port=free_port()))
        done = loregraph(file, *(f"{step} --ds {DS}" for step in ("ingest", "split", "generate")))
    assert ("wrong key ***" in done.stderr) == (status == 401), done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    if status == 400:
        kept = next(file.parent.rglob("ledger.sqlite")).read_bytes()
        assert b"keys such as *** *** ***" in kept, "the echo came, and what it says is kept without the key"
        assert b"no such key: Bearer ***" in kept
    said_nothing(done)
    assert found_in(file.parent) == []


def test_what_is_told_of_a_failure_holds_no_password_and_no_webhook(tmp_path, monkeypatch, caplog):
    file = write_world(tmp_path / "world", WATCHED + ENGINE.format(url="http://127.0.0.1:1/v1", port=free_port()))
    monkeypatch.setenv("LOREGRAPH_WEBHOOK", f"http://127.0.0.1:1/{TOKEN}")
    tell(file, DS, told_of(EngineError(f"redis://me:{TOKEN}@host:1/0: refused"), {"task": "ask"}))
    kept = next(file.parent.rglob("failures.jsonl")).read_text()
    assert "redis://me:***@host" in kept
    assert TOKEN not in kept + caplog.text
    assert "nobody was told" in caplog.text


WRONG = {
    "online.url of another store": f'[online]\nstore = "sqlite"\nurl = "redis://me:{TOKEN}@host:6379/0"\n',
    "online.url of no kind": f'[online]\nstore = "redis"\nurl = ["redis://me:{TOKEN}@host:6379/0"]\n',
    "ledger of no kind": f'[llm]\nledger = ["postgresql://me:{TOKEN}@host/db"]\n',
    "two passwords": f'[llm]\nledger = ["postgresql://me:{TOKEN}@host/db", "http://:{TOKEN}@host"]\n',
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_run_file_is_explained_without_its_passwords(tmp_path, name):
    file = write_world(tmp_path / "world", NO_TEXT + WRONG[name])
    with pytest.raises(ConfigError) as raised:
        load_run(file)
    assert TOKEN not in str(raised.value)
    assert "***" in str(raised.value)


def test_an_endpoint_s_address_has_no_user_and_no_password(monkeypatch):
    url = f"http://me:{TOKEN}@127.0.0.1:1/v1"
    for make in (
        lambda: OpenAIEngine(Llm(engine="openai", base_url=url)),
        lambda: EndpointModel(Encoder(kind="openai", base_url=url)),
    ):
        with pytest.raises(ConfigError, match="leave them out") as raised:
            make()
        assert TOKEN not in str(raised.value)


def test_every_form_of_a_secret_is_masked_and_words_are_not():
    text = " ".join(form.decode() for form in forms(KEY) if form != KEY.encode().hex().encode())
    assert KEY not in masked(text, [KEY])
    assert base64.b64encode(KEY.encode()).decode() not in masked(base64.b64encode(KEY.encode()).decode(), [KEY])
    assert masked("a local model", ["local"]) == "a local model"
    assert without_passwords("redis://me:pass@h:1 http://h/a:b@c") == "redis://me:***@h:1 http://h/a:b@c"
