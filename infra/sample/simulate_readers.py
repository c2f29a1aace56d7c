"""Simulate the readers of the sample books from a documented taste model and write their interactions.

Run `python -m infra.sample.simulate_readers` (or this file) to write `interactions.parquet` next to `items.csv`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FOLDER = Path(__file__).resolve().parent
START = int(datetime(2025, 3, 1, tzinfo=UTC).timestamp())
DAYS = 120
DAY_SECONDS = 86_400

# The controlled vocabulary of `subjects`: every subject stands in exactly one cluster.
SUBJECT_CLUSTERS: dict[str, tuple[str, ...]] = {
    "mystery and dread": ("crime", "detective", "gothic", "horror", "supernatural"),
    "adventure": ("adventure", "sea", "travel", "war"),
    "imagination": ("children", "fairy tales", "fantasy", "myth", "science fiction", "utopia"),
    "love and home": ("family", "letters", "marriage", "romance", "women"),
    "inner life": ("art", "coming of age", "psychology", "tragedy"),
    "forms": ("drama", "poetry", "short stories"),
    "manners": ("city life", "comedy", "satire", "society"),
    "ideas": ("essays", "freedom", "philosophy", "politics", "religion"),
    "lives and times": ("autobiography", "biography", "historical fiction", "history"),
    "natural world": ("nature", "rural life", "science"),
}
VOCABULARY: tuple[str, ...] = tuple(sorted(subject for group in SUBJECT_CLUSTERS.values() for subject in group))


@dataclass(frozen=True)
class TasteModel:
    """Sizes and weights of the simulation; the README gives the formulas in the same words."""

    seed: int = 20260301
    readers: int = 1_500
    hidden_factors: int = 6
    text_weight: float = 1.6
    author_weight: float = 2.5
    era_weight: float = 0.1
    hidden_weight: float = 0.6
    quality_weight: float = 0.25
    popularity_weight: float = 0.35
    fresh_weight: float = 1.1
    zipf_exponent: float = 0.9
    drift: float = 0.35
    late_book_share: float = 0.08
    late_reader_share: float = 0.15
    smallest_activity: int = 4
    largest_activity: int = 120
    activity_location: float = 1.83
    activity_spread: float = 1.05


@dataclass(frozen=True)
class Catalogue:
    """What the model knows of every book: what the text shows, what it hides, and when the book appears."""

    identifiers: list[str]
    subjects: Floats
    authors: Integers
    era: Floats
    hidden: Floats
    quality: Floats
    popularity: Floats
    release_day: Floats


@dataclass(frozen=True)
class Reader:
    """One simulated reader: taste at the first and at the last day, and the days of the reading events."""

    subject_taste: Floats
    hidden_taste: Floats
    favourite_authors: Integers
    era_taste: float
    novelty: float
    event_days: Floats


def standardise(values: Floats) -> Floats:
    """Centre the last axis and scale it to unit deviation, so that the weights are comparable."""
    centred = values - values.mean(axis=-1, keepdims=True)
    return np.asarray(centred / np.maximum(centred.std(axis=-1, keepdims=True), 1e-9), dtype=np.float64)


def subject_matrix(subjects: list[str]) -> Floats:
    """Books by vocabulary, each row of unit length, so that a book with many subjects gains nothing."""
    position = {subject: column for column, subject in enumerate(VOCABULARY)}
    matrix = np.zeros((len(subjects), len(VOCABULARY)))
    for row, joined in enumerate(subjects):
        matrix[row, [position[subject] for subject in joined.split("; ")]] = 1.0
    return np.asarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), dtype=np.float64)


def zipf_popularity(count: int, exponent: float, random: np.random.Generator) -> Floats:
    """Standardised logarithm of a Zipf law over a random order of the books."""
    ranks = random.permutation(count) + 1
    return standardise(-exponent * np.log(ranks.astype(np.float64)))


def release_days(count: int, share: float, random: np.random.Generator) -> Floats:
    """Day on which each book appears: day 0 for most, one of the last 30 days for a share."""
    days = np.zeros(count)
    late = random.choice(count, size=round(share * count), replace=False)
    days[late] = random.uniform(DAYS - 30, DAYS - 3, size=late.size)
    return days


def build_catalogue(items: pl.DataFrame, model: TasteModel, random: np.random.Generator) -> Catalogue:
    """Join the visible columns of the books with hidden factors that no text mentions."""
    count = items.height
    return Catalogue(
        identifiers=items["id"].to_list(),
        subjects=subject_matrix(items["subjects"].to_list()),
        authors=np.unique(items["author"].to_numpy(), return_inverse=True)[1].astype(np.int64),
        era=standardise(items["year"].rank().to_numpy().astype(np.float64)),
        hidden=random.normal(size=(count, model.hidden_factors)),
        quality=random.normal(size=count),
        popularity=zipf_popularity(count, model.zipf_exponent, random),
        release_day=release_days(count, model.late_book_share, random),
    )


def draw_subject_taste(random: np.random.Generator) -> Floats:
    """A weight per subject: one to three clusters are liked, each subject in them more or less."""
    taste = np.zeros(len(VOCABULARY))
    clusters = list(SUBJECT_CLUSTERS.values())
    liked = random.choice(len(clusters), size=random.integers(1, 4), replace=False)
    for cluster in liked:
        columns = [VOCABULARY.index(subject) for subject in clusters[cluster]]
        taste[columns] = random.uniform(0.5, 1.5) * random.gamma(2.0, 0.5, size=len(columns))
    return taste


def draw_event_days(model: TasteModel, random: np.random.Generator) -> Floats:
    """Sorted reading days: a heavy-tailed number of them between arrival and the last day."""
    tail = np.floor(random.lognormal(model.activity_location, model.activity_spread))
    count = int(min(model.smallest_activity + tail, model.largest_activity))
    late = random.random() < model.late_reader_share
    arrival = random.uniform(30.0, 110.0) if late else random.uniform(0.0, 20.0)
    return np.sort(random.uniform(arrival, DAYS, size=count))


def draw_reader(catalogue: Catalogue, model: TasteModel, random: np.random.Generator) -> Reader:
    """Draw one reader; rows 0 and 1 of each taste are its two ends, between which it drifts."""
    return Reader(
        subject_taste=np.stack([draw_subject_taste(random), draw_subject_taste(random)]),
        hidden_taste=random.normal(size=(2, model.hidden_factors)),
        favourite_authors=random.choice(catalogue.authors, size=2, replace=False),
        era_taste=float(random.normal()),
        novelty=float(random.beta(2.0, 3.0)),
        event_days=draw_event_days(model, random),
    )


def drifted(ends: Floats, days: Floats, drift: float) -> Floats:
    """Taste on each day: the first end, mixed with `drift` times the elapsed share of the second."""
    elapsed = (drift * days / DAYS)[:, None]
    return np.asarray((1.0 - elapsed) * ends[0] + elapsed * ends[1], dtype=np.float64)


def visible_affinity(catalogue: Catalogue, reader: Reader, model: TasteModel) -> Floats:
    """Events by books: what a careful reader of title, author, subjects and year could foresee."""
    subjects = standardise(drifted(reader.subject_taste, reader.event_days, model.drift) @ catalogue.subjects.T)
    authors = np.isin(catalogue.authors, reader.favourite_authors)
    era = reader.era_taste * catalogue.era
    return model.text_weight * subjects + model.author_weight * authors + model.era_weight * era


def hidden_affinity(catalogue: Catalogue, reader: Reader, model: TasteModel) -> Floats:
    """Events by books: latent taste and quality, which only behaviour reveals."""
    latent = drifted(reader.hidden_taste, reader.event_days, model.drift) @ catalogue.hidden.T
    return model.hidden_weight * standardise(latent) + model.quality_weight * catalogue.quality


def attention(catalogue: Catalogue, reader: Reader, model: TasteModel) -> Floats:
    """Events by books: popularity for followers, freshness for seekers, nothing before the release."""
    age = reader.event_days[:, None] - catalogue.release_day[None, :]
    fresh = (catalogue.release_day > 0.0) * np.exp(-np.maximum(age, 0.0) / 14.0)
    popular = model.popularity_weight * 2.0 * (1.0 - reader.novelty) * catalogue.popularity
    return np.where(age >= 0.0, popular + model.fresh_weight * 2.0 * reader.novelty * fresh, -np.inf)


def choose_books(utility: Floats) -> Integers:
    """Take the best book of each event in turn, never the same book twice."""
    chosen = np.zeros(utility.shape[0], dtype=np.int64)
    for event in range(utility.shape[0]):
        chosen[event] = int(np.argmax(utility[event]))
        utility[:, chosen[event]] = -np.inf
    return chosen


def simulate_reader(index: int, catalogue: Catalogue, model: TasteModel) -> pl.DataFrame:
    """All interactions of one reader, from a random stream of its own so that readers stay independent."""
    random = np.random.default_rng([model.seed, index])
    reader = draw_reader(catalogue, model, random)
    utility = visible_affinity(catalogue, reader, model) + hidden_affinity(catalogue, reader, model)
    utility = utility + attention(catalogue, reader, model) + random.gumbel(size=utility.shape)
    books = [catalogue.identifiers[book] for book in choose_books(utility)]
    seconds = START + np.floor(reader.event_days * DAY_SECONDS).astype(np.int64)
    return pl.DataFrame({"user_id": [f"r{index:04d}"] * len(books), "item_id": books, "timestamp": seconds})


def simulate(items: pl.DataFrame, model: TasteModel | None = None) -> pl.DataFrame:
    """All interactions, sorted by time, reader and book."""
    model = model or TasteModel()
    catalogue = build_catalogue(items, model, np.random.default_rng(model.seed))
    frames = [simulate_reader(index, catalogue, model) for index in range(1, model.readers + 1)]
    return pl.concat(frames).sort("timestamp", "user_id", "item_id")


def write_interactions(target: Path, items_path: Path = FOLDER / "items.csv") -> int:
    """Write the interactions as zstd parquet and return how many there are."""
    interactions = simulate(pl.read_csv(items_path))
    interactions.write_parquet(target, compression="zstd", compression_level=9, statistics=True)
    return interactions.height


def main() -> None:
    """Read `--out` and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER / "interactions.parquet")
    write_interactions(parser.parse_args().out)


if __name__ == "__main__":
    main()
