"""The answers to one field of a recipe as measures: how many, how alike, in which language, how long, how changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import polars as pl

from features.quality import drift
from features.quality.language import languages, shares
from features.quality.near_duplicates import near_duplicates
from features.quality.records import Answers, Example, Judged, Measure
from features.quality.titles import TitleIndex, unknown_titles
from schemas.sections import Quality

EXAMPLES = 3  # clusters, titles and languages shown of a field
IDS = 5  # of an example
DRIFTS = ("coverage_drop", "length_drift", "word_drift", "text_change")

Shown = Callable[[str], Iterable[str]]  # user -> the `plain` texts of what the prompts about them showed


Figure = tuple[str, float | None, str]  # measure, value (None: there is none), detail
Group = tuple[str, str, list[str]]  # measure, what is said, ids


def judge(answers: Answers, quality: Quality, titles: TitleIndex, shown: Shown) -> Judged:
    """Measure one field of a recipe; a field that is no prose is counted and compared alone.

    A measure has a threshold where the run file has one and the field has at least `min_texts` texts; of drift moreover
    where the earlier night is comparable.
    """
    texts = dict(zip(answers.texts["id"].to_list(), answers.texts["text"].to_list(), strict=True))
    figures: list[Figure] = [("asked", answers.asked, ""), ("texts", len(texts), "")]
    figures += [("coverage", len(texts) / answers.asked if answers.asked else None, "")]
    groups: list[Group] = []
    if answers.prose and texts:
        for found, behind in (
            _alike(answers.texts, quality),
            _spoken(texts, quality),
            _named(texts, titles, shown) if answers.kind == "user" else ([], []),
        ):
            figures, groups = figures + found, groups + behind
        figures += _lengths(answers)
    figures += _drift(answers, {name: value for name, value, _ in figures if value is not None})
    return Judged(
        [
            Measure(*answers.name, name, float(value), _allowed(answers, quality, name), detail)
            for name, value, detail in figures
            if value is not None
        ],
        _examples(answers, texts, groups),
    )


def _allowed(answers: Answers, quality: Quality, measure: str) -> float | None:
    comparable = answers.before is not None and answers.before.comparable
    if answers.texts.height < quality.min_texts or (measure in DRIFTS and not comparable):
        return None
    return quality.limits.get(measure)


def _alike(texts: pl.DataFrame, quality: Quality) -> tuple[list[Figure], list[Group]]:
    """Near-duplicates: texts that have one, clusters, and the share of the largest cluster."""
    clusters = near_duplicates(texts["text"], quality.similarity)
    sizes, ids = clusters.sizes, texts["id"]
    largest = f"{sizes[0]:,} texts such as that of {ids[int(np.argmax(clusters.of == 0))]}" if len(sizes) else ""
    figures: list[Figure] = [
        ("near_duplicates", clusters.share, f"{len(sizes):,} clusters" if len(sizes) else ""),
        ("largest_cluster", clusters.largest_share, largest),
    ]
    largest_first = range(min(EXAMPLES, len(sizes)))
    return figures, [
        ("near_duplicates", "", ids.filter(pl.Series(clusters.of == each)).to_list()) for each in largest_first
    ]


def _spoken(texts: Mapping[str, str], quality: Quality) -> tuple[list[Figure], list[Group]]:
    """The share of every language, and of those surely not the expected one."""
    found = languages(texts, quality.language, quality.sampled) if quality.language else {}
    if not found:
        return [], []
    of = shares(list(found.values()))
    others = [each for each in of if each not in (quality.language, "und")]
    judged = f"{len(found):,} texts judged"
    figures: list[Figure] = [("other_language", sum(of[each] for each in others), judged)]
    figures += [(f"language.{each}", share, judged) for each, share in of.items()]
    groups = [("other_language", each, [id for id in found if found[id] == each]) for each in others[:EXAMPLES]]
    return figures, groups


def _named(texts: Mapping[str, str], titles: TitleIndex, shown: Shown) -> tuple[list[Figure], list[Group]]:
    """Texts with a title of the catalogue that no prompt about the user showed."""
    behind: dict[str, list[str]] = {}
    naming = 0
    for id, text in texts.items():
        unknown = unknown_titles(text, titles, lambda id=id: shown(id))  # type: ignore[misc]
        naming += bool(unknown)
        for title in unknown:
            behind.setdefault(title, []).append(id)
    often = Counter({title: len(ids) for title, ids in behind.items()}).most_common(EXAMPLES)
    figures: list[Figure] = [("unknown_items", naming / len(texts), f"{len(behind):,} titles" if behind else "")]
    return figures, [("unknown_items", title, behind[title]) for title, _ in often]


def _lengths(answers: Answers) -> list[Figure]:
    """Words of the texts: mean, median, 5th and 95th percentile, and the share over the recipe's limit."""
    words = _words(answers.texts)
    quantiles = (("words_p5", 0.05), ("words_median", 0.5), ("words_p95", 0.95))
    figures: list[Figure] = [("words_mean", _mean(words), "")]
    figures += [(name, words.quantile(share, "linear"), "") for name, share in quantiles]
    if answers.word_limit is not None:
        over = (words > answers.word_limit).cast(pl.Float64)
        figures += [("over_limit", _mean(over), f"{answers.word_limit} words")]
    return figures


def _drift(answers: Answers, now: Mapping[str, float]) -> list[Figure]:
    """What has changed since the earlier night; `now` are tonight's measures. Nothing where there is no such night."""
    before = answers.before
    if before is None or not before.texts.height or not answers.texts.height:
        return []
    since = f"since {before.ds}" + ("" if before.comparable else ", by another model or version")
    figures: list[Figure] = [("text_change", drift.text_change(answers.texts, before.texts), since)]
    if answers.prose:
        figures += [("word_drift", drift.word_drift(answers.texts["text"], before.texts["text"]), since)]
        mean, mean_before = now["words_mean"], _mean(_words(before.texts))
        longer = drift.length_drift(mean, mean_before)
        figures += [("length_drift", longer, f"{mean_before:.1f} words before, {mean:.1f} now")]
    if "coverage" in now and "coverage" in before.measures:
        figures += [("coverage_drop", before.measures["coverage"] - now["coverage"], since)]
    if "other_language" in now and "other_language" in before.measures:
        figures += [("other_language_rise", now["other_language"] - before.measures["other_language"], since)]
    return figures


def _examples(answers: Answers, texts: Mapping[str, str], groups: Iterable[Group]) -> list[Example]:
    ranks: Counter[str] = Counter()
    found = []
    for measure, said, ids in groups:
        ranks[measure] += 1
        some = tuple(ids[:IDS])
        found.append(Example(*answers.name, measure, ranks[measure], said, len(ids), some, texts[ids[0]]))
    return found


def _words(texts: pl.DataFrame) -> pl.Series:
    """Words of every text, as recipes count them for their limits."""
    return texts["text"].str.count_matches(r"\S+").cast(pl.Float64)


def _mean(values: pl.Series) -> float:
    return float(values.to_numpy().mean()) if len(values) else 0.0
