"""R8 and R9 in real time: the openai engine against `loregraph simulate` in a process of its own."""

import time
from itertools import count

import pytest

from language_models.engines import make_engine
from schemas.sections import Llm
from tests.support.prompts import make_prompt
from tests.support.simulator import simulator

pytestmark = pytest.mark.slow


def ask(sim, seconds, **changes):
    """Ask without end for so long; returns when each answer came, in seconds."""
    base = {
        "engine": "openai",
        "model": "simulated",
        "base_url": sim.url,
        "concurrency": 64,
        "structured": "json_schema",
    }
    came, began = [], time.monotonic()
    answers = make_engine(Llm(**base | changes)).answer(make_prompt(str(number)) for number in count())
    for completion in answers:
        came.append(time.monotonic() - began)
        assert completion.finish_reason == "stop"
        if came[-1] > seconds:
            answers.close()
    return came


def rate(came, start, end):
    return sum(start <= moment < end for moment in came) / (end - start)


@pytest.mark.parametrize("known", [True, False])
def test_r8_a_quota_of_600_requests_and_90_000_tokens_is_used_and_not_exceeded(known):
    limits = {"requests_per_minute": 600, "tokens_per_minute": 90_000} if known else {}
    with simulator("--fault", "rpm=600", "--fault", "tpm=90000", "--fault", "burst_s=5", "--latency", "0.5") as sim:
        ask(sim, 10, **limits)
        sim.reset()
        came = ask(sim, 45, **limits)
        stats = sim.stats()
    tokens = (stats["input_tokens"] + stats["output_tokens"]) / len(came)
    assert max(rate(came, 10, 45) / 10, rate(came, 10, 45) * tokens / 1500) >= 0.95
    assert stats["rate_limited"] <= (0.01 if known else 0.1) * stats["requests"], "the start is not a steady state"


def test_r9_a_hidden_capacity_that_halves_and_doubles_is_followed():
    schedule = "capacity=[[0, 32], [25, 16], [50, 32]]"
    with simulator("--fault", schedule, "--latency", "0.5") as sim:
        came = ask(sim, 90)
    assert rate(came, 10, 25) >= 0.9 * 32 / 0.5
    assert rate(came, 40, 50) >= 0.9 * 16 / 0.5
    assert rate(came, 65, 90) >= 0.9 * 32 / 0.5
