"""What the texts of a cell cost in US dollars: what the ledger says was paid, else tokens times a listed price.

Tokens are those that were counted, else estimated from what was sent and what came. Of a recipe with many calls a
sample by hash stands for all. A price that is not known is null, never 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from features.recipes import RECIPES
from language_models.ledger import Account, Ledger
from language_models.prices import listed_price
from language_models.tokens import estimate_tokens, prompt_tokens
from pipelines.compare.cells import Cell, settings_of
from pipelines.night import Night
from pipelines.steps.vectors import TextSource, read_texts
from schemas.records import KINDS, Kind, Prompt
from schemas.sections import Features, Llm

GUESSING = ("offline", "recorded")  # engines whose tokens nobody has counted
SAMPLE = 500  # calls of a recipe that are looked at, unless dollars were paid

Basis = Literal["paid", "counted", "estimated", "unknown"]


@dataclass(frozen=True)
class Cost:
    """What one recipe's calls (or the vectors of a text) cost; `usd` is None where no price is known."""

    source: str  # a recipe, or `encoding TEXT`
    calls: int  # answered ones, distinct; texts, of an encoding
    usd: float | None
    basis: Basis  # paid: summed; counted and estimated: tokens times a price
    model: str | None  # whose price counted
    sampled: int


def costs(night: Night, cells: Iterable[Cell]) -> dict[str, Cost]:
    """The cost of every recipe behind the cells' texts, what a recipe needs included, and of vectors with a price."""
    read = [cell.model.features for cell in cells if cell.model.features is not None]
    recipes = dict.fromkeys(recipe for features in read for recipe in recipes_of(features))
    found = {}
    if recipes:
        keys = night.read("prompts", columns=["recipe", "key"]).filter(pl.col("key") != "").unique().sort("key")
        with Ledger(night.ledger, night.ds) as ledger:
            found = {recipe: _cost(night, ledger, recipe, _keys(keys, recipe)) for recipe in recipes}
    if night.run.encoder.usd_per_million:
        for source in dict.fromkeys(source for features in read for source in _sources(features)):
            found[_encoding(source)] = _encoded(night, source, night.run.encoder.usd_per_million)
    return found


def recipes_of(features: Features) -> list[str]:
    """The recipes behind texts and edges, each once, with those whose texts they show."""
    named = [source.source.split("/")[0] for source in _sources(features) if source.is_profile]
    found = dict[str, None]()
    for recipe in (*named, *features.edges):
        found |= dict.fromkeys((recipe, *_needed(recipe)))
    return list(found)


def total(costs: Mapping[str, Cost], features: Features | None) -> float | None:
    """Dollars behind texts and edges; 0 where nobody is paid for any of them, None where a price is not known."""
    if features is None:
        return 0.0
    paid = [*recipes_of(features), *(_encoding(source) for source in _sources(features))]
    found = [costs[name].usd for name in paid if name in costs]
    known = [usd for usd in found if usd is not None]
    return sum(known) if len(known) == len(found) else None


def per_lift(per_thousand: float | None, difference: float, low: float) -> float | None:
    """Dollars per 1,000 users for one point (0.01) of the metric; None where the lift is not surely above zero."""
    return None if per_thousand is None or low <= 0 else per_thousand / (100 * difference)


def _sources(features: Features) -> list[TextSource]:
    return [TextSource(kind, text) for kind in KINDS for text in features.texts(kind)]


def _needed(recipe: str) -> Iterator[str]:
    for name in RECIPES[recipe].needs:
        yield name
        yield from _needed(name)


def _keys(rows: pl.DataFrame, recipe: str) -> list[str]:
    return rows.filter(pl.col("recipe") == recipe)["key"].to_list()


def _cost(night: Night, ledger: Ledger, recipe: str, keys: Sequence[str]) -> Cost:
    """Keys are digests in ascending order, so that the first ones are a sample by hash."""
    some = [account for account in ledger.accounts(keys[:SAMPLE]) if _answered(account)]
    if not some:  # a ledger that does not have the calls, or a recipe that got no answer
        return Cost(recipe, 0, None if keys else 0.0, "unknown", None, 0)
    if any(account.cost_usd > 0 for account in some):
        paid = [account.cost_usd for account in ledger.accounts(keys) if _answered(account)]
        return Cost(recipe, len(paid), math.fsum(paid), "paid", None, len(paid))
    share = min(len(keys), SAMPLE) / len(keys)
    calls, llm, fallback = round(len(some) / share), night.run.llm_of(recipe), settings_of(night.run).price_model
    models = [_priced_as(account, llm, fallback) for account in some]
    named = [model for model in models if model is not None]
    if len(named) < len(models):
        return Cost(recipe, calls, None, "unknown", None, len(some))
    counted = all(account.input_tokens and account.engine not in GUESSING for account in some)
    usd = math.fsum(_usd(*_tokens(account), model, llm) for account, model in zip(some, named, strict=True)) / share
    return Cost(recipe, calls, usd, "counted" if counted else "estimated", named[0], len(some))


def _encoding(source: TextSource) -> str:
    return f"encoding {source.source}"


def _encoded(night: Night, source: TextSource, usd_per_million: float) -> Cost:
    texts = read_texts(night, source).unique("text_hash").sort("text_hash")
    some = texts["text"].head(SAMPLE).to_list()
    tokens = sum(map(estimate_tokens, some)) * texts.height / max(len(some), 1)
    usd, model = tokens * usd_per_million / 1e6, night.run.encoder.name
    return Cost(_encoding(source), texts.height, usd, "estimated", model, len(some))


def _answered(account: Account) -> bool:
    """A recorded engine that has nothing of a subject answers with no text."""
    return any(account.answers)


def _tokens(account: Account) -> tuple[int, int]:
    if account.input_tokens or account.output_tokens:
        return account.input_tokens, account.output_tokens
    schema = json.loads(account.answer_schema)
    kind: Kind = "user" if account.kind == "user" else "item"
    asked = Prompt(account.recipe, account.version, kind, account.id, account.system, account.user, schema)
    return prompt_tokens(asked) * account.turns, sum(map(estimate_tokens, account.answers))


def _priced_as(account: Account, llm: Llm, fallback: str | None) -> str | None:
    """The model whose price counts: the one that answered, the one that was asked, or the run file's stand-in."""
    names = (account.answered_by, account.model, fallback)
    return next((name for name in names if name is not None and listed_price(name, llm) is not None), None)


def _usd(given: int, written: int, model: str, llm: Llm) -> float:
    price = listed_price(model, llm)
    assert price is not None, "chosen for having a price"
    input_rate, _, output_rate = price.rates(llm.mode == "batch")
    return (given * input_rate + written * output_rate) / 1e6
