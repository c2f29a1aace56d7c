"""Reading answers: lenient about wrapping, strict about content, safe about characters."""

import json
import time
from typing import Literal

import pytest
from pydantic import BaseModel

from features.recipes.reading import Text, clean, parse, read_text, redact
from features.recipes.rlmrec_item import RlmrecItem
from schemas.errors import AnswerError
from schemas.records import Event, Subject


class Answer(BaseModel):
    summarization: Text
    reasoning: Text = ""


@pytest.mark.parametrize(
    "answer",
    [
        '{"summarization": "a b"}',
        '```json\n{"summarization": "a b"}\n```',
        'Sure! {not json} Here it is: {"summarization": "a b", "more": {"x": 1}} Hope that helps {',
        '{"other": 1} {"summarization": "a b"}',
        '{"summarization": ["a b"]}',
    ],
)
def test_the_first_object_that_fits_is_taken(answer):
    assert parse(answer, Answer).summarization == "a b"


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        (" \n", "empty", "found no text"),
        ("no braces", "no_json", "'no braces'"),
        ('{"summarization": "cut o', "no_json", "expected a JSON object"),
        ('{"reasoning": "x"}', "schema", "summarization: Field required"),
        ('{"summarization": 5}', "schema", "summarization"),
    ],
)
def test_why_an_answer_cannot_be_read(answer, reason, detail):
    with pytest.raises(AnswerError, match=detail) as raised:
        parse(answer, Answer)
    assert raised.value.reason == reason


@pytest.mark.parametrize(("text", "reason"), [("", "empty"), ("\x00", "empty"), ("None.", "none"), ("none", "none")])
def test_a_field_without_content(text, reason):
    with pytest.raises(AnswerError, match="summarization") as raised:
        read_text("summarization", text, None)
    assert raised.value.reason == reason


def test_null_is_a_way_to_say_none():
    assert parse('{"summarization": null}', Answer).summarization == "None"


def test_slightly_over_the_limit_is_kept_and_far_over_is_not():
    assert len(read_text("s", "word " * 20, 10).split()) == 20
    with pytest.raises(AnswerError, match="expected at most 10 words, found 21") as raised:
        read_text("s", "word " * 21, 10)
    assert raised.value.reason == "too_long"


def test_clean_text_can_be_stored_anywhere():
    text = json.loads('"a\\u0000b\\ud800 c\\n\\td \\u202ee"')
    assert clean(text) == "a b c d e"
    clean(text).encode()


def test_a_cut_falls_between_words():
    assert clean("one two three", 9) == "one two…"
    assert clean("x" * 20, 5) == "xxxxx…"
    assert clean("short", 5) == "short"


CONTACTS = (
    "+49 30 1234567",
    "+1-555-123-4567",
    "+1 (555) 123-4567",
    "+44 (0)20 7946 0958",
    "0049 30 1234567",
    "tel:+4915112345678",
    "(555) 123-4567",
    "(030) 1234567",
    "555-123-4567",
    "555.123.4567",
    "555 123 4567",
    "1-800-555-1234",
    "555-1234",
    "030/1234567",
    "0171 123 45 67",
    "01 23 45 67 89",
    "5551234567",
    "07911123456",
    "me@x.org",
    "user@host.co.uk",
    "jürgen.müller@straße.de",
    "mailto:jane.doe@host.co.uk",
    "http://x.org/a?b=c",
    "HTTPS://EXAMPLE.COM",
    "https://en.wikipedia.org/wiki/Emma_(novel)",
    "www.example.com/a",
    "facebook.com/jane",
)
FACTS = (
    "C@t",
    "Live @ the Apollo",
    "ISBN 978-3-16-148410-0",
    "978 0 306 40615 7",
    "9783161484100",
    "0-306-40615-2",
    "0306406152",
    "080442957X",
    "ISSN 1234-5678",
    "1984",
    "2001: A Space Odyssey",
    "Catch-22",
    "11/22/63",
    "The Matrix (1999) 2003 2021",
    "Blade Runner (1982) 117 minutes",
    "1914-1918",
    "1995-2005 2006-2010",
    "2024-07-18 12:30:45",
    "2024-07-18T12:30:45Z",
    "18.07.2024",
    "07/18/2024",
    "1700000000",
    "$1,299.00",
    "1.299,00 €",
    "$555-1234",
    "1,024 pages",
    "pp. 100-1000",
    "100 000 000 copies",
    "3.14159265358979",
    "192.168.100.200",
    "12345-6789",
    "e.g./i.e.",
    "B004756YJA",
)


@pytest.mark.parametrize("contact", CONTACTS)
def test_contacts_are_left_out_with_nothing_around_them(contact):
    assert redact(contact) == "…"
    assert redact(f"Ask {contact}.") == "Ask …."
    assert json.loads(redact(json.dumps({"a": [contact, "b"]}, ensure_ascii=False))) == {"a": ["…", "b"]}
    assert redact(f"({contact}), “{contact}” and '{contact}'") == "(…), “…” and '…'"


@pytest.mark.parametrize("fact", FACTS)
def test_facts_that_look_like_contacts_stay(fact):
    assert redact(fact) == fact
    assert redact(f"It says {fact}, or so.") == f"It says {fact}, or so."


def test_the_time_to_redact_grows_with_the_text_and_no_faster():
    for part in ("a", "1", "1-", "a.b", "(", "0 1", "a@", "+1 ", "www.", "http://("):
        began = time.perf_counter()
        redact(part * 50_000)
        assert time.perf_counter() - began < 5, part


def test_values_are_redacted_where_the_run_says_so_and_reviews_always():
    book = Subject("item", "1", {"title": "Call 555-1234"}, (Event("u", {}, review="Write to me@x.org"),))
    as_it_is, redacted = RlmrecItem().ask(book).user, RlmrecItem(redacted=True).ask(book).user
    assert "555-1234" in as_it_is
    assert "Call …" in redacted
    assert "me@x.org" not in as_it_is + redacted


def test_a_mark_that_cannot_be_seen_does_not_hide_an_address_from_redaction():
    recipe = RlmrecItem(redacted=True)
    assert "@" not in recipe.show("write to a\u202e@b.org")
    assert "@" not in recipe.review(Event("u", {}, review="write to a\u202e@b.org"))


class Choice(BaseModel):
    level: Literal["high", "low", "None"]
    title: str


class Choices(BaseModel):
    best: Choice
    others: list[Choice] = []


def test_a_choice_may_be_spelled_with_capitals_and_nothing_else_is_touched():
    answer = '{"best": {"level": " High", "title": "LOW"}, "others": [{"level": null, "title": "None"}]}'
    parsed = parse(answer, Choices)
    assert (parsed.best.level, parsed.best.title) == ("high", "LOW")
    assert parsed.others[0].level == "None"
    with pytest.raises(AnswerError, match=r"schema: best\.level"):
        parse('{"best": {"level": "highest", "title": "a"}}', Choices)
