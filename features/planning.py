"""What a night would ask, why, and what it may cost, before the first call; asks nothing and writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from features.histories import Posed
from features.recipes.base import Recipe
from features.stand_ins import expected_output, stand_in
from features.survey import Survey
from language_models.ledger import Ledger
from language_models.prices import cost_usd, price_of
from language_models.protocols import ChatEngine
from language_models.tokens import calibrated
from schemas.records import Kind, Subject
from schemas.sections import Llm

# reason -> how a plan says it; {from} and {to} are the prompt's version or the model's name, last time and tonight
REASONS = {
    "new": "new",
    "prompt": "prompt {from} -> {to}",
    "instruction": "instruction or answer schema changed",
    "model": "model {from} -> {to}",
    "text": "texts changed",
    "upstream": "show texts that are about to be written",
    "settings": "settings changed",
    "failed": "failed before",
    "follow-up": "follow-ups to answers that could not be used",
    "duplicate": "equal to others",
}


@dataclass(frozen=True, slots=True)
class RowClass:
    """Rows of one reason. `share` is their part of all subjects, `example` the id of one of them."""

    reason: str  # of REASONS
    rows: int
    share: float
    example: str
    before: str = ""  # prompt version or model, where that is the reason
    after: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What asking a recipe's questions would come to. Rows of the class `duplicate` are not asked, but cached.

    `assumed` of the rows to ask show texts that another recipe is yet to write, and whose length is assumed.
    `input_tokens` is an estimate, corrected by what the endpoint counted before; `output_tokens` are as many per call
    as answers had before. `max_cost_usd` is the sum of what would be reserved: a cap of so much stops nothing but
    follow-ups. Costs are 0 where no price is known (`priced`).
    """

    recipe: str
    kind: Kind
    subjects: int
    nothing_to_ask: int
    cached: int
    to_ask: int
    assumed: int
    input_tokens: int
    output_tokens: int
    expected_cost_usd: float
    max_cost_usd: float
    priced: bool
    classes: tuple[RowClass, ...]  # most rows first


def plan(
    recipe: Recipe,
    subjects: Iterable[Subject],
    engine: ChatEngine,
    ledger: Ledger,
    llm: Llm,
    expected: Mapping[str, str] | None = None,
) -> Plan:
    """What asking about the subjects would come to, in bounded memory.

    `expected` holds, by id, texts of the recipes that this one shows which are about to be written: each of the length
    that it will have. A subject that shows one of them is asked about, whatever it will say.
    """
    survey = Survey(recipe, engine, ledger, llm, expected or {})
    survey.read(subjects)
    return _plan(survey)


def plan_all(
    recipes: Sequence[Recipe],
    subjects_of: Callable[[Recipe, Mapping[str, str]], Iterable[Subject]],
    texts_of: Callable[[Recipe], Mapping[str, str]],
    engine_of: Callable[[Recipe], ChatEngine],
    ledger: Ledger,
    llm_of: Callable[[Recipe], Llm],
    asked_of: Callable[[Recipe], Iterable[Posed] | None] = lambda _: None,
) -> list[Plan]:
    """The plans of recipes in order, each knowing what the ones before it are about to write.

    `subjects_of(recipe, texts)` makes a recipe's subjects, which show `texts` by the id of the other side;
    `engine_of` and `llm_of` say who is asked; `texts_of(recipe)` is what a recipe's answers say in their main field, by
    subject id, as far as there are answers; `asked_of(recipe)` are a recipe's subjects with their prompts where they
    are made elsewhere, else None.
    """
    needed = {name for recipe in recipes for name in recipe.needs}
    plans, written, expected = list[Plan](), dict[str, Mapping[str, str]](), dict[str, Mapping[str, str]]()
    for recipe in recipes:
        engine, llm = engine_of(recipe), llm_of(recipe)
        survey = Survey(recipe, engine, ledger, llm, _merged(expected, recipe.needs))
        survey.pending = [] if recipe.name in needed else None
        asked = asked_of(recipe)
        if asked is not None:
            survey.read_asked(asked)
        else:
            survey.read(subjects_of(recipe, _merged(written, recipe.needs)))
        plans.append(_plan(survey))
        if survey.pending is not None:
            written[recipe.name] = texts = texts_of(recipe)
            expected[recipe.name] = dict.fromkeys(survey.pending, stand_in(recipe, texts, survey.samples, engine))
    return plans


def describe(plan: Plan) -> str:
    """A plan in one line."""
    asked = [each for each in plan.classes if each.reason != "duplicate"]
    total = f"{plan.recipe}: {plan.to_ask:,} of {plan.subjects:,} {plan.kind}s to ask"
    if plan.to_ask:
        total += f" ({100 * plan.to_ask / plan.subjects:.1f} %): " + ", ".join(map(_words, asked))
        total += f"; about {plan.input_tokens:,} input tokens, {_money(plan)}"
    if plan.assumed:
        total += f"; {plan.assumed:,} show texts yet to be written, whose length is assumed"
    kept = [f"{plan.cached:,} answered" + (" or equal to others" if len(asked) < len(plan.classes) else "")]
    kept += [f"{plan.nothing_to_ask:,} of which nothing is known"] if plan.nothing_to_ask else []
    return "; ".join([total, *kept])


def _plan(survey: Survey) -> Plan:
    recipe, engine, ledger, llm = survey.recipe, survey.engine, survey.ledger, survey.llm
    given = calibrated(survey.input_tokens, ledger.calibration(engine.model, recipe.name))
    written = survey.to_ask * expected_output(survey.samples, engine, ledger, llm) if survey.to_ask else 0
    return Plan(
        recipe=recipe.name,
        kind=recipe.kind,
        subjects=survey.subjects,
        nothing_to_ask=survey.nothing_to_ask,
        cached=survey.cached,
        to_ask=survey.to_ask,
        assumed=survey.assumed,
        input_tokens=given,
        output_tokens=written,
        expected_cost_usd=cost_usd(given, written, llm, batch=survey.batch),
        max_cost_usd=survey.max_cost_usd,
        priced=price_of(llm) is not None,
        classes=_classes(survey),
    )


def _classes(survey: Survey) -> tuple[RowClass, ...]:
    classes = [
        RowClass(reason, rows, rows / survey.subjects, example, before, after)
        for (reason, before, after), (rows, example) in survey.reasons.items()
    ]
    return tuple(sorted(classes, key=lambda each: -each.rows))


def _words(each: RowClass) -> str:
    return f"{each.rows:,} {REASONS[each.reason].format(**{'from': each.before, 'to': each.after})}"


def _money(plan: Plan) -> str:
    if not plan.priced:
        return "no price is known for the model, so that costs count as 0"
    if not plan.max_cost_usd:
        return "free of charge"
    return f"{_dollars(plan.expected_cost_usd)} expected, {_dollars(plan.max_cost_usd)} at most"


def _dollars(usd: float) -> str:
    return f"${usd:,.2f}" if usd >= 0.1 else f"${usd:.4f}"


def _merged(texts: Mapping[str, Mapping[str, str]], names: Iterable[str]) -> dict[str, str]:
    return {id: text for name in names for id, text in texts.get(name, {}).items()}
