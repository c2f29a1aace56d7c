"""The simulated embeddings endpoint: its limits, and the faults that it shares with chat."""

import openai
import pytest

from tests.language_models.simulator.asking import client


def embedded(sim, *texts, **changes):
    return client(sim).embeddings.create(model="e", input=list(texts), **{"dimensions": 8, **changes})


@pytest.mark.parametrize(
    ("texts", "changes", "said"),
    [
        (["a", ""], {}, "not empty"),
        (["a"], {"dimensions": 5000}, "dimensions"),
        (["a"] * 2049, {}, "at most 2048 texts, found 2049"),
        (["a " * 8193], {}, "at most 8192 tokens"),
        (["a " * 8000] * 40, {}, "300000 of a request"),
    ],
)
def test_what_openai_refuses_is_refused(sim, texts, changes, said):
    with pytest.raises(openai.BadRequestError, match=said):
        embedded(sim, *texts, **changes)
    assert sim.stats()["embeddings"] == 0


@pytest.mark.parametrize(
    ("fault", "error", "paid"),
    [
        ("rate_limit", openai.RateLimitError, 0),
        ("rate_limit_after", openai.RateLimitError, 0),
        ("server_error", openai.InternalServerError, 0),
        ("reset_before", openai.APIConnectionError, 0),
        ("hang", openai.APIConnectionError, 0),
        ("reset", openai.APIConnectionError, 1),
        ("hang_paid", openai.APIConnectionError, 1),
    ],
)
def test_the_faults_of_an_attempt_strike(sim, fault, error, paid):
    sim.faults({fault: 1.0, "most": {fault: 1}, "hang_s": 0.1})
    with pytest.raises(error):
        embedded(sim, "a")
    assert sim.stats()["embeddings"] == paid
    assert len(embedded(sim, "a").data[0].embedding) == 8
    assert sim.stats()["by_fault"] == {fault: 1}


def test_another_attempt_draws_again(sim):
    sim.faults({"server_error": 0.5})
    outcomes = set()
    for _ in range(20):
        try:
            outcomes.add(len(embedded(sim, "a").data))
        except openai.InternalServerError:
            outcomes.add(0)
    assert outcomes == {0, 1}
