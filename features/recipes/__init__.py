"""The recipes by name: each a paper's way to ask a language model, one file with its answer's schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

from pydantic import TypeAdapter, ValidationError

from features.corpus import Corpus
from features.recipes.base import Recipe
from features.recipes.rlmrec_item import RlmrecItem
from features.recipes.rlmrec_user import RlmrecUser
from schemas import run
from schemas.errors import ConfigError, unknown_name

RECIPES: dict[str, type[Recipe]] = {
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


def make_recipes(configs: Sequence[run.Recipe], corpus: Corpus, redacted: bool = False) -> list[Recipe]:
    """The recipes of a run file in order, each showing all text columns of its table unless it names some.

    `redacted` (`llm.redact`): e-mail addresses, telephone numbers and URLs are taken out of every value. Raises
    ConfigError on a recipe that stands twice or before one that it needs, and on a column that is not there.
    """
    return [replace(recipe, columns=_columns(recipe, corpus), redacted=redacted) for recipe in check_recipes(configs)]


def check_recipes(configs: Sequence[run.Recipe]) -> list[Recipe]:
    """The recipes of a run file in order, as far as can be told without its data. Raises ConfigError."""
    recipes: list[Recipe] = []
    for config in configs:
        recipe = make_recipe(config.name, config.options)
        _check_order(recipe, [before.name for before in recipes])
        recipes.append(recipe)
    return recipes


def _check_order(recipe: Recipe, before: Sequence[str]) -> None:
    if recipe.name in before:
        raise ConfigError(f"recipes: {recipe.name} stands twice")
    for needed in recipe.needs:
        if needed not in before:
            raise ConfigError(f"recipes: {recipe.name} shows what {needed} wrote; put {needed} before it")


def _columns(recipe: Recipe, corpus: Corpus) -> tuple[str, ...]:
    table = corpus.users if recipe.kind == "user" else corpus.items
    present = tuple(column for column in table.columns if column not in ("id", "ds"))
    for column in recipe.columns:
        if column not in present:
            raise ConfigError(unknown_name(f"recipes.{recipe.name}.options.columns", column, present))
    return recipe.columns or present
