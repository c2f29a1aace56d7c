"""What each recipe asks in particular, and what it takes, leaves out and refuses of an answer."""

import json

import pytest

from features.recipes import make_recipe
from language_models.tokens import prompt_tokens
from schemas.errors import AnswerError, ConfigError
from schemas.records import Event, GeneratedRow, Subject

FILMS = (
    Event("f1", {"title": "Matrix, The (1999)"}, rating=5.0),
    Event("f2", {"title": "City of Lost Children, The (1995)"}, rating=3.5),
    Event("f3", {"title": "Alien (1979)"}),
    Event("f4", {}),
)
USER = Subject("user", "u", {}, FILMS)
ITEM = Subject("item", "i", {"title": "Alien (1979)", "genre": "Horror"})


def read(recipe, answer, subject=None):
    made = make_recipe(recipe) if isinstance(recipe, str) else recipe
    about = subject or (USER if made.kind == "user" else ITEM)
    return made.read(about, answer if isinstance(answer, str) else json.dumps(answer), "key")


def texts(rows):
    return {row.field: row.text for row in rows}


def reason(recipe, answer, subject=None):
    with pytest.raises(AnswerError) as raised:
        read(recipe, answer, subject)
    return raised.value.reason


def messages(recipe, subject=None):
    """Instruction and data of a prompt, as one text."""
    prompt = recipe.ask(subject or (USER if recipe.kind == "user" else ITEM))
    return prompt.system + prompt.user


def values(text):
    """The JSON behind each label of a user message."""
    found = {}
    for block in ("\n" + text).split(":\n")[0:-1]:
        label = block.rsplit("\n", 1)[-1]
        found[label], _ = json.JSONDecoder().raw_decode(text.split(f"{label}:\n", 1)[1])
    return found


# ---- kar


def factor(name, evidence, preference="Likes it.", **more):
    return {"name": name, "preference": preference, "evidence": evidence, **more}


def kar_user(*factors, summary="A summary.", recipe=None, subject=None):
    return read(recipe or make_recipe("kar.user", FILM), {"factors": list(factors), "summary": summary}, subject)


FILM = {"domain": "films", "noun": "film"}


def test_kar_knows_the_ratings_where_the_source_has_them():
    shown = values(make_recipe("kar.user", FILM).ask(USER).user)["HISTORY"]
    assert shown == [
        {"title": "The Matrix (1999)", "rating": "5"},
        {"title": "The City of Lost Children (1995)", "rating": "3.5"},
        {"title": "Alien (1979)", "rating": "None"},
        {"title": "None", "rating": "None"},
    ]


def test_kar_shows_the_users_own_attributes_where_there_are_any():
    own = Subject("user", "u", {"age": "25-34"}, FILMS)
    assert values(make_recipe("kar.user").ask(own).user)["USER"] == {"age": "25-34"}
    assert "USER:" not in make_recipe("kar.user").ask(USER).user


def test_kar_keeps_a_factor_for_which_a_title_of_the_history_speaks():
    [knowledge, summary] = kar_user(
        factor("genre", ["Alien (1979)"]),
        factor("soundtrack", ["Jaws (1975)"]),
        factor("shoe size", ["Alien (1979)"]),
        factor("mood and tone", [], "Dark."),
    )
    assert knowledge.text == "genre: Likes it. A summary."
    assert (summary.field, summary.text, summary.id, summary.key) == ("summary", "A summary.", "u", "key")


@pytest.mark.parametrize("title", ["Matrix, The (1999)", "The Matrix (1999)", "the matrix", "The Matrx (1999)"])
def test_kar_takes_a_title_in_any_of_its_writings_for_evidence(title):
    assert "genre: " in texts(kar_user(factor("Genre ", [title, "Jaws"])))["knowledge"].lower()


@pytest.mark.parametrize("evidence", [["Jaws (1975)"], ["None"], [""], []])
def test_kar_refuses_an_answer_that_is_all_invented(evidence):
    answer = {"factors": [factor("genre", evidence)], "summary": "S."}
    assert reason(make_recipe("kar.user", FILM), answer) == "invented"


@pytest.mark.parametrize("factors", [[], [factor("shoe size", ["Alien"])], [factor("genre", ["Alien"], "None")]])
def test_kar_refuses_an_answer_without_a_factor_of_the_list(factors):
    assert reason(make_recipe("kar.user", FILM), {"factors": factors, "summary": "S."}) == "no_factor"


def test_kar_takes_evidence_from_what_was_shown_and_from_nothing_else():
    recipe = make_recipe("kar.user", {**FILM, "max_items": 2, "history": "oldest"})
    assert "Alien" not in recipe.ask(USER).user
    with pytest.raises(AnswerError, match="invented"):
        kar_user(factor("genre", ["Alien (1979)"]), recipe=recipe)


def test_kar_takes_a_title_as_the_budget_has_cut_it():
    long = tuple(Event(f"f{n}", {"title": f"{'Very ' * 20}Long Film {n}", "plot": "word " * 200}) for n in range(15))
    recipe = make_recipe("kar.user", {**FILM, "item_columns": ["plot"], "max_tokens": 1300})
    prompt = recipe.ask(Subject("user", "u", {}, long))
    title = values(prompt.user)["HISTORY"][0]["title"]
    assert title.endswith("…")
    assert prompt_tokens(prompt) <= 1300
    assert kar_user(factor("genre", [title]), recipe=recipe, subject=Subject("user", "u", {}, long))


def test_kar_refuses_an_answer_whose_summary_says_nothing():
    answer = {"factors": [factor("genre", ["Alien"])], "summary": "None"}
    assert reason(make_recipe("kar.user", FILM), answer) == "none"


@pytest.mark.parametrize("name", ["kar.user", "kar.item"])
def test_factors_are_those_of_the_domain_or_of_the_run_file_in_prompt_and_schema(name):
    recipe = make_recipe(name, {"domain": "books"})
    assert "genre, author, writing style, theme" in messages(recipe)
    assert "writing style" in json.dumps(recipe.ask(USER if name == "kar.user" else ITEM).answer_schema)
    own = make_recipe(name, {"domain": "books", "factors": ["spice", "heat"]})
    schema = own.ask(USER if name == "kar.user" else ITEM).answer_schema
    assert "spice, heat" in messages(own)
    assert schema["$defs"]["Factor"]["properties"]["name"]["enum"] == ["spice", "heat"]
    assert schema["properties"]["factors"]["maxItems"] == 2
    assert "author" not in messages(own) + json.dumps(schema)
    with pytest.raises(ConfigError, match=r"kar\.\w+\.options\.domain: .*found 'cars'"):
        make_recipe(name, {"domain": "cars"})


def fact(name, value="A fact.", known=True):
    return {"name": name, "value": value, "known": known}


def test_kar_keeps_of_an_item_what_is_known():
    facts = [fact("type"), fact("price", known=False), fact("weight"), fact("brand", "None"), fact("design", "Plain")]
    rows = read("kar.item", {"factors": facts, "summary": "S."})
    assert texts(rows) == {"knowledge": "type: A fact; design: Plain. S.", "summary": "S."}


@pytest.mark.parametrize("facts", [[], [fact("price", known=False)], [fact("nonsense")]])
def test_kar_keeps_the_summary_of_an_item_of_which_nothing_else_is_known(facts):
    assert texts(read("kar.item", {"factors": facts, "summary": "S."})) == {"knowledge": "S.", "summary": "S."}


def test_kar_refuses_an_item_that_is_not_known_at_all():
    assert reason("kar.item", {"factors": [], "summary": "None"}) == "none"
    assert reason("kar.item", {"factors": [{"name": "type", "value": "x"}], "summary": "S."}) == "schema"


# ---- llmrec

OFFERED = tuple(Event(id, {"title": f"Film {id}"}) for id in ("z9", "a1", "m5"))
CHOOSER = Subject("user", "u", {}, FILMS, candidates=OFFERED)


def test_llmrec_offers_candidates_in_the_order_of_their_ids_which_says_nothing():
    offered = values(make_recipe("llmrec.edges").ask(CHOOSER).user)["CANDIDATES"]
    assert [(one["option"], one["title"]) for one in offered] == [("A", "Film a1"), ("B", "Film m5"), ("C", "Film z9")]


def test_llmrec_makes_two_edges_of_two_letters():
    rows = read("llmrec.edges", {"liked": "C", "disliked": "A"}, CHOOSER)
    assert [(row.user_id, row.item_id, row.label) for row in rows] == [("u", "z9", 1), ("u", "a1", -1)]
    assert [row.weight for row in rows] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"liked": "A", "disliked": "A"}, "one_candidate"),
        ({"liked": "D", "disliked": "A"}, "no_candidate"),
        ({"liked": "A", "disliked": "J"}, "no_candidate"),
        ({"liked": "Film a1", "disliked": "B"}, "schema"),
        ({"liked": "A"}, "schema"),
        ("A::B", "no_json"),
    ],
)
def test_llmrec_refuses_letters_that_stand_for_no_two_candidates(answer, why):
    assert reason("llmrec.edges", answer, CHOOSER) == why


def test_llmrec_never_offers_what_the_user_has():
    known = Subject("user", "u", {}, (*FILMS, OFFERED[1]), candidates=OFFERED)
    offered = make_recipe("llmrec.edges").offered(known)
    assert {letter: event.id for letter, event in offered.items()} == {"A": "m5", "B": "z9"}


def test_llmrec_offers_as_many_of_the_first_as_it_is_told_to():
    offered = make_recipe("llmrec.edges", {"candidates": 2}).offered(CHOOSER)
    assert [event.id for event in offered.values()] == ["a1", "z9"], "m5 was the third"


def test_llmrec_asks_nothing_with_fewer_than_two_candidates():
    with pytest.raises(AnswerError, match="nothing_to_ask"):
        make_recipe("llmrec.edges").ask(Subject("user", "u", {}, FILMS, candidates=OFFERED[:1]))


def test_llmrec_leaves_out_attributes_that_are_not_known():
    rows = read("llmrec.item_attributes", {"creator": "Ridley Scott", "country": "None", "language": None})
    assert texts(rows) == {"creator": "Ridley Scott"}
    assert texts(read("llmrec.item_attributes", {"creator": ["A", "B"]})) == {"creator": "A; B"}
    assert texts(read("llmrec.item_attributes", {"creator": "w " * 30, "language": "Greek"})) == {"language": "Greek"}


def test_llmrec_refuses_attributes_none_of_which_is_known():
    assert reason("llmrec.item_attributes", dict.fromkeys(["creator", "country", "language"], "None")) == "none"
    assert reason("llmrec.item_attributes", {"director": "Ridley Scott"}) == "schema"


GUESSED = {"guessed_age": "25-34", "guessed_gender": "female"}
PROFILE = {"liked": "Horror.", "disliked": "None", "creators": "Scott", **GUESSED}


def test_llmrec_guesses_nothing_about_a_person_unless_asked():
    recipe = make_recipe("llmrec.user_profile")
    assert "guess" not in messages(recipe) + json.dumps(recipe.ask(USER).answer_schema)
    rows = read(recipe, PROFILE)
    assert texts(rows) == {"profile": "liked: Horror; creators: Scott", "liked": "Horror.", "creators": "Scott"}


def test_llmrec_marks_what_is_guessed():
    recipe = make_recipe("llmrec.user_profile", {"guess": True})
    assert "guessed_gender" in recipe.ask(USER).system
    assert "guessed_gender" in recipe.ask(USER).answer_schema["properties"]
    found = texts(read(recipe, PROFILE))
    assert (found["guessed_age"], found["guessed_gender"]) == ("25-34", "female")
    assert "guessed age: 25-34" in found["profile"]
    assert "guessed_country" not in found


# ---- once


def once(answer):
    return [(row.rank, row.title, row.text) for row in read("once.generate", answer)]


def test_once_is_about_users_with_few_train_events():
    recipe = make_recipe("once.generate", {"cold": 3})
    assert not recipe.concerns(USER)
    assert recipe.concerns(Subject("user", "u", {}, FILMS[:3]))
    assert make_recipe("kar.user").concerns(USER)


def test_once_takes_a_list_a_single_item_and_several_answers_one_below_the_other():
    one, two = {"title": "Jaws", "description": "A shark."}, {"title": "Emma"}
    expected = [(1, "Jaws", "A shark."), (2, "Emma", "")]
    assert once({"items": [one, two]}) == expected
    assert once(one) == expected[:1]
    assert once(f"{json.dumps(one)}\n{json.dumps(two)}") == expected
    assert once(json.dumps({"items": [one]}) + "\n" + json.dumps({"items": [two]})) == expected
    assert once(f"Sure!\n```json\n{json.dumps(one)}\n```\nand\n{json.dumps({'items': [two]})}") == expected


def test_once_takes_a_title_once_and_passes_over_what_is_none():
    items = [{"title": "Jaws", "description": "First."}, {"title": "None"}, {"title": " Jaws "}, {"title": ""}]
    assert once({"items": items}) == [(1, "Jaws", "First.")]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"items": []}, "schema"),
        ({"items": [{"title": "None"}, {"title": "  "}]}, "none"),
        ({"title": ""}, "none"),
        ({"title": 5}, "schema"),
        ({"title": {"of": "it"}}, "schema"),
        ({"title": "x" * 301}, "schema"),
        ({"items": [{"name": "Jaws"}]}, "schema"),
        ({"items": [{"title": f"T{n}"} for n in range(11)]}, "schema"),
        ("", "empty"),
    ],
)
def test_once_refuses_an_answer_without_a_title(answer, why):
    assert reason("once.generate", answer) == why


def test_once_takes_what_can_be_read_of_several_answers():
    assert once('{"title": 5}\n{"title": "Jaws"}') == [(1, "Jaws", "")]


def test_once_rows_say_for_whom_and_where_from():
    [row] = read("once.generate", {"title": "Jaws"})
    assert row == GeneratedRow("u", "once.generate", 1, "Jaws", "", "key")


def test_once_describes_items_and_names_topics_of_users():
    assert texts(read("once.item", {"description": "A film."})) == {"description": "A film."}
    assert texts(read("once.user", {"interests": ["horror", "space"]})) == {"interests": "horror; space"}
    assert reason("once.item", {"description": "None"}) == "none"
    assert reason("once.item", {"description": "w " * 201}) == "too_long"
    assert reason("once.user", {"interests": "t " * 61}) == "too_long"
    assert reason("once.user", {"topics": "horror"}) == "schema"


# ---- liber

PART = Subject("user", "u", {}, FILMS[:2], part=3, before={"summary": "Liked Westerns."})


def test_liber_shows_the_summary_so_far_and_what_was_chosen_since():
    prompt = make_recipe("liber.partition").ask(PART)
    shown = values(prompt.user)
    assert shown["SUMMARY SO FAR"] == {"summary": "Liked Westerns."}
    assert [one["title"] for one in shown["CHOSEN SINCE"]] == ["The Matrix (1999)", "The City of Lost Children (1995)"]
    assert (prompt.part, prompt.source_ids) == (3, ("f1", "f2"))
    assert values(make_recipe("liber.partition").ask(USER).user)["SUMMARY SO FAR"] == {"summary": "None"}


def test_liber_rows_are_of_their_part_and_the_change_may_be_missing():
    rows = read("liber.partition", {"summary": "Now films.", "change": "Westerns faded."}, PART)
    assert [(row.field, row.part) for row in rows] == [("summary", 3), ("change", 3)]
    unchanged = {"summary": "Now films.", "change": "None"}
    assert texts(read("liber.partition", unchanged, PART)) == {"summary": "Now films."}
    assert reason("liber.partition", {"summary": "None", "change": "Westerns faded."}, PART) == "none"
    assert reason("liber.partition", {"change": "Westerns faded."}, PART) == "schema"


def test_liber_asks_nothing_about_a_part_of_which_nothing_is_known():
    blank = Subject("user", "u", {}, (Event("x", {}),), part=2, before={"summary": "S."})
    with pytest.raises(AnswerError, match="nothing_to_ask"):
        make_recipe("liber.partition").ask(blank)
