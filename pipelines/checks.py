"""What can be known to be wrong with a run before anything is read, asked or trained."""

from __future__ import annotations

from features.recipes import RECIPES, check_recipes
from features.recipes.choosing import Choosing
from language_models.prices import check_prices
from recommenders import check_model
from recommenders.candidates import check_base
from schemas.errors import ConfigError, unknown_name
from schemas.records import KINDS
from schemas.run import Run
from schemas.sections import Model


def check_run(run: Run) -> None:
    """Look every name and option of the run file up. Raises ConfigError naming file, key and nearest valid name."""
    try:
        recipes = check_recipes(run.recipes)
        for llm in (run.llm, *(run.llm_of(recipe.name) for recipe in run.recipes)):
            check_prices(llm)
        for recipe in recipes:
            if isinstance(recipe, Choosing):
                check_base(recipe.base, f"recipes.{recipe.name}.options.base")
    except ConfigError as error:
        raise ConfigError(f"{run.file}: {error}") from None
    for model in run.models:
        check_model(model, run)
        _check_features(model, run)


def _check_features(model: Model, run: Run) -> None:
    if model.features is None:
        return
    ours, where = [recipe.name for recipe in run.recipes], f"{run.file}: models.{model.name}.features"
    for kind in KINDS:
        for source in model.features.texts(kind):
            recipe = source.split("/")[0]
            if "/" not in source:
                continue
            _check_recipe(recipe, ours, f"{where}.{kind}")
            if RECIPES[recipe].kind != kind:
                raise ConfigError(f"{where}.{kind}: {source} writes {RECIPES[recipe].kind} profiles")
    for recipe in model.features.edges:
        _check_recipe(recipe, ours, f"{where}.edges")
        if not RECIPES[recipe].gives_edges:
            raise ConfigError(f"{where}.edges: {recipe} writes texts, no edges")


def _check_recipe(recipe: str, ours: list[str], where: str) -> None:
    if recipe not in ours:
        raise ConfigError(
            unknown_name(f"{where}: recipe of this run", recipe, RECIPES if recipe not in RECIPES else ours)
        )
