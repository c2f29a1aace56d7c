"""Planted defects in answers are found, and good answers are left alone."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.measures import measure_quality
from features.quality import drift
from features.quality.answers import judge
from features.quality.language import check_language, language_of, languages
from features.quality.near_duplicates import near_duplicates
from features.quality.records import Answers, Before, Judged
from features.quality.titles import TitleIndex, plain, unknown_titles
from features.quality.words import split_words
from schemas.errors import ConfigError
from schemas.expectations import quality_suite
from schemas.sections import GATED_MEASURES, Quality

GENERIC = (
    "{name} enjoys stories with strong characters, and would like {title} for its slow build of tension, its careful "
    "prose and the way in which the past comes back to those who thought that they had left it behind."
)
NAMES = ("Anna", "Boris", "Chloe", "Dmitri", "Elena", "Farid", "Greta", "Hugo", "Ines", "Jonas")
TITLES = ("Dracula", "The Moonstone", "Jane Eyre", "The Woman in White", "North and South", "Villette", "Cranford")
WORDS = "sea wind storm harbour letter winter garden music river stone forest night promise journey memory silver"
DISTINCT = [" ".join(words) for words in np.random.default_rng(1).permuted([WORDS.split()] * 40, axis=1)]
ITALIAN = "Un lettore che ama i romanzi gotici e le storie di mare troverà in questo libro un racconto lento."
ENGLISH = "This reader enjoys slow gothic novels and sea stories that are told in letters and diaries."


def generic(number: int) -> str:
    return GENERIC.format(name=NAMES[number % 10], title=TITLES[number % 7])


def answers(texts: list[str], **known: object) -> Answers:
    frame = pl.DataFrame(
        {"id": [f"u{place}" for place in range(len(texts))], "text": texts}, schema={"id": pl.String, "text": pl.String}
    )
    about = {"recipe": "kar.user", "kind": "user", "field": "summary", "asked": len(texts), "texts": frame}
    return Answers(**{**about, **known})  # type: ignore[arg-type]


def measured(found: Judged) -> dict[str, float]:
    return {each.measure: each.value for each in found.measures}


def judged(texts: list[str], quality: Quality | None = None, **known: object) -> Judged:
    return judge(answers(texts, **known), quality or Quality(), TitleIndex.of([*TITLES, "It"]), lambda id: ())


# near-duplicates


def test_one_generic_text_with_other_names_is_one_cluster_and_distinct_texts_are_in_none():
    texts = pl.Series([*(generic(number) for number in range(60)), *DISTINCT])
    assert texts.head(60).n_unique() > 50  # byte for byte they differ
    clusters = near_duplicates(texts)
    assert clusters.sizes.tolist() == [60]
    assert set(clusters.of[:60]) == {0}
    assert set(clusters.of[60:]) == {-1}
    assert clusters.share == clusters.largest_share == 0.6


def test_a_template_with_small_words_filled_in_is_found_as_well():
    template = generic(0).replace("slow build of tension", "{}")
    slots = ("slow build of tension", "careful plot", "dry wit", "long quiet chapters", "strange letters")
    assert near_duplicates(pl.Series([template.format(slot) for slot in slots])).sizes.tolist() == [5]


def test_texts_that_are_names_alone_are_compared_with_their_names():
    names = pl.Series(["Jane Austen, Mary Shelley", "Bram Stoker, Wilkie Collins", "Jane Austen, Mary Shelley"])
    assert near_duplicates(names).of.tolist() == [0, -1, 0]


def test_clusters_are_numbered_by_size_and_texts_without_words_are_in_none():
    texts = pl.Series([*[DISTINCT[0]] * 2, *[DISTINCT[1]] * 3, None, "", "...", "word", DISTINCT[2]])
    clusters = near_duplicates(texts)
    assert clusters.of.tolist() == [1, 1, 0, 0, 0, -1, -1, -1, -1, -1]
    assert clusters.texts == 7
    assert near_duplicates(pl.Series([], dtype=pl.String)).share == 0.0
    assert near_duplicates(pl.Series(["", None])).texts == 0


def test_how_alike_texts_must_be_is_said_by_the_run_file():
    words = [first + second for first in ("ba", "de", "fi", "go", "lu", "me") for second in WORDS.split()[:10]]
    other = [*words[:20], "other", *words[21:40], "another", *words[41:]]
    pair = pl.Series([" ".join(words), " ".join(other)])  # 56 shingles of 64
    assert near_duplicates(pair, similarity=0.8).share == 1.0
    assert near_duplicates(pair, similarity=0.95).share == 0.0


def test_scripts_without_spaces_are_compared_by_letter():
    text = "读者喜欢节奏缓慢的哥特小说和海上冒险故事也喜欢书信和日记里慢慢展开的秘密"
    pair = pl.Series([text, text.replace("海上", "山中"), "这本书讲述了一个完全不同的关于城市生活的现代爱情"])
    assert near_duplicates(pair).of.tolist() == [0, 0, -1]


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(30)))
def test_clusters_do_not_depend_on_the_order_of_texts(order):
    texts = pl.Series([generic(number) for number in range(10)] + DISTINCT[:20])
    of = near_duplicates(texts.gather(order)).of
    assert [of[order.index(place)] for place in range(30)] == [0] * 10 + [-1] * 20


def test_clusters_are_the_same_in_another_process():
    code = (
        "import polars as pl; from features.quality.words import split_words; "
        "print(next(split_words(pl.Series(['The Crypt of Number 4']))).hashes.tolist())"
    )
    seen = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in "ab"
    }
    assert seen == {f"{next(split_words(pl.Series(['the crypt OF number 4']))).hashes.tolist()}\n"}


def test_many_texts_take_time_in_proportion_to_their_number():
    random = np.random.default_rng(3)
    words = [f"{a}{b}{c}" for a in "bdfgklm" for b in "aeiou" for c in ("n", "r", "st", "lo", "ti")]
    texts = pl.Series([" ".join(row) for row in random.choice(words, size=(6000, 50))])
    same = pl.Series([generic(number) for number in range(6000)])
    began = time.process_time()
    assert near_duplicates(texts).share == 0.0
    assert near_duplicates(same).largest_share == 1.0  # one bucket of all texts: no pair by pair
    assert time.process_time() - began < 20


# language


@pytest.mark.parametrize(("text", "language"), [(ENGLISH, "en"), (ITALIAN, "it")])
def test_language_of_a_sentence(text, language):
    assert language_of(text, "en") == language


def test_names_are_in_no_language_that_one_could_be_sure_of():
    assert language_of("Bradford Exchange, Ingrid Bergman", "en") in ("en", "und")


def test_short_texts_are_not_judged_and_of_many_the_same_ones_are():
    texts = {f"u{number}": ENGLISH for number in range(50)} | {"short": "ein Buch"}
    some = languages(texts, "en", 10)
    assert len(some) == 10
    assert some == languages(dict(reversed(texts.items())), "en", 10)
    assert "short" not in languages(texts, "en", 100)


def test_planted_foreign_texts_are_measured_with_an_example():
    found = judged([ENGLISH] * 15 + [ITALIAN] * 5)
    assert measured(found)["other_language"] == 0.25
    assert measured(found)["language.en"] == 0.75
    (example,) = [each for each in found.examples if each.measure == "other_language"]
    assert (example.said, example.size, example.ids[0], example.text) == ("it", 5, "u15", ITALIAN)


def test_language_is_not_judged_where_none_is_expected_and_a_code_must_be_one():
    assert "other_language" not in measured(judged([ITALIAN] * 20, Quality(language="")))
    check_language("it")
    with pytest.raises(ConfigError, match=r"quality\.language: xq: unknown"):
        check_language("xq")


# titles that the prompt did not show


def test_a_title_of_the_catalogue_that_was_not_shown_is_named():
    index = TitleIndex.of(["The Woman in White", "Jane Eyre", "North and South", "It", "Emma", "Dune: Messiah", "Dune"])
    shown = [plain("Jane Eyre"), plain("Moonstone, The (1868)")]
    text = "Liked Jane Eyre and would like *The Woman in White*, a man from north and south of it. It, Emma."
    assert unknown_titles(text, index, lambda: shown) == ["woman in white"]
    assert unknown_titles("Liked Jane Eyre.", index, lambda: shown) == []


def test_parts_of_shown_titles_and_turned_articles_are_known():
    index = TitleIndex.of(["The Two Towers", "Postino, Il", "Lord of the Rings: The Two Towers"])
    shown = [plain("The Lord of the Rings: The Two Towers (2002)"), plain("Postino, Il (1994)")]
    assert unknown_titles("Enjoys The Two Towers and Il Postino", index, lambda: shown) == []


def test_the_longest_title_wins_and_none_is_found_inside_another():
    index = TitleIndex.of(["War and Peace", "War and Peace and War", "Peace and War"])
    assert index.titles_in("reads War and Peace and War again") == ["war and peace and war"]


def test_prompts_are_looked_at_only_where_a_title_is_found():
    def never() -> list[str]:
        raise AssertionError

    assert unknown_titles("nothing here", TitleIndex.of(TITLES), never) == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["Red Harbour", "Long Winter Night", "Stone Garden Music"]), max_size=6), st.data())
def test_every_planted_title_is_found_once(planted, data):
    filler = st.text(alphabet="abc .,", max_size=12)
    text = " ".join(part for title in planted for part in (data.draw(filler), title)) + " " + data.draw(filler)
    found = unknown_titles(text, TitleIndex.of(["Red Harbour", "Long Winter Night", "Stone Garden Music"]), lambda: ())
    assert found == [title.lower() for title in dict.fromkeys(planted)]


def test_unknown_items_are_measured_for_users_alone_with_the_titles_named_most():
    texts = ["Would like Jane Eyre."] * 3 + ["Would like North and South and Jane Eyre."] + ["Likes letters."] * 6
    index = TitleIndex.of(TITLES)
    found = judge(answers(texts), Quality(), index, lambda id: [plain("Jane Eyre")] if id == "u0" else ())
    assert measured(found)["unknown_items"] == 0.3
    titles = [(each.said, each.size, each.ids) for each in found.examples if each.measure == "unknown_items"]
    assert titles == [("jane eyre", 3, ("u1", "u2", "u3")), ("north and south", 1, ("u3",))]
    assert "unknown_items" not in measured(judge(answers(texts, kind="item"), Quality(), index, lambda id: ()))


# length and coverage


def test_lengths_and_coverage():
    texts = [" ".join(["word"] * count) for count in (10, 20, 30, 40)]
    found = measured(judged(texts, word_limit=25, asked=8))
    assert found["coverage"] == 0.5
    assert (found["words_mean"], found["words_median"]) == (25.0, 25.0)
    assert (found["words_p5"], found["words_p95"]) == (11.5, 38.5)
    assert found["over_limit"] == 0.5
    assert "over_limit" not in measured(judged(texts))


def test_names_are_counted_and_not_judged_as_prose():
    assert set(measured(judged(["English"] * 30, prose=False))) == {"asked", "texts", "coverage"}


def test_a_field_without_texts_has_no_coverage_and_nothing_else():
    assert measured(judged([], asked=5)) == {"asked": 5.0, "texts": 0.0, "coverage": 0.0}


# drift


def before(texts: list[str], comparable: bool = True, **measures: float) -> Before:
    return Before("2026-11-08", answers(texts).texts, comparable, measures)


@pytest.mark.parametrize(
    ("nights", "expected"),
    [
        ([], None),
        (["2026-11-22", "2026-11-23"], None),
        (["2026-11-20", "2026-11-21"], "2026-11-20"),
        (["2026-11-01", "2026-11-14", "2026-11-15", "2026-11-16", "2026-11-21", "2026-11-29"], "2026-11-15"),
    ],
)
def test_the_night_of_a_week_ago_or_else_the_oldest(nights, expected):
    assert drift.earlier_night(nights, "2026-11-22") == expected


def test_a_planted_night_with_other_texts_is_drift():
    now = [f"the same words of text {number} here" for number in range(16)] + ["something new entirely"] * 4
    then = [f"the same words of text {number} here" for number in range(20)]
    found = measured(judged(now, before=before(then, coverage=1.0, other_language=0.0), asked=25))
    assert found["text_change"] == 0.2
    assert found["coverage_drop"] == pytest.approx(0.2)
    assert found["length_drift"] == pytest.approx(1 - (16 * 7 + 4 * 3) / (20 * 7))
    assert 0.1 < found["word_drift"] < 0.5
    same = measured(judged(then, before=before(then, coverage=1.0)))
    assert (same["text_change"], same["word_drift"], same["length_drift"], same["coverage_drop"]) == (0, 0, 0, 0)


def test_words_in_common_or_not():
    left, right = pl.Series(["red stone red"]), pl.Series(["blue wind"])
    assert drift.word_drift(left, right) == pytest.approx(1.0)
    assert drift.word_drift(left, pl.Series(["red", "stone red"])) == pytest.approx(0.0)
    # by hand: p = (1/2, 1/2), q = (1, 0), m = (3/4, 1/4)
    bits = (0.5 * np.log2(2 / 3) + 0.5 * np.log2(2) + np.log2(4 / 3)) / 2
    assert drift.word_drift(pl.Series(["red stone"]), pl.Series(["red"])) == pytest.approx(np.sqrt(bits))
    assert drift.word_drift(left, pl.Series(["", None])) is None


def test_without_an_earlier_night_there_is_no_drift():
    assert not {"text_change", "word_drift", "length_drift", "coverage_drop"} & set(measured(judged(DISTINCT)))


# thresholds


def test_thresholds_stand_beside_the_measures_that_they_hold_for():
    quality = Quality(text_change=0.5)
    texts = [generic(number) for number in range(20)]

    def allowed(**known: object) -> dict[str, float]:
        return {
            each.measure: each.allowed for each in judged(texts, quality, **known).measures if each.allowed is not None
        }

    plain_ones = {"near_duplicates": 0.2, "largest_cluster": 0.1, "other_language": 0.1, "unknown_items": 0.2}
    drifts = {"text_change": 0.5, "word_drift": 0.5, "length_drift": 0.5, "coverage_drop": 0.1}
    assert allowed() == plain_ones
    assert allowed(before=before(texts, coverage=1.0)) == plain_ones | drifts
    assert allowed(before=before(texts, comparable=False, coverage=1.0)) == plain_ones
    assert judged(texts[:19], quality).measures[0].allowed is None
    assert all(each.allowed is None for each in judged(texts[:19], quality).measures)


def test_the_suite_has_a_rule_for_every_threshold_and_none_where_there_is_none():
    columns = {rule.columns[0] for rule in quality_suite(Quality()).expectations}
    assert columns == set(GATED_MEASURES) - {"text_change"}
    assert "length_drift" not in {r.columns[0] for r in quality_suite(Quality(length_drift=float("inf"))).expectations}


def test_gated_measures_become_columns_and_the_others_are_null():
    rows = judged([generic(number) for number in range(20)]).measures
    frame = pl.DataFrame(rows)
    wide = measure_quality(frame)
    assert wide.columns == ["recipe", "kind", "field", *GATED_MEASURES]
    assert wide.select("near_duplicates", "word_drift").row(0) == (1.0, None)
