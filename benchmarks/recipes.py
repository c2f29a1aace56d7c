"""What prompts and answers of every recipe weigh: `python -m benchmarks.recipes --run FILE [--ds DATE]`.

Tokens are estimated (`language_models.tokens`) over the prompts of up to 200 subjects and the answers that the ledger
has to them; the cards of the recipes are to be near them. The night must have been generated.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from features.generation import questions
from features.recipes.base import Recipe
from language_models.tokens import estimate_tokens, prompt_tokens
from pipelines.desk import Desk, open_desk
from pipelines.night import last_night, open_night
from schemas.run import load_run

SAMPLE, EVERY = 200, 7
HEAD = "| recipe | prompts | input tokens | at most | answers | output tokens | card: in / out |\n" + 7 * "|---" + "|"


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--run", type=Path, required=True, help="run file")
    parser.add_argument("--ds", help="the night; the last one when left out")
    chosen = parser.parse_args()
    run = load_run(chosen.run)
    with open_desk(open_night(run, chosen.ds or last_night(run))) as desk:
        print("\n".join([HEAD, *lines(desk)]))  # noqa: T201


def lines(desk: Desk) -> Iterator[str]:
    """A row of the table per recipe of the run."""
    for recipe in desk.recipes:
        given, written = weigh(desk, recipe)
        card = f"{recipe.tokens[0]} / {recipe.tokens[1]}"
        cells = (
            f"`{recipe.name}`",
            len(given),
            _mean(given),
            max(given, default=0),
            len(written),
            _mean(written),
            card,
        )
        yield f"| {' | '.join(map(str, cells))} |"


def weigh(desk: Desk, recipe: Recipe) -> tuple[list[int], list[int]]:
    """Estimated tokens of every 7th subject's prompt, up to 200, and of the answers to them."""
    engine = desk.engine(recipe)
    first = next(desk.waves(recipe), None)
    asked = islice(questions(recipe, first(), engine), 0, SAMPLE * EVERY, EVERY) if first is not None else ()
    prompts = {engine.key(each.prompt): each.prompt for each in asked}
    answers = [turns[-1] for turns in desk.ledger.answers(prompts).values()]
    written = [each.output_tokens or estimate_tokens(each.text) for each in answers if each.text]
    return [prompt_tokens(prompt) for prompt in prompts.values()], written


def _mean(tokens: list[int]) -> int:
    return round(sum(tokens) / len(tokens)) if tokens else 0


if __name__ == "__main__":
    main()
