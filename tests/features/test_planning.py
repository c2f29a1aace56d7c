"""Plans: what would be asked and why, what it weighs and costs, before the first call; and that nothing is asked."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from features.corpus import make_corpus
from features.generation import questions, read_all
from features.key_set import RECENT, KeySet
from features.planning import Plan, describe, plan, plan_all
from features.recipes import make_recipe
from features.recipes.base import Recipe
from features.recipes.rlmrec_item import RlmrecItem
from language_models.answering import answer_all
from language_models.chat_format import strict_schema
from language_models.engines import make_engine
from language_models.ledger import Call, Ledger
from language_models.simulator.tokens import count_tokens
from schemas.errors import BudgetError
from schemas.records import Event, Prompt, Subject, canonical, sha256
from schemas.sections import Llm
from tests.support.scripted_engine import ScriptedEngine

SAMPLE = Path(__file__).parents[2] / "infra" / "sample"
LLM = Llm()
ITEM, USER = make_recipe("rlmrec.item", {"noun": "book"}), make_recipe("rlmrec.user", {"noun": "book"})
BOOKS = [
    Subject("item", str(n), {"title": f"The Voyage of Number {n}", "subjects": "sea adventure; islands"})
    for n in range(200)
]


class Reworded(RlmrecItem):
    version = "2"

    def system(self) -> str:
        return super().system() + "\n5. Be brief."


class Bolder(RlmrecItem):
    def system(self) -> str:
        return super().system() + "\n5. Be bold."


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite", "2026-11-24") as opened:
        yield opened


def good(prompt: Prompt) -> str:
    return json.dumps({"summarization": f"People who like {prompt.user[11:30]}.", "reasoning": "It says so."})


def ask(recipe, subjects, engine, ledger, llm=LLM):
    return answer_all(questions(recipe, subjects, engine), engine, ledger, llm)


def reasons(planned: Plan) -> dict[str, int]:
    return {each.reason: each.rows for each in planned.classes}


def retitled(book: Subject) -> Subject:
    return replace(book, attributes={**book.attributes, "title": "A New Title"})


def test_a_first_night_asks_everything_and_a_second_nothing(ledger):
    engine = ScriptedEngine(good)
    first = plan(ITEM, BOOKS, engine, ledger, LLM)
    assert (first.subjects, first.to_ask, first.cached, reasons(first)) == (200, 200, 0, {"new": 200})
    assert first == plan(ITEM, iter(BOOKS), engine, ledger, LLM)
    assert engine.calls == [], "a plan asks nothing"
    ask(ITEM, BOOKS, engine, ledger)
    second = plan(ITEM, BOOKS, engine, ledger, LLM)
    assert (second.to_ask, second.cached, second.input_tokens, second.output_tokens) == (0, 200, 0, 0)
    assert second.classes == ()


def test_one_in_a_hundred_texts_changed_is_one_in_a_hundred_calls(ledger):
    engine = ScriptedEngine(good)
    ask(ITEM, BOOKS, engine, ledger)
    engine.calls.clear()
    changed = [retitled(book) if int(book.id) == 7 else book for book in BOOKS]
    changed[150] = replace(changed[150], attributes={"title": "Another"})
    planned = plan(ITEM, changed, engine, ledger, LLM)
    assert (planned.to_ask, planned.cached, reasons(planned)) == (2, 198, {"text": 2})
    assert planned.classes[0].share == 0.01
    assert planned.classes[0].example == "7"
    ask(ITEM, changed, engine, ledger)
    assert engine.calls == ["7", "150"]


def test_a_new_prompt_version_asks_everything_and_says_from_where_to_where(ledger):
    engine = ScriptedEngine(good)
    ask(ITEM, BOOKS, engine, ledger)
    changed = [retitled(BOOKS[0]), *BOOKS[1:]]
    [why] = plan(Reworded(noun="book"), changed, engine, ledger, LLM).classes
    assert (why.reason, why.rows, why.share, why.before, why.after) == ("prompt", 200, 1.0, "1", "2")


def test_a_new_model_asks_everything_and_says_from_which_to_which(ledger):
    ask(ITEM, BOOKS, ScriptedEngine(good), ledger)
    other = ScriptedEngine(good)
    other.model = "script-2"
    [why] = plan(ITEM, BOOKS, other, ledger, LLM).classes
    assert (why.reason, why.rows, why.share, why.before, why.after) == ("model", 200, 1.0, "script-1", "script-2")


def test_a_new_endpoint_of_the_same_model_is_named(ledger):
    here = make_engine(Llm(engine="openai", model="m", base_url="http://127.0.0.1:1/v1"))
    there = make_engine(Llm(engine="openai", model="m", base_url="http://127.0.0.1:2/v1"))
    lease_and_answer(ledger, here, BOOKS[:3])
    [why] = plan(ITEM, BOOKS[:3], there, ledger, LLM).classes
    assert (why.reason, why.before, why.after) == ("model", here.endpoint, there.endpoint)


def lease_and_answer(ledger, engine, books):
    for book in books:
        prompt = ITEM.ask(book)
        key = engine.key(prompt)
        ledger.lease([Call(key, prompt, engine.name, engine.model, 0.0, 300, engine.endpoint)])
        answered = next(iter(ScriptedEngine(good).answer([prompt])))
        ledger.respond([replace(answered, key=key)])


def test_an_instruction_that_changed_without_a_new_version_is_told_apart(ledger):
    engine = ScriptedEngine(good)
    ask(ITEM, BOOKS[:5], engine, ledger)
    assert reasons(plan(Bolder(noun="book"), BOOKS[:5], engine, ledger, LLM)) == {"instruction": 5}


def test_other_settings_of_the_engine_are_told_apart(ledger):
    class Warmer(ScriptedEngine):
        def key(self, prompt):
            return prompt.key(self.model, {"engine": self.name, "temperature": 1})

    ask(ITEM, BOOKS[:5], ScriptedEngine(good), ledger)
    assert reasons(plan(ITEM, BOOKS[:5], Warmer(good), ledger, LLM)) == {"settings": 5}


def test_a_failed_call_is_asked_again_and_a_rejected_answer_is_not(ledger):
    engine = ScriptedEngine(lambda prompt: ("down", "error:server") if prompt.id == "1" else "no json")
    ask(ITEM, BOOKS[:3], engine, ledger)
    planned = plan(ITEM, BOOKS[:3], engine, ledger, LLM)
    assert (planned.cached, reasons(planned)) == (2, {"failed": 1})


def test_an_answer_that_needs_a_follow_up_costs_that_follow_up_and_one_that_does_not_costs_nothing(ledger):
    class KilledError(Exception):
        pass

    def killed_at_the_follow_up(prompt):
        if prompt.turn:
            raise KilledError
        return "no json" if prompt.id == "1" else good(prompt)

    engine = ScriptedEngine(killed_at_the_follow_up)
    with pytest.raises(KilledError):
        ask(ITEM, BOOKS[:3], engine, ledger)
    planned = plan(ITEM, BOOKS[:3], engine, ledger, LLM)
    assert (planned.to_ask, planned.cached, reasons(planned)) == (1, 2, {"follow-up": 1})
    assert planned.input_tokens > plan(Reworded(noun="book"), BOOKS[1:2], engine, ledger, LLM).input_tokens
    assert ask(ITEM, BOOKS[:3], ScriptedEngine(good), ledger).follow_ups == 1


def test_equal_prompts_are_asked_once_and_nothing_known_is_not_asked(ledger):
    twins = [replace(BOOKS[0], id=str(n)) for n in range(3)]
    planned = plan(ITEM, [*twins, BOOKS[1], Subject("item", "e", {})], ScriptedEngine(good), ledger, LLM)
    assert (planned.to_ask, planned.cached, planned.nothing_to_ask, planned.subjects) == (2, 2, 1, 5)
    assert reasons(planned) == {"new": 2, "duplicate": 2}


def test_costs_are_expected_from_past_answers_and_bounded_by_what_is_reserved(ledger):
    llm = Llm(engine="openai", model="m", usd_per_million_input=1.0, usd_per_million_output=4.0, max_output_tokens=100)
    engine = ScriptedEngine(good)
    first = plan(ITEM, BOOKS, engine, ledger, llm)
    assert first.output_tokens == 200 * 30, "nothing was answered yet: a share of the limit"
    assert first.expected_cost_usd == pytest.approx((first.input_tokens + 4 * first.output_tokens) / 1e6)
    ask(ITEM, BOOKS[:100], engine, ledger, llm)
    second = plan(ITEM, BOOKS, engine, ledger, llm)
    assert second.output_tokens == 100 * 5, "the scripted engine reports five per answer"
    assert second.expected_cost_usd < second.max_cost_usd
    capped = llm.model_copy(update={"max_cost_usd": second.max_cost_usd})
    assert ask(ITEM, BOOKS, engine, ledger, capped).asked == 100, "a cap of that much stops nothing"


def test_a_cap_far_below_the_plan_stops_the_run(ledger):
    llm = Llm(engine="openai", model="m", usd_per_million_input=1.0, usd_per_million_output=4.0)
    least = plan(ITEM, BOOKS[:1], ScriptedEngine(good), ledger, llm).max_cost_usd
    with pytest.raises(BudgetError):
        ask(ITEM, BOOKS, ScriptedEngine(good), ledger, llm.model_copy(update={"max_cost_usd": 0.99 * least}))


def test_a_batch_is_priced_as_a_batch(ledger):
    llm = Llm(engine="openai", model="gpt-4o-mini")
    online = plan(ITEM, BOOKS, ScriptedEngine(good), ledger, llm)
    batch = plan(ITEM, BOOKS, ScriptedEngine(good), ledger, llm.model_copy(update={"mode": "batch"}))
    assert batch.expected_cost_usd == pytest.approx(online.expected_cost_usd / 2)
    assert batch.max_cost_usd == pytest.approx(online.max_cost_usd / 2)


def test_the_estimate_is_corrected_by_what_the_endpoint_counted(ledger):
    """The scripted engine reports ten input tokens whatever is asked; a correction stops at a quarter."""
    engine = ScriptedEngine(good)
    before = plan(ITEM, BOOKS, engine, ledger, LLM).input_tokens
    ask(ITEM, BOOKS[:100], engine, ledger)
    after = plan(ITEM, BOOKS, engine, ledger, LLM).input_tokens
    assert after == pytest.approx(before / 2 / 4, rel=0.02)


def test_input_tokens_are_within_a_tenth_of_another_counters(ledger):
    items = sample_items()
    planned = plan(ITEM, items, ScriptedEngine(good), ledger, LLM)
    counted = 0
    for prompt in map(ITEM.ask, items):
        schema = canonical(strict_schema(prompt.answer_schema))
        counted += sum(map(count_tokens, (prompt.system, prompt.user, schema))) + 2 * 4
    assert 0.9 * counted <= planned.input_tokens <= 1.1 * counted


def sample_items() -> list[Subject]:
    table = pl.read_csv(SAMPLE / "items.csv", infer_schema=False)
    return [Subject("item", row.pop("id"), row) for row in table.iter_rows(named=True)]


class Desk:
    """The sample's books and some of its readers, all of their events in train."""

    def __init__(self, engine, ledger, readers: int = 150) -> None:
        events = pl.read_parquet(SAMPLE / "interactions.parquet").sort("user_id", "timestamp")
        users = events.select(pl.col("user_id").unique().sort()).head(readers)
        events = events.join(users, on="user_id", how="semi", maintain_order="left").with_row_index("order")
        splits = events.select(
            "user_id",
            "item_id",
            time=pl.col("timestamp"),
            order=pl.col("order").cast(pl.Int64),
            weight=pl.lit(1.0, pl.Float32),
            part=pl.lit("train"),
            split_id=pl.lit("s"),
        )
        items = pl.read_csv(SAMPLE / "items.csv", infer_schema=False)
        self.train = make_corpus(users.rename({"user_id": "id"}), items, splits).train
        self.engine, self.ledger = engine, ledger

    def about(self, recipe: Recipe, texts: Mapping[str, str]) -> Iterable[Subject]:
        return self.train.subjects(recipe.kind, texts)

    def texts(self, recipe: Recipe) -> dict[str, str]:
        rows = read_all(recipe, self.about(recipe, {}), self.engine, self.ledger).rows
        return {row.id: row.text for row in rows if row.field == recipe.main_field()}

    def subjects(self, recipe: Recipe) -> Iterable[Subject]:
        return self.about(recipe, self.texts(ITEM) if recipe.needs else {})

    def plans(self) -> list[Plan]:
        return plan_all([ITEM, USER], self.about, self.texts, lambda _: self.engine, self.ledger, lambda _: LLM)


def test_a_first_night_is_planned_within_a_tenth_though_one_recipe_shows_what_another_has_yet_to_write(ledger):
    engine = make_engine(LLM)
    desk = Desk(engine, ledger)
    plans = desk.plans()
    assert [planned.assumed for planned in plans] == [0, plans[1].to_ask]
    for recipe, planned in zip((ITEM, USER), plans, strict=True):
        came = ask(recipe, desk.subjects(recipe), engine, ledger)
        assert came.asked == planned.to_ask
        assert 0.9 * came.input_tokens <= planned.input_tokens <= 1.1 * came.input_tokens
        assert 0.8 * came.output_tokens <= planned.output_tokens <= 1.2 * came.output_tokens
    assert [(planned.to_ask, planned.assumed) for planned in desk.plans()] == [(0, 0), (0, 0)]


def test_who_shows_a_text_that_is_about_to_be_written_again_is_asked_again(ledger):
    engine = ScriptedEngine(good)
    items, reader = BOOKS[:4], Event("1", {"title": "The Voyage of Number 1"})
    users = [Subject("user", "a", {}, (reader,)), Subject("user", "b", {}, (replace(reader, id="2"),))]

    def about(recipe, texts):
        kept = {id: texts[id] for id in ("1", "2") if id in texts}
        return [replace(user, profiles=kept) for user in users] if recipe.needs else items

    def texts(recipe):
        rows = read_all(recipe, about(recipe, {}), engine, ledger).rows
        return {row.id: row.text for row in rows if row.field == "summarization"}

    for recipe in (ITEM, USER):
        ask(recipe, about(recipe, texts(ITEM) if recipe.needs else {}), engine, ledger)
    items[1] = retitled(items[1])
    item_plan, user_plan = plan_all([ITEM, USER], about, texts, lambda _: engine, ledger, lambda _: LLM)
    assert reasons(item_plan) == {"text": 1}
    assert (reasons(user_plan), user_plan.classes[0].example) == ({"upstream": 1}, "a")


def test_a_stand_in_is_as_long_as_the_answers_that_are_there(ledger):
    long = "A very long summary of what people who enjoy this book might be like. " * 8
    engine = ScriptedEngine(lambda prompt: json.dumps({"summarization": long, "reasoning": "so"}))
    events = tuple(Event(str(n), {"title": f"T{n}"}) for n in range(3))

    def plans(known):
        return plan_all(
            [ITEM, USER],
            lambda recipe, texts: [Subject("user", "a", {}, events, profiles=texts)] if recipe.needs else BOOKS[:6],
            lambda recipe: known,
            lambda _: engine,
            ledger,
            lambda _: LLM,
        )

    short, longer = plans({"5": "Short."})[1], plans({"5": long})[1]
    assert longer.input_tokens - short.input_tokens == pytest.approx(3 * len(long) / 4.6, rel=0.15)


def test_a_plan_is_one_line_for_people(ledger):
    llm = Llm(engine="openai", model="gpt-4o-mini")
    engine = ScriptedEngine(good)
    ask(ITEM, BOOKS, engine, ledger)
    twin = replace(BOOKS[3], id="twin")
    planned = plan(ITEM, [*map(retitled, BOOKS[:1]), *BOOKS[1:], twin, Subject("item", "e", {})], engine, ledger, llm)
    assert describe(planned) == (
        "rlmrec.item: 1 of 202 items to ask (0.5 %): 1 texts changed; "
        f"about {planned.input_tokens} input tokens, ${planned.expected_cost_usd:.4f} expected, "
        f"${planned.max_cost_usd:.4f} at most; 200 answered; 1 of which nothing is known"
    )
    bumped = describe(plan(Reworded(noun="book"), [*BOOKS, twin], engine, ledger, LLM))
    assert "200 of 201 items to ask (99.5 %): 200 prompt 1 -> 2; about" in bumped
    assert "free of charge; 1 answered or equal to others" in bumped
    unknown = Llm(engine="openai", model="llama")
    assert "no price is known for the model" in describe(
        plan(Reworded(noun="book"), BOOKS[:1], engine, ledger, unknown)
    )


def test_a_set_of_keys_knows_a_key_from_long_ago():
    keys = [sha256(str(n)) for n in range(2 * RECENT + 10)]
    seen = KeySet()
    assert all(seen.add(key) for key in keys)
    assert not any(seen.add(key) for key in keys[:100] + keys[RECENT : RECENT + 100] + keys[-5:])
    assert seen.add(sha256("other"))
