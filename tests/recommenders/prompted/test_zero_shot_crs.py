"""A conversation in, grounded titles out; a user's history is one, and what is not named follows the retriever."""

import json
import re

import numpy as np
import pytest

from language_models.ledger import Ledger
from recommenders import load_recommender
from recommenders.prompted.asker import Asker
from recommenders.prompted.dialogues import Turn
from schemas.records import Prompt
from schemas.sections import Llm
from tests.support.scripted_engine import ScriptedEngine
from tests.support.themed import THEMES, USERS, WORDS, fitted, found_first, lists, themed

ASKED = (Turn("recommender", "Hello!"), Turn("seeker", "I loved Ocean oceanamber. What is next?"))


@pytest.fixture(scope="module")
def corpus():
    return themed()


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger") as ledger:
        yield ledger


def connoisseur(prompt: Prompt) -> str:
    """Knows all books, and names those of the theme that the conversation has most of, misspelling every other."""
    theme = max(THEMES, key=lambda name: prompt.user.count(name))
    titles = [f"{theme} {theme.lower()}{word}" for word in WORDS] if theme in prompt.user else ["Nothing at all"]
    return json.dumps({"titles": [title if n % 2 else title[:-1] for n, title in enumerate(titles)]})


def at(corpus, ledger, script, **options):
    return fitted(corpus, "zero_shot_crs", Asker(Llm(), ScriptedEngine(script), ledger), **options)


def test_what_the_model_knows_is_found_in_the_whole_catalogue_and_lost_without_the_history(corpus, ledger):
    assert found_first(at(corpus, ledger, connoisseur), corpus) > 0.9
    made = at(corpus, ledger, connoisseur, probe="fake_history")
    assert found_first(made, corpus) < 0.5
    assert made.told["grounding"]["fuzzy"] > 0
    assert found_first(at(corpus, ledger, connoisseur, probe="no_history"), corpus) < 0.3


def test_named_items_come_first_as_far_as_the_mask_allows_and_the_rest_as_the_retriever_has_it(corpus, ledger):
    made, users, mask = at(corpus, ledger, connoisseur), np.arange(USERS), lists(corpus)
    found, plain = made.recommend(users, 48, mask), made.retriever.recommend(users, 48, mask)
    for user in users:
        listed = found.item[user][found.item[user] >= 0]
        first = listed[0]
        assert first // len(WORDS) == user % 4
        assert listed[1:].tolist() == [item for item in plain.item[user] if item not in (first, -1)]
        assert not mask[user].toarray()[0, listed].any()


@pytest.mark.parametrize(
    "said",
    [
        '{"titles": ["Ocean oceanbirch", "ocean Oceanbirch", "Ocean oceanamber", "Moby", "Ocean oceancedr"]}',
        "1. Ocean oceanbirch\n2. Ocean oceanbirch\n3. Ocean oceanamber\n4. Moby Dick\n5. Ocean oceancedr",
        "Sure:\n- **Ocean oceanbirch**\n- Ocean Oceanbirch\n- Ocean oceanamber\n- Möby Dick\n- Ocean oceancedr",
    ],
)
def test_a_reply_says_what_became_of_every_title(corpus, ledger, said):
    made = at(corpus, ledger, lambda _: said)
    found = made.converse(ASKED, 5)
    assert [each.fate for each in found] == ["kept", "repeated", "mentioned", "unknown", "kept"]
    assert [made.shown.titles[each.row] for each in found if each.fate == "kept"] == [
        "Ocean oceanbirch",
        "Ocean oceancedar",
    ]
    assert found[-1].grounded.status == "fuzzy"
    assert len([each for each in made.converse(ASKED, 1) if each.fate == "kept"]) == 1
    assert made.told["unknown"] == made.told["mentioned"] == made.told["repeated"] == 2  # of two conversations


@pytest.mark.parametrize("said", [("I will not.", "refusal"), "I like the sea.", ""])
def test_an_answer_of_no_use_recommends_nothing_and_leaves_users_the_retrievers_list(corpus, ledger, said):
    made, users = at(corpus, ledger, lambda _: said), np.arange(USERS)
    assert made.converse(ASKED, 5) == []
    found, plain = (each.recommend(users, 9, lists(corpus)) for each in (made, made.retriever))
    assert np.array_equal(found.item, plain.item)
    assert made.told["fallback_users"] == USERS + 1


def test_the_conversation_of_a_user_shows_history_alone_and_no_id(corpus):
    made = fitted(corpus, "zero_shot_crs", history=50)
    for judged, parts in ((made.for_validation(), (corpus.valid, corpus.test)), (made, (corpus.test,))):
        for user, item in np.concatenate([part.edges for part in parts], axis=1).T.tolist():
            text = judged.questions(user, np.zeros(0, dtype=np.int64))[0].prompt.user
            assert made.shown.titles[item] not in text
            assert not re.search(r"\b[iu]\d{3}\b", text)


def test_a_long_title_is_cut_as_those_of_the_catalogue_are(corpus, ledger):
    made = at(corpus, ledger, connoisseur)
    made.shown.titles  # noqa: B018 -- of the corpus, all short
    long = "Ocean oceanbirch " + "and so on " * 10
    assert made.looked_up([long], [])[0].fate == "unknown"


def test_saved_and_loaded_it_says_the_same(corpus, ledger, tmp_path):
    made = at(corpus, ledger, connoisseur, titles=6)
    made.save(tmp_path / "model")
    loaded = load_recommender(tmp_path / "model")
    loaded.asker = made.asker
    assert [each.said for each in loaded.converse(ASKED, 5)] == [each.said for each in made.converse(ASKED, 5)]
    assert loaded.options.titles == 6
