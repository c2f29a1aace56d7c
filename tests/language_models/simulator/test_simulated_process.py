"""The simulator as a command: how it starts, says where it is, ends, and what it says when it cannot."""

from __future__ import annotations

import http.client
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, closing

import pytest

from language_models.simulator.tokens import count_tokens
from tests.language_models.simulator.asking import ask, body, post
from tests.support.simulator import ROOT, simulator

COMMAND = [sys.executable, "-m", "pipelines.cli", "simulate"]


def test_help_explains_a_rehearsal_and_names_every_fault():
    text = subprocess.run([*COMMAND, "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "1. loregraph simulate" in text
    assert "2. in the run file" in text
    assert "/stats" in text
    assert "hang_paid" in text
    assert "--position-bias" in text
    assert "--logprobs" in text


def test_the_command_writes_its_port_takes_a_script_file_and_ends_at_once_on_sigterm(tmp_path):
    script, port = tmp_path / "faults.toml", tmp_path / "port"
    script.write_text("rate_limit = 0.5\nhang = 0.5\ncapacity = [[0, 64], [20, 32]]\n")
    options = ["--port", "0", "--port-file", str(port), "--faults", str(script), "--fault", "hang=1.0"]
    options += ["--fault", "rate_limit=0.0", "--rpm", "9000"]
    process = subprocess.Popen([*COMMAND, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == f"simulate: listening on http://127.0.0.1:{port.read_text().strip()}/v1\n"
        with urllib.request.urlopen(f"http://127.0.0.1:{int(port.read_text())}/faults") as response:
            text = response.read().decode()
        assert '"hang": 1.0' in text
        assert '"rate_limit": 0.0' in text
        assert '"rpm": 9000' in text
        assert '"capacity": [[0.0, 64], [20.0, 32]]' in text
        _leave_hanging(int(port.read_text()))
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        assert time.monotonic() - began < 1.0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--fault", "resett=0.1"], 2, "did you mean reset?"),
        (["--fault", "reset=lots"], 2, "--fault reset=lots: expected TOML"),
        (["--faults", "none.toml"], 2, "none.toml: cannot be read as a fault script"),
        (["--formats", "xml"], 2, "formats"),
        (["--port", "many"], 2, "port"),
        (["--prt", "1"], 2, "unrecognized arguments"),
    ],
)
def test_wrong_options_are_named(options, code, says):
    done = subprocess.run([*COMMAND, *options], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said_with_what_to_do():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run([*COMMAND, "--port", port], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert f"port {port} of 127.0.0.1 is taken; name another --port" in done.stderr


def test_it_holds_more_connections_than_a_shell_allows_by_default():
    command = f"ulimit -Sn 64; exec {sys.executable} -m language_models.simulator --port 0"
    process = subprocess.Popen(["sh", "-c", command], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline().rsplit(":", 1)[1].split("/")[0])
        with ExitStack() as held:
            for _ in range(100):
                connection = held.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)))
                connection.request("GET", "/health")
                assert connection.getresponse().read() == b'{"status": "ok"}'
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_killed_it_is_gone_and_its_journal_has_what_stats_was_asked_for(tmp_path):
    journal = tmp_path / "paid.tsv"
    with simulator("--journal", str(journal)) as sim:
        ask(sim, "A")
        assert sim.stats()["paid"] == 1
        sim.kill()
        with pytest.raises(OSError, match="refused"):
            post(sim, body("A"))
    assert len(journal.read_text().splitlines()) == 1


def test_tokens_of_a_json_prompt_are_within_a_tenth_of_what_cl100k_counts():
    text = (
        'You are given a JSON object with what is known of the book.\n{"title": "One Hundred Years of Solitude", '
        '"author": "Gabriel García Márquez", "year": "1967", "subjects": "Magic realism|Families|Colombia", '
        '"description": "The novel tells the story of seven generations of the Buendía family in the town of Macondo, '
        'whose founder dreamt of a city of mirrors that reflected the world in and about it."}'
    )
    assert count_tokens(text) == pytest.approx(CL100K, rel=0.1)
    assert count_tokens("") == 0


def test_counting_tokens_of_any_text_takes_linear_time():
    letters = random.Random(0).choices("abc ABC,.\n\"'19é紅", k=200_000)
    began = time.perf_counter()
    assert 0 < count_tokens("".join(letters)) <= 200_000
    assert count_tokens(" " * 100_000) < 100_000
    assert time.perf_counter() - began < 5


def _leave_hanging(port: int) -> None:
    """A request that is being answered when the signal comes."""
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    content = b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}'
    waiting = socket.create_connection(("127.0.0.1", port))
    waiting.sendall(head % len(content) + content)
    time.sleep(0.1)


CL100K = 102
