"""What the first token of an answer could be, with log-probabilities that the prompt's own words decide."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from language_models.facts import Facts, read_facts
from language_models.filling import VERDICT
from language_models.likeness import approval, nearness, offered
from language_models.simulator.asked import Asked
from schemas.records import JSON

SHARP = 8.0  # logits between a candidate that shares all of its words with the history and one that shares none
EQUAL = 1e-3  # logits between neighbours in the order shown that are equally near
BIAS = 12.0  # logits that the first option shown has on top, where positions decide
OTHERS = {"The": -6.0, "I": -7.0}  # logits of tokens that are no answer


def first_token(asked: Asked, biased: bool) -> dict[str, float] | None:
    """Token -> log-probability, for the options shown, or for Yes and No where the system message has both words."""
    facts = read_facts(asked.user)
    shown = offered(facts)
    if len(shown) > 1:
        return _log_softmax({**OTHERS, **_of_options(shown, facts, biased)})
    if set(re.findall(r"\b(?:Yes|No)\b", asked.system)) == VERDICT:
        return _log_softmax({**OTHERS, **_of_verdict(facts)})
    return None


def reported(token: str, logprobs: Mapping[str, float], most: int) -> JSON:
    """As `choices[0].logprobs` of a chat completion (OpenAI API reference)."""
    likeliest = sorted(logprobs.items(), key=lambda entry: -entry[1])[:most]
    written = {**_entry(token, logprobs[token]), "top_logprobs": [_entry(*entry) for entry in likeliest]}
    return {"content": [written], "refusal": None}


def _of_options(shown: Mapping[str, Mapping[str, JSON]], facts: Facts, biased: bool) -> dict[str, float]:
    logits = {name: SHARP * near - EQUAL * place for place, (name, near) in enumerate(nearness(shown, facts).items())}
    first = next(iter(logits))
    return {**logits, first: logits[first] + BIAS * biased}


def _of_verdict(facts: Facts) -> dict[str, float]:
    """Yes is the likelier one exactly where the offline writer says so."""
    near = approval(facts)
    return {"Yes": SHARP * near - (near <= 0), "No": 0.0}


def _log_softmax(logits: Mapping[str, float]) -> dict[str, float]:
    most = max(logits.values())
    total = most + math.log(sum(math.exp(logit - most) for logit in logits.values()))
    return {token: logit - total for token, logit in logits.items()}


def _entry(token: str, logprob: float) -> JSON:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
