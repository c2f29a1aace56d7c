"""Reading answers: lenient about wrapping, strict about content, safe about characters."""

import json

import pytest
from pydantic import BaseModel

from features.recipes.reading import Text, clean, parse, read_text, redact
from schemas.errors import AnswerError


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


def test_contacts_are_left_out_and_years_are_not():
    assert redact("mail a.b@c.org or see https://x.y/z or +44 20 7946 0958") == "mail … or see … or …"
    assert redact("written 1984-1985, 1,000 pages") == "written 1984-1985, 1,000 pages"
