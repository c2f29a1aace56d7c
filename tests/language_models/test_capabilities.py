"""Every engine says what it can give, and what lacks is said before anything is asked."""

import pytest

from language_models.capabilities import CAPABILITIES, MEANING, require
from language_models.engines import ENGINES
from schemas.errors import ConfigError


def test_every_engine_says_what_it_gives_and_nothing_unknown():
    assert set(CAPABILITIES) == set(ENGINES)
    assert set().union(*CAPABILITIES.values()) == set(MEANING)
    assert all("chat" in given for given in CAPABILITIES.values())


@pytest.mark.parametrize("engine", list(CAPABILITIES))
@pytest.mark.parametrize("need", list(MEANING))
def test_an_engine_is_taken_for_what_it_gives_and_for_nothing_else(engine, need):
    if need in CAPABILITIES[engine]:
        require("tallrec", [need], engine, "run.toml: models.x")
        return
    with pytest.raises(ConfigError, match=f"tallrec needs {need} "):
        require("tallrec", [need], engine, "run.toml: models.x")


def test_what_lacks_is_said_with_the_way_out():
    with pytest.raises(ConfigError) as raised:
        require("tallrec", ["chat", "logits", "train"], "openai", "run.toml: models.x", "llm_pointwise")
    assert str(raised.value) == (
        "run.toml: models.x: tallrec needs logits and train (the scores of all tokens at any position; weights that "
        "can be tuned); engine openai offers none: use engine hf, or llm_pointwise"
    )
    with pytest.raises(ConfigError, match=r"engine offline offers none: use engine openai or hf$"):
        require("llm_pointwise", ["logprobs"], "offline", "run.toml: models.y")
