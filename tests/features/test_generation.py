"""Generation: rows and rejects from subjects, shards that add up, answers read again for nothing, and no leak."""

import json
from dataclasses import replace
from typing import ClassVar

import polars as pl
import pytest

from features.corpus import make_corpus
from features.generation import Lineage, check_sources, questions, read_all
from features.recipes import make_recipe
from language_models.answering import answer_all
from language_models.engines import make_engine
from language_models.ledger import Ledger
from schemas.errors import BudgetError, LeakError
from schemas.records import Event, Subject
from schemas.sections import Llm
from tests.support.scripted_engine import ScriptedEngine

LLM = Llm()
ITEM, USER = make_recipe("rlmrec.item"), make_recipe("rlmrec.user")
SUBJECTS = [Subject("item", str(n), {"title": f"Book {n}"}) for n in range(10)]


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.db") as ledger:
        yield ledger


def good(prompt):
    return json.dumps({"summarization": f"About {prompt.id}.", "reasoning": "because"})


def ask(recipe, subjects, engine, ledger, llm=LLM, shard=0, shards=1):
    return answer_all(questions(recipe, subjects, engine, shard, shards), engine, ledger, llm)


def test_rows_rejects_lineage_and_counts_in_the_order_of_the_subjects(ledger):
    bad = {"2": "no json", "4": '{"summarization": "None"}', "5": ("cut", "length"), "6": ("", "missing")}
    engine = ScriptedEngine(lambda prompt: bad.get(prompt.id) or good(prompt), cost_usd=0.5)
    subjects = [Subject("item", "empty", {}), *SUBJECTS]
    counts = ask(ITEM, subjects, engine, ledger)
    made = read_all(ITEM, subjects, engine, ledger)
    assert [row.id for row in made.rows if row.field == "summarization"] == ["0", "1", "3", "7", "8", "9"]
    assert made.rows[0].text == "About 0."
    assert [(reject.id, reject.reason) for reject in made.rejects] == [
        ("empty", "nothing_to_ask"),
        ("2", "no_json"),
        ("4", "none"),
        ("5", "truncated"),
        ("6", "missing"),
    ]
    assert made.reasons["no_json"] == 1
    assert [line.id for line in made.lineage] == [str(n) for n in range(10)]
    assert made.lineage[0].key == made.rows[0].key == engine.key(ITEM.ask(SUBJECTS[0]))
    assert (counts.asked, counts.follow_ups, counts.cached, counts.rejected) == (10, 2, 0, 4)
    assert (counts.cost_usd, counts.input_tokens, counts.output_tokens) == (6.0, 120, 60)


def test_the_same_night_again_asks_nothing_and_reads_the_same(ledger):
    ask(ITEM, SUBJECTS, ScriptedEngine(good), ledger)
    engine = ScriptedEngine(good)
    first = read_all(ITEM, SUBJECTS, engine, ledger)
    counts = ask(ITEM, iter(SUBJECTS), engine, ledger)
    second = read_all(ITEM, SUBJECTS, engine, ledger)
    assert engine.calls == []
    assert (counts.asked, counts.cached) == (0, 10)
    assert (second.rows, second.rejects, second.lineage) == (first.rows, first.rejects, first.lineage)


def test_only_what_changed_is_asked(ledger):
    engine = ScriptedEngine(good)
    ask(ITEM, SUBJECTS, engine, ledger)
    engine.calls.clear()
    ask(ITEM, [replace(SUBJECTS[0], attributes={"title": "A new title"}), *SUBJECTS[1:]], engine, ledger)
    assert engine.calls == ["0"]


def test_a_rejected_answer_is_not_paid_again_but_a_failed_call_is_asked_again(ledger):
    engine = ScriptedEngine(lambda prompt: ("down", "error:server") if prompt.id == "1" else "no json")
    ask(ITEM, SUBJECTS[:3], engine, ledger)
    made = read_all(ITEM, SUBJECTS[:3], engine, ledger)
    assert [reject.reason for reject in made.rejects] == ["no_json", "error:server", "no_json"]
    engine.calls.clear()
    ask(ITEM, SUBJECTS[:3], engine, ledger)
    assert engine.calls == ["1"]


def test_an_answer_that_can_be_read_after_a_re_ask_is_the_one_that_is_read(ledger):
    engine = ScriptedEngine(lambda prompt: good(prompt) if prompt.turn else "no json")
    ask(ITEM, SUBJECTS[:2], engine, ledger)
    made = read_all(ITEM, SUBJECTS[:2], engine, ledger)
    assert [row.text for row in made.rows if row.field == "summarization"] == ["About 0.", "About 1."]


def test_a_new_parser_reads_what_an_old_one_refused_and_nothing_is_asked(ledger):
    class Strict(type(ITEM)):
        words: ClassVar = {"summarization": 0, "reasoning": 0}

    engine = ScriptedEngine(good)
    counts = ask(Strict(), SUBJECTS, engine, ledger)
    assert counts.rejected == 10
    engine.calls.clear()
    assert len(read_all(ITEM, SUBJECTS, engine, ledger).rows) == 20
    keys = [engine.key(ITEM.ask(subject)) for subject in SUBJECTS]
    assert set(ledger.settled(keys).values()) == {"parsed"}
    assert ask(ITEM, SUBJECTS, engine, ledger).asked == 0
    assert engine.calls == []


def test_reading_before_asking_is_done_does_not_give_up_the_follow_up(ledger):
    class KilledError(Exception):
        pass

    def answer(prompt):
        if prompt.turn:
            raise KilledError
        return "no json"

    with pytest.raises(KilledError):
        ask(ITEM, SUBJECTS[:1], ScriptedEngine(answer), ledger)
    engine = ScriptedEngine(good)
    assert read_all(ITEM, SUBJECTS[:1], engine, ledger).reasons == {"no_json": 1}
    assert ask(ITEM, SUBJECTS[:1], engine, ledger).follow_ups == 1


def test_shards_ask_everything_once_and_are_read_together(ledger):
    engines = [ScriptedEngine(good) for _ in range(3)]
    for shard, engine in enumerate(engines):
        ask(ITEM, SUBJECTS, engine, ledger, shard=shard, shards=3)
    assert sorted(id for engine in engines for id in engine.calls) == [str(n) for n in range(10)]
    assert all(len(engine.calls) < 10 for engine in engines)
    whole = read_all(ITEM, SUBJECTS, engines[0], ledger)
    assert [row.id for row in whole.rows if row.field == "summarization"] == [str(n) for n in range(10)]


def test_what_was_not_asked_is_said(ledger):
    engine = ScriptedEngine(good)
    ask(ITEM, SUBJECTS[:4], engine, ledger)
    assert read_all(ITEM, SUBJECTS, engine, ledger).reasons == {"not_asked": 6}


def test_a_cap_stops_and_a_higher_one_continues(ledger):
    prices = {"usd_per_million_input": 0.0, "usd_per_million_output": 1000.0}
    priced = Llm(engine="openai", model="m", max_output_tokens=1000, max_cost_usd=4.0, **prices)
    engine = ScriptedEngine(good, cost_usd=1.0)
    with pytest.raises(BudgetError):
        ask(ITEM, SUBJECTS, engine, ledger, priced)
    assert len(engine.calls) == 4
    counts = ask(ITEM, SUBJECTS, engine, ledger, priced.model_copy(update={"max_cost_usd": 50.0}))
    assert (counts.asked, counts.cached) == (6, 4)
    assert len(engine.calls) == 10


def test_offline_profiles_of_items_reach_the_users_prompt(ledger):
    books = {"1": {"title": "Dracula", "subjects": "Gothic horror"}, "2": {"title": "Emma", "subjects": "Comedy"}}
    engine = make_engine(LLM)
    subjects = [Subject("item", id, texts) for id, texts in books.items()]
    ask(ITEM, subjects, engine, ledger)
    items = read_all(ITEM, subjects, engine, ledger)
    profiles = {row.id: row.text for row in items.rows if row.field == "summarization"}
    history = tuple(Event(id, texts) for id, texts in books.items())
    [user] = [Subject("user", "u", {}, history, profiles=profiles)]
    ask(USER, [user], engine, ledger)
    made = read_all(USER, [user], engine, ledger)
    [text] = [row.text for row in made.rows if row.field == "summarization"]
    assert "Gothic horror" in text
    assert "Comedy" in text
    assert made.lineage[0].source_ids == ("1", "2")


def corpus():
    users, items = pl.DataFrame({"id": ["u1", "u2"]}), pl.DataFrame({"id": ["a", "b"], "title": ["Bee", "Canary"]})
    splits = pl.DataFrame(
        {
            "user_id": ["u1", "u1", "u2"],
            "item_id": ["a", "b", "b"],
            "time": [1, 2, 3],
            "order": [0, 1, 2],
            "weight": [1.0, 1.0, 1.0],
            "part": ["train", "test", "train"],
            "split_id": ["s", "s", "s"],
        }
    )
    return make_corpus(users, items, splits)


def test_prompts_from_train_pass_and_a_held_out_pair_is_a_leak():
    made = corpus()
    prompts = [USER.ask(subject) for subject in made.train.subjects("user")]
    check_sources(prompts, made)
    assert not any("Canary" in prompt.user for prompt in prompts if prompt.id == "u1")
    with pytest.raises(LeakError, match=r"rlmrec\.user: .*user u1 with item b, which is not in train"):
        check_sources([*prompts, Lineage("rlmrec.user", "1", "user", "u1", "k", ("a", "b"))], made)
    with pytest.raises(LeakError, match="user u2 with item a"):
        check_sources([Lineage("rlmrec.item", "1", "item", "a", "k", ("u1", "u2"))], made)
    check_sources([], made)
