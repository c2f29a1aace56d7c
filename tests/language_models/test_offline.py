"""The offline engine: deterministic, from the prompt alone, and able to fill any recipe's answer."""

import json
import re

from language_models.engines import make_engine
from language_models.facts import STOP_WORDS, phrases, read_facts
from language_models.filling import fill, sentence
from schemas.sections import Llm
from tests.support.prompts import make_prompt

DRACULA = {
    "title": "Dracula",
    "author": "Bram Stoker",
    "subjects": "Gothic horror; Epistolary fiction",
    "year": "1897",
    "description": "A young solicitor in a Transylvanian castle finds that his host sleeps in a box of earth.",
}
CARMILLA = {"title": "Carmilla", "author": "Sheridan Le Fanu", "subjects": "Gothic horror; Vampires", "year": "None"}


def answer(user):
    [completion] = make_engine(Llm()).answer([make_prompt("1", user)])
    return completion


def item_profile(item):
    return json.loads(answer(json.dumps(item)).text)["summarization"]


def test_an_item_is_described_by_its_categories_author_time_and_text():
    assert item_profile(DRACULA) == (
        "People who enjoy Gothic horror, Epistolary fiction, works by Bram Stoker and the 1890s; "
        "likely to like Dracula for its young solicitor, Transylvanian castle, host sleeps, box and earth."
    )


def test_a_user_is_described_by_what_the_items_share_first():
    items = [{"title": i["title"], "description": item_profile(i), "review": "None"} for i in (CARMILLA, DRACULA)]
    text = json.loads(answer("PURCHASED ITEMS:\n" + json.dumps(items)).text)["summarization"]
    assert text.startswith("Enjoys Gothic horror, ")
    assert "Carmilla" in text
    assert "Vampires" in text
    assert len(text.split()) <= 60


def test_it_says_nothing_that_is_not_in_the_prompt():
    for user in (json.dumps(DRACULA), json.dumps(CARMILLA) + '\nUSER FEEDBACK:\n["Slow but eerie", "A castle!"]'):
        known = user.lower() + " 1890s"
        said = re.findall(r"\w+", json.loads(answer(user).text)["summarization"].lower())
        assert [word for word in said if word not in known and word not in STOP_WORDS] == []


def test_the_same_prompt_gets_the_same_answer_and_only_the_user_message_is_read():
    first, second = answer(json.dumps(DRACULA)), answer(json.dumps(DRACULA))
    assert first == second
    assert (first.model, first.cost_usd, first.finish_reason) == ("offline", 0.0, "stop")
    assert first.input_tokens > 0 < first.output_tokens
    assert "Describe" not in first.text


def test_without_facts_the_answer_is_none():
    for user in ('{"title": "None", "author": "None"}', "PURCHASED ITEMS:\n[]", ""):
        assert json.loads(answer(user).text) == {"summarization": "None", "reasoning": "None"}


def test_a_long_history_stays_short():
    items = [{"title": f"A very long title number {n} of a book", "description": "x" * 500} for n in range(50)]
    assert len(json.loads(answer(json.dumps(items)).text)["summarization"].split()) <= 60


def test_phrases_are_runs_of_content_words():
    assert phrases("The story of a lonely governess, and of two children in a haunted country house.") == (
        "story",
        "lonely governess",
        "children",
        "haunted country house",
    )


def test_other_recipes_schemas_are_filled():
    schema = {
        "type": "object",
        "$defs": {"Genre": {"enum": ["Romance", "Gothic horror"]}},
        "properties": {
            "genre": {"$ref": "#/$defs/Genre"},
            "author": {"type": "string"},
            "keywords": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
            "year": {"type": "integer", "minimum": 0},
            "score": {"type": "number", "minimum": 0, "maximum": 1},
            "short": {"type": "string", "maxLength": 20},
            "known": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            "nested": {"type": "object", "properties": {"title": {"type": "string"}}},
        },
    }
    assert fill(schema, read_facts(json.dumps(DRACULA))) == {
        "genre": "Gothic horror",
        "author": "Bram Stoker",
        "keywords": ["Gothic horror", "Epistolary fiction"],
        "year": 1897,
        "score": 1.0,
        "short": "People who enjoy",
        "known": False,
        "nested": {"title": "Dracula"},
    }


def test_out_of_candidates_the_nearest_is_liked_and_the_farthest_disliked():
    history = [{"title": "Dracula", "subjects": "Gothic horror"}, {"title": "The Vampyre", "subjects": "Gothic horror"}]
    candidates = [
        {"id": "a", "title": "Cooking for two"},
        {"id": "b", "title": "Carmilla", "subjects": "Gothic horror"},
    ]
    schema = {"properties": {"liked": {"enum": ["a", "b"]}, "disliked": {"enum": ["a", "b"]}}}
    facts = read_facts(f"HISTORY:\n{json.dumps(history)}\nCANDIDATES:\n{json.dumps(candidates)}")
    assert fill(schema, facts) == {"liked": "b", "disliked": "a"}


def test_text_in_other_scripts_is_kept():
    assert "百年の孤独" in sentence(read_facts(json.dumps({"title": "百年の孤独"}, ensure_ascii=False)))
