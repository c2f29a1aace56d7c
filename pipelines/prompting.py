"""What a recipe would send: its instruction, and the whole prompt about one user or item of a night."""

from __future__ import annotations

import json
from pathlib import Path

from features.generation import try_ask
from features.recipes import check_recipes, make_recipe
from features.recipes.base import Recipe
from pipelines.desk import open_desk
from pipelines.night import last_night, open_night
from schemas.errors import ConfigError, DataError, unknown_name
from schemas.records import Prompt
from schemas.run import Run, load_run


def instruction_of(recipe: str, file: Path | None) -> str:
    """The instruction as the run file has it, or as it is without one. Raises ConfigError on an unknown recipe."""
    return (make_recipe(recipe) if file is None else _of_run(load_run(file), recipe)).instruction()


def prompt_about(recipe: str, id: str, file: Path, ds: str | None, lake: str | None) -> Prompt:
    """The prompt about a subject with the tables of a night, by default the last one; of partitions the latest.

    Raises DataError where there is no such subject, or nothing to ask.
    """
    run = load_run(file, lake=lake)
    _of_run(run, recipe)
    found: Prompt | None = None
    with open_desk(open_night(run, ds or last_night(run))) as desk:
        asked = desk.recipe(recipe)
        for subjects in desk.waves(asked):
            for subject in subjects():
                if subject.id == id:
                    prompt = try_ask(asked, subject)
                    if not isinstance(prompt, Prompt):
                        raise DataError(f"{recipe}: {prompt.detail}")
                    found = prompt
    if found is None:
        raise DataError(
            f"{recipe}: {asked.kind} {id!r}: not among those who are asked about; see `loregraph table {asked.kind}s`"
        )
    return found


def as_text(prompt: Prompt) -> str:
    """A prompt as people read it."""
    schema = json.dumps(prompt.answer_schema, indent=1, ensure_ascii=False)
    return f"SYSTEM\n\n{prompt.system}\n\nUSER\n\n{prompt.user}\n\nANSWER SCHEMA\n\n{schema}"


def _of_run(run: Run, name: str) -> Recipe:
    try:
        known = {recipe.name: recipe for recipe in check_recipes(run.recipes)}
    except ConfigError as error:
        raise ConfigError(f"{run.file}: {error}") from None
    if name not in known:
        raise ConfigError(unknown_name(f"{run.file}: recipes", name, known))
    return known[name]
