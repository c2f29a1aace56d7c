"""The recipes by name: each a paper's way to ask a language model, one file with its answer's schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter, ValidationError

from features.corpus import Corpus
from features.recipes.autograph_item import AutographItem
from features.recipes.autograph_user import AutographUser
from features.recipes.base import Recipe
from features.recipes.kar_item import KarItem
from features.recipes.kar_user import KarUser
from features.recipes.liber_partition import LiberPartition
from features.recipes.llmrec_edges import LlmrecEdges
from features.recipes.llmrec_item_attributes import LlmrecItemAttributes
from features.recipes.llmrec_user_profile import LlmrecUserProfile
from features.recipes.once_generate import OnceGenerate
from features.recipes.once_item import OnceItem
from features.recipes.once_user import OnceUser
from features.recipes.rlmrec_item import RlmrecItem
from features.recipes.rlmrec_user import RlmrecUser
from schemas import sections
from schemas.errors import ConfigError, unknown_name

RECIPES: dict[str, type[Recipe]] = {
    AutographItem.name: AutographItem,
    AutographUser.name: AutographUser,
    KarItem.name: KarItem,
    KarUser.name: KarUser,
    LiberPartition.name: LiberPartition,
    LlmrecEdges.name: LlmrecEdges,
    LlmrecItemAttributes.name: LlmrecItemAttributes,
    LlmrecUserProfile.name: LlmrecUserProfile,
    OnceGenerate.name: OnceGenerate,
    OnceItem.name: OnceItem,
    OnceUser.name: OnceUser,
    RlmrecItem.name: RlmrecItem,
    RlmrecUser.name: RlmrecUser,
}


def make_recipe(name: str, options: Mapping[str, object] | None = None) -> Recipe:
    """The recipe of that name with its options. Raises ConfigError on an unknown name or option, or a wrong value."""
    if name not in RECIPES:
        raise ConfigError(unknown_name("recipes", name, RECIPES))
    recipe, given = RECIPES[name], dict(options or {})
    known = [field.name for field in fields(recipe) if field.metadata.get("option", True)]
    for option in given:
        if option not in known:
            raise ConfigError(unknown_name(f"recipes.{name}.options", option, known))
    try:
        return TypeAdapter(recipe).validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"recipes.{name}.options.{'.'.join(map(str, first['loc']))}"
        raise ConfigError(f"{where}: {first['msg']}, found {first['input']!r}") from None


def can_write(source: str) -> bool:
    """Whether a recipe can write such a field (`recipe/field`), even if it has written none tonight."""
    recipe, _, field = source.partition("/")
    return recipe in RECIPES and field in (RECIPES[recipe].writes or RECIPES[recipe].answer.model_fields)


def make_recipes(configs: Sequence[sections.Recipe], corpus: Corpus, redacted: bool = False) -> list[Recipe]:
    """The recipes of a run file in order, each showing all text columns of its table unless it names some.

    `redacted` (`llm.redact`): e-mail addresses, telephone numbers and URLs are taken out of every value. Raises
    ConfigError on a recipe that stands twice or before one that it needs, and on a column that is not there.
    """
    recipes = check_recipes(configs)
    return [
        replace(recipe, columns=_columns(recipe, corpus), item_columns=_item_columns(recipe, corpus), redacted=redacted)
        for recipe in recipes
    ]


def check_recipes(configs: Sequence[sections.Recipe]) -> list[Recipe]:
    """The recipes of a run file in order, as far as can be told without its data. Raises ConfigError."""
    recipes: list[Recipe] = []
    for config in configs:
        recipe = replace(make_recipe(config.name, config.options), prompt=_instruction(config))
        _check_instruction(recipe, config)
        _check_order(recipe, [before.name for before in recipes])
        recipes.append(recipe)
    return recipes


def _instruction(config: sections.Recipe) -> str:
    """The run file's own wording; empty where it has none."""
    if config.prompt is None:
        return ""
    try:
        text = Path(config.prompt).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"recipes.{config.name}.prompt: {config.prompt}: cannot be read ({error})") from None
    if not text:
        raise ConfigError(f"recipes.{config.name}.prompt: {config.prompt}: expected an instruction, found nothing")
    return text


def _check_instruction(recipe: Recipe, config: sections.Recipe) -> None:
    try:
        recipe.instruction()
    except ConfigError as error:
        raise ConfigError(f"{error} ({config.prompt})") from None


def _check_order(recipe: Recipe, before: Sequence[str]) -> None:
    if recipe.name in before:
        raise ConfigError(f"recipes: {recipe.name} stands twice")
    for needed in recipe.needs:
        if needed not in before:
            raise ConfigError(f"recipes: {recipe.name} shows what {needed} wrote; put {needed} before it")


def _columns(recipe: Recipe, corpus: Corpus) -> tuple[str, ...]:
    present = _text_columns(corpus.users if recipe.kind == "user" else corpus.items)
    _check_columns(f"recipes.{recipe.name}.options.columns", recipe.columns, present)
    return recipe.columns or present


def _item_columns(recipe: Recipe, corpus: Corpus) -> tuple[str, ...]:
    where = f"recipes.{recipe.name}.options.item_columns"
    _check_columns(where, recipe.item_columns, _text_columns(corpus.items))
    return recipe.item_columns


def _check_columns(where: str, named: Sequence[str], present: Sequence[str]) -> None:
    for column in named:
        if column not in present:
            raise ConfigError(unknown_name(where, column, present))


def _text_columns(table: pl.DataFrame) -> tuple[str, ...]:
    return tuple(column for column in table.columns if column not in ("id", "ds"))
