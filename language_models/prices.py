"""What calls cost in US dollars, and the most that one can cost before it is sent, without asking anyone.

A price is looked for in the run file (`llm.usd_per_million_input`, `_output`), in the user's table (`llm.prices`), and
in the table that comes with Loregraph (`prices.toml`). Where nothing more is said, cached input costs as much as other
input, and a batch half, as at every provider of that API.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from language_models.tokens import most_tokens
from schemas.errors import ConfigError, unknown_name
from schemas.records import Prompt
from schemas.sections import Llm, Section

FREE_ENGINES = ("offline", "recorded", "hf")  # they call nobody
BUILT_IN = Path(__file__).with_name("prices.toml")
BATCH = 0.5  # part of the price that a batch costs where the table does not say
# what may follow a model's name in the table: -2024-07-18, -20251001, -0613, -09-2025, @20240620, -v2, -001, -latest
_VERSION = r"[-@](?:\d{4}-\d{2}-\d{2}|\d{2}-\d{2,4}|\d{8}|\d{3,4}|v\d+(?:\.\d+)*|latest|preview)"
_VERSIONS = re.compile(f"(?:{_VERSION})+")


class Price(Section):
    """US dollars per million tokens of a model."""

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cached_input: float | None = Field(None, ge=0, allow_inf_nan=False)
    batch_input: float | None = Field(None, ge=0, allow_inf_nan=False)
    batch_output: float | None = Field(None, ge=0, allow_inf_nan=False)

    def rates(self, batch: bool) -> tuple[float, float, float]:
        """Of input, of cached input, and of output."""
        cached = self.input if self.cached_input is None else self.cached_input
        if not batch:
            return self.input, cached, self.output
        given = BATCH * self.input if self.batch_input is None else self.batch_input
        written = BATCH * self.output if self.batch_output is None else self.batch_output
        return given, min(cached, given), written


Table = Mapping[str, Price]
FREE = Price(input=0.0, output=0.0)


def price_of(llm: Llm) -> Price | None:
    """The price of the run's model; None where none is known, and its calls count as free.

    Raises ConfigError for a price table that cannot be read, naming file, model and field.
    """
    if llm.engine in FREE_ENGINES:
        return FREE
    return _price(llm.model, llm.prices, llm.usd_per_million_input, llm.usd_per_million_output)


def listed_price(model: str, llm: Llm) -> Price | None:
    """The price of a model by its name, whichever engine has answered; what the run file says of itself goes first."""
    return _price(model, llm.prices, llm.usd_per_million_input, llm.usd_per_million_output)


def check_prices(llm: Llm) -> None:
    """Raises ConfigError where a cap cannot be kept, because no price is known."""
    if price_of(llm) is None and llm.max_cost_usd is not None:
        raise ConfigError(
            f"llm.max_cost_usd: no price is known for model {llm.model}, so the cap cannot be kept; set "
            "llm.usd_per_million_input and llm.usd_per_million_output, or add it to llm.prices"
        )


def cost_usd(input_tokens: int, output_tokens: int, llm: Llm, cached_tokens: int = 0, batch: bool = False) -> float:
    """US dollars of so many tokens; `cached_tokens` are part of the input. 0 where no price is known."""
    price = price_of(llm)
    if price is None:
        return 0.0
    given, cached, written = price.rates(batch)
    return ((input_tokens - cached_tokens) * given + cached_tokens * cached + output_tokens * written) / 1e6


def reserve_usd(prompt: Prompt, llm: Llm, batch: bool = False) -> float:
    """The most that one turn can cost: a token for every byte that is sent, and the longest answer that it allows.

    Bytes are some four times the tokens of English, but no estimate is a bound, and a cap must hold. What is reserved
    is given back when the answer is there, so that the difference keeps calls waiting only while the last few calls'
    worth of the cap is spent. An endpoint that ignores the output limit is not covered.
    """
    price = price_of(llm)
    if price is None:
        return 0.0
    given, cached, written = price.rates(batch)
    return (most_tokens(prompt) * max(given, cached) + prompt.most_output(llm.max_output_tokens) * written) / 1e6


@cache
def _price(model: str, file: str | None, usd_input: float | None, usd_output: float | None) -> Price | None:
    listed = (_find(model, _read(Path(file))) if file else None) or _find(model, _read(BUILT_IN))
    if usd_input is None and usd_output is None:
        return listed
    known = listed.model_dump() if listed else {"input": 0.0, "output": 0.0}  # half a price is all there is to pay
    if usd_input is not None:
        known |= {"input": usd_input, "cached_input": None, "batch_input": None}
    if usd_output is not None:
        known |= {"output": usd_output, "batch_output": None}
    return Price.model_validate(known)


def _find(model: str, table: Table) -> Price | None:
    """The entry of that name, or of the longest name that the model is a dated version of."""
    if model in table:
        return table[model]
    names = [name for name in table if model.startswith(name) and _VERSIONS.fullmatch(model[len(name) :])]
    return table[max(names, key=len)] if names else None


@cache
def _read(file: Path) -> Table:
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such price table; correct llm.prices in the run file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{file}: not a price table in TOML: {error}") from None
    return {model: _entry(file, model, entry) for model, entry in raw.items()}


def _entry(file: Path, model: str, entry: Any) -> Price:
    where = f"{file}: {model}"
    if not isinstance(entry, dict) or any(isinstance(value, dict) for value in entry.values()):
        raise ConfigError(f'{where}: expected a table of prices under a quoted name, such as ["gpt-4.1"]')
    for field in entry:
        if field not in Price.model_fields:
            raise ConfigError(unknown_name(where, field, Price.model_fields))
    try:
        return Price.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        found = "" if first["type"] == "missing" else f", found {first['input']!r}"
        raise ConfigError(f"{where}: {first['loc'][0]}: {first['msg']}{found}") from None
