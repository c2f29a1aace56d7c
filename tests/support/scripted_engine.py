"""A chat engine whose answers a test hands in; it counts the calls that were made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from schemas.records import Completion, Prompt


class ScriptedEngine:
    """Answers each prompt with `script(prompt)`: a text, a text and a finish reason, or an error to raise."""

    name = "scripted"
    model = "script-1"

    def __init__(self, script: Callable[[Prompt], str | tuple[str, str] | Exception], cost_usd: float = 0.0) -> None:
        self.script, self.cost_usd = script, cost_usd
        self.calls: list[str] = []  # ids asked about, in order

    def key(self, prompt: Prompt) -> str:
        return prompt.key(self.model, {"engine": self.name})

    def answer(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        for prompt in prompts:
            self.calls.append(prompt.id)
            said = self.script(prompt)
            if isinstance(said, Exception):
                raise said
            text, reason = said if isinstance(said, tuple) else (said, "stop")
            yield Completion(self.key(prompt), text, reason, 10, 5, self.cost_usd, self.model, 0.01, turn=prompt.turn)
