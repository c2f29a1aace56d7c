"""Which language texts are written in: py3langid (Lui and Baldwin, 2012), which needs no network and no model files."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from heapq import nsmallest
from typing import TYPE_CHECKING

from schemas.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

FEWEST_CHARACTERS = 20  # shorter texts are not judged
SURE = 0.9  # probability from which another language is believed; lists of names seldom reach it
UNSURE = "und"  # ISO 639: undetermined


def languages(texts: Mapping[str, str], expected: str, at_most: int) -> dict[str, str]:
    """The language (ISO 639 code) of each text by id, of texts of 20 characters or more.

    Of more than `at_most` texts a sample is judged: those whose ids have the lowest hashes, so mostly the same ones
    every night.
    """
    judged = [id for id, text in texts.items() if len(text) >= FEWEST_CHARACTERS]
    if len(judged) > at_most:
        judged = nsmallest(at_most, judged, key=lambda id: hashlib.sha256(id.encode()).digest())
    return {id: language_of(texts[id], expected) for id in judged}


def language_of(text: str, expected: str) -> str:
    """The likeliest language where it is the expected one or has a probability of at least 0.9, else `und`."""
    language, probability = _identifier().classify(text)
    return str(language) if language == expected or probability >= SURE else UNSURE


def shares(found: Sequence[str]) -> dict[str, float]:
    """Share of each language, the most frequent first."""
    counts = Counter(sorted(found))
    return {language: count / len(found) for language, count in counts.most_common()}


def check_language(code: str) -> None:
    """Raise ConfigError where no text could ever be told to be in that language."""
    labels = [str(label) for label in _identifier().labels]
    if code not in labels:
        raise ConfigError(unknown_name("quality.language", code, labels))


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
