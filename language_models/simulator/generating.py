"""The model: its answer to a request, with the answer's own faults, as the body of a chat completion."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from language_models.simulator.asked import Asked
from language_models.simulator.drawing import Faults
from language_models.simulator.likeliest import first_token, reported
from language_models.simulator.tokens import count_tokens
from language_models.simulator.writing import Answers, write
from schemas.records import JSON

REFUSAL = "I'm sorry, but I can't help with that."
WRONG_TOKEN = "Perhaps"
WRONG = '{"unexpected": 1}'


@dataclass(slots=True)
class Answer:
    """What the model says. `fault` is the scripted one, "" for none; a cap that is too small is no fault."""

    text: str
    finish_reason: str
    output_tokens: int
    fault: str = ""
    logprobs: Mapping[str, float] = field(default_factory=dict)  # of the tokens that a one-token answer could be


class Model:
    """Answers by the offline writer, faults by the script. Remembers only the questions whose answer did not fit."""

    def __init__(self, faults: Faults, answers: Answers) -> None:
        self.faults, self.answers = faults, answers
        self._caps: dict[bytes, int] = {}  # question -> cap that its answer did not fit into
        self._numbers = itertools.count(1)

    def refuses(self, asked: Asked) -> bool:
        """Whether the question is one that the script answers with 400."""
        script = self.faults.script
        return bool(script.bad_request) and self.faults.of_answer(asked.question) == "bad_request"

    def without_logprobs(self, asked: Asked) -> bool:
        """Whether the question is refused because it asks for log-probabilities."""
        return asked.likeliest is not None and self.faults.script.logprobs == "refused"

    def answer(self, asked: Asked) -> Answer:
        """The same for equal requests, whichever attempt it is."""
        fault = self._fault(asked)
        if fault == "refusal":
            return Answer(REFUSAL, "stop", count_tokens(REFUSAL), fault)
        biased = self.faults.biased(asked.question)
        if asked.cap == 1 and (likely := first_token(asked, biased)):
            return _one_token(likely, fault)
        text = write(asked, self.answers, biased)
        if fault == "wrong_schema":
            text = WRONG
        if fault in ("truncated_json", "content_filter"):
            text = text[: len(text) * 2 // 3]
        tokens = count_tokens(text)
        if fault == "content_filter":
            return Answer(text, fault, tokens, fault)
        if fault == "length":
            return Answer(text[: len(text) // 2], fault, asked.cap or tokens, fault)
        if asked.cap is not None and tokens > asked.cap:
            return Answer(text[: len(text) * asked.cap // tokens], "length", asked.cap)
        return Answer(text, "stop", tokens, fault)

    def completion(self, asked: Asked, answer: Answer, metadata: JSON = None) -> dict[str, JSON]:
        """The body of a chat completion."""
        refused = answer.fault == "refusal"
        message = {
            "role": "assistant",
            "content": None if refused else answer.text,
            "refusal": answer.text if refused else None,
        }
        choice = {
            "index": 0,
            "message": message,
            "logprobs": self._logprobs(asked, answer),
            "finish_reason": answer.finish_reason,
        }
        return {
            "id": f"chatcmpl-{next(self._numbers):09d}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": asked.model,
            "choices": [choice],
            "usage": self.usage(asked, answer),
            **({"metadata": metadata} if metadata else {}),
        }

    def _logprobs(self, asked: Asked, answer: Answer) -> JSON:
        """None but for a one-token answer to who asks for them, where the script gives them."""
        if asked.likeliest is None or not answer.logprobs or self.faults.script.logprobs != "given":
            return None
        return reported(answer.text, answer.logprobs, asked.likeliest)

    def usage(self, asked: Asked, answer: Answer) -> dict[str, JSON]:
        """The tokens that are paid."""
        return {
            "prompt_tokens": asked.input_tokens,
            "completion_tokens": answer.output_tokens,
            "total_tokens": asked.input_tokens + answer.output_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens(asked)},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }

    def cached_tokens(self, asked: Asked) -> int:
        return int(asked.input_tokens * self.faults.script.cached_share)

    def _fault(self, asked: Asked) -> str:
        """The follow-up of a faulty answer is answered well, unless `again` says otherwise."""
        fault = self.faults.of_answer(asked.question) or ""
        if fault in ("truncated_json", "wrong_schema") and asked.follow_up:
            return fault if self.faults.of_follow_up(asked.question) else ""
        if fault == "length" and asked.cap is not None:
            first = self._caps.setdefault(asked.question, asked.cap)
            if asked.cap > first and not self.faults.of_follow_up(asked.question):
                return ""
        return fault


def _one_token(likely: Mapping[str, float], fault: str) -> Answer:
    """The likeliest token; what can go wrong with JSON or with its length cannot go wrong with one token."""
    if fault == "content_filter":
        return Answer("", fault, 1, fault)
    if fault == "wrong_schema":
        return Answer(WRONG_TOKEN, "length", 1, fault, {WRONG_TOKEN: -0.01})
    return Answer(max(likely, key=lambda token: likely[token]), "length", 1, "", likely)


def encoded(completion: dict[str, JSON]) -> bytes:
    return json.dumps(completion).encode()
