"""The two ends of a scheduler for tests under simulated time: a scripted endpoint, and a desk with a list."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from language_models.faults import Failure, Fault
from language_models.protocols import Reply
from schemas.records import Completion, Prompt


@dataclass
class Outcome:
    """What an attempt comes to, so many seconds after it was sent; no fault means an answer."""

    after_s: float = 1.0
    fault: Fault | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    tokens: tuple[int, int] = (100, 20)


OK = Outcome()
SERVER = Fault("server", "retry", "500: no", outage=True)
TIMEOUT = Fault("timeout", "unknown", "no answer", outage=True)
REFUSED = Fault("connection", "retry", "nobody listens", unreachable=True, outage=True)
BAD_KEY = Fault("refused", "stop", "the endpoint refused the key (401)")
BAD_REQUEST = Fault("bad_request", "drop", "400: no")


def limited(wait_s: float | None = None) -> Fault:
    return Fault("rate_limit", "wait", "429: no", wait_s)


class Engine:
    """Keys are ids."""

    name, model, endpoint = "scripted", "script-1", "http://127.0.0.1:1/v1"

    def key(self, prompt: Prompt) -> str:
        return prompt.id

    def answer(self, prompts: Iterable[Prompt]):
        raise NotImplementedError

    def connect(self):
        raise NotImplementedError


class Connection:
    """`script(id, attempt)` says what an attempt comes to, 1 is the first; `stored` is what can be recovered."""

    def __init__(self, script: Callable[[str, int], Outcome], format: str | None = "text") -> None:
        self.script, self.format = script, format
        self.sent: list[tuple[float, str]] = []  # simulated time, id
        self.attempts: Counter[str] = Counter()
        self.in_flight = self.most_in_flight = 0
        self.stored: dict[str, int] = {}  # id -> look at which it is found
        self.looks: Counter[str] = Counter()

    async def send(self, prompt: Prompt) -> Reply:
        self.sent.append((now(), prompt.id))
        self.attempts[prompt.id] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        outcome = self.script(prompt.id, self.attempts[prompt.id])
        try:
            await asyncio.sleep(outcome.after_s)
        finally:
            self.in_flight -= 1
        if outcome.fault is not None:
            raise Failure(outcome.fault)
        self.format = self.format or "json_schema"
        return Reply(answer(prompt, outcome.tokens), outcome.headers)

    async def recover(self, prompt: Prompt) -> Completion | None:
        self.looks[prompt.id] += 1
        found = self.stored.get(prompt.id)
        return answer(prompt) if found is not None and self.looks[prompt.id] >= found else None


class ListDesk:
    """Hands out prompts numbered from 0; each `take` lasts as long as a commit."""

    def __init__(self, count: int, commit_s: float = 0.005, user: str = "u") -> None:
        self.count, self.commit_s, self.user = count, commit_s, user
        self.taken: list[str] = []
        self.brought: list[Completion] = []
        self.returned: list[str] = []

    async def take(self, most: int) -> Sequence[Prompt]:
        assert most > 0
        await asyncio.sleep(self.commit_s)
        start = len(self.taken)
        prompts = [prompt(str(number), self.user) for number in range(start, min(start + most, self.count))]
        self.taken += [each.id for each in prompts]
        return prompts

    def bring(self, completion: Completion) -> None:
        self.brought.append(completion)

    def put_back(self, prompts: Sequence[Prompt]) -> None:
        self.returned += [each.id for each in prompts]

    @property
    def reasons(self) -> dict[str, str]:
        return {completion.key: completion.finish_reason for completion in self.brought}

    def check(self) -> None:
        """Everything that was taken has been brought or put back, and that once."""
        assert sorted(self.taken) == sorted([completion.key for completion in self.brought] + self.returned)


def prompt(id: str, user: str = "u", turn: int = 0) -> Prompt:
    return Prompt("r", "1", "item", id, "s", user, {}, turn=turn)


def answer(asked: Prompt, tokens: tuple[int, int] = (100, 20)) -> Completion:
    return Completion(asked.id, "{}", "stop", *tokens, 0.001, "script-1", 1.0, turn=asked.turn)


def now() -> float:
    return asyncio.get_running_loop().time()
