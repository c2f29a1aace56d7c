"""The response format that rows are asked for, and what an endpoint's refusals teach about it."""

from __future__ import annotations

from language_models.batch.landing import Landing
from language_models.chat_format import FORMATS, format_fact
from language_models.ledger import Ledger
from schemas.sections import Llm


def asked_form(ledger: Ledger, llm: Llm, endpoint: str) -> str:
    """One of FORMATS: what the run file says, else what the endpoint is known to take, else the strictest."""
    if llm.structured != "auto":
        return llm.structured
    return ledger.recall(format_fact(endpoint, llm.model)) or FORMATS[0]


def remember_form(ledger: Ledger, llm: Llm, endpoint: str, form: str, landing: Landing) -> None:
    """After a batch asked in `form`: keep to it where it brought answers, take the next where it was refused."""
    name = format_fact(endpoint, llm.model)
    refused = "response_format" in landing.failed.values() and not landing.answers
    if llm.structured != "auto" or form not in FORMATS or not landing.in_form:
        return
    if refused and form != FORMATS[-1]:
        ledger.remember(name, FORMATS[FORMATS.index(form) + 1])
    elif landing.answers and ledger.recall(name) is None:
        ledger.remember(name, form)
