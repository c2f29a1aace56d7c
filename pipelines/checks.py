"""What can be known to be wrong with a run before anything is read, asked or trained."""

from __future__ import annotations

from features.recipes import RECIPES, check_recipes
from language_models.prices import check_prices
from recommenders import check_model
from schemas.errors import ConfigError, unknown_name
from schemas.run import Model, Run


def check_run(run: Run) -> None:
    """Look every name and option of the run file up. Raises ConfigError naming file, key and nearest valid name."""
    try:
        check_recipes(run.recipes)
        check_prices(run.llm)
    except ConfigError as error:
        raise ConfigError(f"{run.file}: {error}") from None
    for model in run.models:
        check_model(model, run)
        _check_features(model, run)


def _check_features(model: Model, run: Run) -> None:
    if model.features is None:
        return
    ours = [recipe.name for recipe in run.recipes]
    for kind, source in (("item", model.features.item), ("user", model.features.user)):
        recipe = source.split("/")[0]
        if "/" not in source:
            continue
        if recipe not in ours:
            known = RECIPES if recipe not in RECIPES else ours
            raise ConfigError(
                unknown_name(f"{run.file}: models.{model.name}.features.{kind}: recipe of this run", recipe, known)
            )
        if RECIPES[recipe].kind != kind:
            raise ConfigError(
                f"{run.file}: models.{model.name}.features.{kind}: {source} writes {RECIPES[recipe].kind} profiles"
            )
