"""A worker with a ledger in a process of its own, told what to do line by line; it can be killed at any point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

from language_models.ledger import Call, Ledger
from language_models.ledger.writer import Writer
from schemas.errors import StoreError
from schemas.records import Completion
from tests.support.prompts import make_prompt


def make_call(key: str, usd: float = 0.5, turn: int = 0) -> Call:
    return Call(key, replace(make_prompt(key), turn=turn), "engine", "model", usd, 10, "https://endpoint")


def make_answer(key: str, usd: float = 0.25, reason: str = "stop", text: str = "text", turn: int = 0) -> Completion:
    return Completion(key, text, reason, 12, 4, usd, "model-of-today", 0.1, 2, turn)


class Worker:
    """The test's end of it."""

    def __init__(self, where: str, night: str) -> None:
        command = [sys.executable, "-m", "tests.language_models.ledger.workers", where, night]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, text=True, env={**os.environ, "PYTHONPATH": "."}, **pipes)

    def tell(self, action: str, *arguments: object) -> None:
        """Have it begin something."""
        self.process.stdin.write(json.dumps([action, *arguments]) + "\n")
        self.process.stdin.flush()

    def hear(self) -> object:
        """What came of it."""
        return json.loads(self.process.stdout.readline())

    def do(self, action: str, *arguments: object) -> object:
        self.tell(action, *arguments)
        return self.hear()

    def kill(self) -> None:
        """With kill -9."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def _lease(ledger: Ledger, keys: list[str], usd: float = 0.5, cap: float | None = None) -> list[list[str]]:
    granted = ledger.lease([make_call(key, usd) for key in keys], cap)
    return [granted.taken, granted.answered, granted.held, granted.orphaned, granted.refused]


def _lease_in_groups(ledger: Ledger, keys: list[str], usd: float, cap: float | None, size: int) -> list[str]:
    """All the keys that it got, asking for a few at a time."""
    return [key for at in range(0, len(keys), size) for key in _lease(ledger, keys[at : at + size], usd, cap)[0]]


def _respond(ledger: Ledger, keys: list[str], usd: float = 0.25) -> None:
    ledger.respond([make_answer(key, usd) for key in keys])


def _stream(ledger: Ledger, prefix: str) -> None:
    """Lease and answer calls for ever, printing each key when it is safe."""
    with Writer(ledger) as writer:
        number = 0
        while True:
            keys = [f"{prefix}{number + more}" for more in range(5)]
            number += 5
            writer.lease([make_call(key) for key in keys]).result()
            writer.respond([make_answer(key, text=key * 20) for key in keys]).result()
            _say("\n".join(keys))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _main(where: str, night: str) -> None:
    with Ledger(where, night) as ledger:
        actions = {
            "lease": _lease,
            "lease in groups": _lease_in_groups,
            "respond": _respond,
            "adopt": Ledger.adopt,
            "abandon": Ledger.abandon,
            "stream": _stream,
        }
        for line in sys.stdin:
            action, *arguments = json.loads(line)
            try:
                came = actions[action](ledger, *arguments)
            except StoreError as error:
                came = str(error)
            _say(json.dumps(came))


if __name__ == "__main__":
    _main(*sys.argv[1:])
