"""What can be known to be wrong with a run before anything is read, asked or trained."""

from __future__ import annotations

from features.instructions import INSTRUCTIONS, KEYS
from features.recipes import RECIPES, can_write, check_recipes
from features.recipes.choosing import Choosing
from features.tokenizers import TOKENIZERS
from graph_models.options import check_options
from language_models.prices import check_prices
from pipelines.compare.cells import make_cells
from pipelines.compare.space import space_of
from pipelines.online import check_online
from pipelines.serving import check_recommend
from recommenders import check_model
from recommenders.candidates import check_base
from recommenders.click import check_click_model
from schemas.errors import ConfigError, unknown_name
from schemas.records import KINDS, Kind
from schemas.run import Run
from schemas.sections import Features, Instructions, SemanticIds


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
        _check_features(model.features, run, f"{run.file}: models.{model.name}.features")
    for entry in run.semantic_ids:
        _check_semantic_ids(entry, run)
    for instructions in run.instructions:
        _check_instructions(instructions, run)
    check_recommend(run)
    check_online(run)
    _check_compare(run)
    if run.click_models:
        _check_click_split(run)
    for click_model in run.click_models:
        check_click_model(click_model, run)
        _check_features(click_model.features, run, f"{run.file}: click_models.{click_model.name}.features")


def _check_semantic_ids(entry: SemanticIds, run: Run) -> None:
    where = f"{run.file}: semantic_ids.{entry.name}"
    if entry.tokenizer not in TOKENIZERS:
        raise ConfigError(unknown_name(f"{where}.tokenizer", entry.tokenizer, TOKENIZERS))
    tokenizer = TOKENIZERS[entry.tokenizer]
    check_options(tokenizer, entry.options, f"{where}.options")
    if tokenizer.reads_text and not entry.texts:
        raise ConfigError(f"{where}.item: {entry.tokenizer} quantises texts, found none; name a column or recipe/field")
    _check_features(Features(item=entry.item), run, where)


def _check_instructions(entry: Instructions, run: Run) -> None:
    where = f"{run.file}: instructions.{entry.name}"
    if entry.builder not in INSTRUCTIONS:
        raise ConfigError(unknown_name(f"{where}.builder", entry.builder, INSTRUCTIONS))
    builder = INSTRUCTIONS[entry.builder]
    check_options(builder, entry.options, f"{where}.options")
    for key in KEYS:
        if getattr(entry, key) is None and key in builder.needs:
            raise ConfigError(f"{where}.{key}: {entry.builder} needs it, found none")
        if getattr(entry, key) is not None and key not in (*builder.needs, *builder.reads):
            raise ConfigError(f"{where}.{key}: {entry.builder} does not read it; leave it out")
    ours = [recipe.name for recipe in run.recipes]
    if entry.profile is not None:
        _check_written(entry.profile, ("user",), ours, f"{where}.profile")
    if entry.intention is not None:
        _check_written(entry.intention, KINDS, ours, f"{where}.intention")
    if entry.vectors is not None and "/" in entry.vectors:  # else a column
        _check_written(entry.vectors, ("item",), ours, f"{where}.vectors")


def _check_written(source: str, kinds: tuple[Kind, ...], ours: list[str], where: str) -> None:
    """Refuse a text `recipe/field` that no recipe of the run writes, or none about such a kind."""
    recipe, _, field = source.partition("/")
    if not field:
        raise ConfigError(f"{where}: expected recipe/field, found {source}")
    _check_recipe(recipe, ours, where)
    made = RECIPES[recipe]
    if not can_write(source):
        raise ConfigError(unknown_name(f"{where}: field of {recipe}", field, made.writes or made.answer.model_fields))
    if made.kind not in kinds:
        raise ConfigError(f"{where}: {source} writes {made.kind} profiles")


def _check_compare(run: Run) -> None:
    if run.compare is None:
        return
    for text in run.compare.texts:
        _check_features(text, run, f"{run.file}: compare.texts.{text.name}")
    for cell in make_cells(run):
        space_of(cell, run)


def _check_click_split(run: Run) -> None:
    if run.split.rule != "oldest":
        raise ConfigError(
            f'{run.file}: split.rule: click models learn from what comes after the oldest events; expected "oldest",'
            f' found "{run.split.rule}"'
        )
    if run.split.cold_items or run.split.cold_users:
        raise ConfigError(
            f"{run.file}: split: click models learn from all reserved events; remove cold_items and cold_users"
        )


def _check_features(features: Features | None, run: Run, where: str) -> None:
    if features is None:
        return
    ours = [recipe.name for recipe in run.recipes]
    for kind in KINDS:
        profile = features.profile(kind)
        if profile is not None and "/" not in profile:
            raise ConfigError(f"{where}.{kind}_profile: expected recipe/field, found {profile}")
        for source in (*features.texts(kind), *([profile] if profile else [])):
            recipe = source.split("/")[0]
            if "/" not in source:
                continue
            _check_recipe(recipe, ours, f"{where}.{kind}")
            if RECIPES[recipe].kind != kind:
                raise ConfigError(
                    f"{where}.{kind}: {source} writes {RECIPES[recipe].kind} profiles; name a text of {kind}s"
                )
    for recipe in features.edges:
        _check_recipe(recipe, ours, f"{where}.edges")
        if not RECIPES[recipe].gives_edges:
            raise ConfigError(f"{where}.edges: {recipe} writes texts, no edges")


def _check_recipe(recipe: str, ours: list[str], where: str) -> None:
    if recipe not in ours:
        raise ConfigError(
            unknown_name(f"{where}: recipe of this run", recipe, RECIPES if recipe not in RECIPES else ours)
        )
