"""Whatever form an answer has, the candidates that it names are found, each once, and unknown ones are counted."""

import json

import pytest

from recommenders.prompted.reading import entries, read_ranking
from schemas.errors import AnswerError

TITLES = ("The Crypt", "Sea, the Last (1999)", "Aliens", "Alien", "A. Lincoln")


@pytest.mark.parametrize(
    "text",
    [
        '{"ranking": ["C", "A", "B"]}',
        'Of course! ```json\n{"ranking": ["c", "a", "b",]}\n```',
        '{"ranking": "C, A, B"}',
        '{"ranking": "C > A > B"}',
        '["C", "A", "B"]',
        'I thought of ["A", "B"] first; final: ["C", "A", "B"]',
        '{"ranking": [{"option": "C", "title": "Aliens"}, {"option": "A"}, {"title": "Sea, the Last"}]}',
        "1. Aliens\n2. The Crypt\n3. Sea, the Last (1999)",
        "- C\n- Option A\n- (B)",
        '{"ranking": ["Aliens", "The Crypt!", "the Sea, the Last"]}',
        '{"ranking": ["C. Aliens", "A) The Crypt", "B: something of the sea"]}',
    ],
)
def test_options_and_titles_in_any_form(text):
    assert read_ranking(text, TITLES).places == (2, 0, 1)


def test_sequels_and_titles_that_look_like_options_are_told_apart():
    assert read_ranking('{"ranking": ["Alien", "Aliens", "A. Lincoln", "A"]}', TITLES).places == (3, 2, 4, 0)


def test_what_is_named_twice_counts_once_and_what_is_unknown_is_counted():
    found = read_ranking('{"ranking": ["B", "Z", "B", "The Matrix", "Aliens", 77]}', TITLES)
    assert found.places == (1, 2)
    assert found.repeated == 1
    assert found.grounding == {"index": 2, "none": 3, "exact": 1}


def test_more_than_26_candidates_have_numbers():
    titles = [f"Volume {chr(97 + n // 10)}{n % 10}" for n in range(30)]
    assert read_ranking('{"ranking": [30, "1", "27"]}', titles).places == (29, 0, 26)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("I cannot say.", "no_json"),
        ('{"answer": 3}', "no_json"),
        ('{"ranking": []}', "no_json"),
        ('{"ranking": ["Y", "Z"]}', "no_candidate"),
    ],
)
def test_an_answer_without_a_candidate_is_refused_with_its_class(text, reason):
    with pytest.raises(AnswerError) as caught:
        read_ranking(text, TITLES)
    assert caught.value.reason == reason


@pytest.mark.parametrize("text", ["1. Amélie (2001)\n2) Up\n3: It", "* Amélie (2001)\n* Up\n* It"])
def test_lists_in_lines(text):
    assert entries(text, "titles") == ["Amélie (2001)", "Up", "It"]
    assert entries(json.dumps({"titles": ["Amélie (2001)", "Up", "It"]}), "titles") == ["Amélie (2001)", "Up", "It"]
