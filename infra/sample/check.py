"""Measure on a global time split that the book texts help the simulated readers' recommender but give nothing away."""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from infra.sample.simulate_readers import TasteModel, simulate

Floats = NDArray[np.float64]

FOLDER = Path(__file__).resolve().parent
CUTOFF = 20
BLEND_WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
SHUFFLE_SEED = 7


@dataclass(frozen=True)
class Split:
    """Readers by books: what was read in the first 80 %, the next 10 % and the last 10 % of the events."""

    train: Floats
    valid: Floats
    test: Floats


def reading_matrix(events: pl.DataFrame, users: list[str], items: list[str]) -> Floats:
    """Readers by books with a one for each event."""
    rows = {user: row for row, user in enumerate(users)}
    columns = {item: column for column, item in enumerate(items)}
    matrix = np.zeros((len(users), len(items)))
    positions = [(rows[user], columns[item]) for user, item in zip(events["user_id"], events["item_id"], strict=True)]
    matrix[tuple(np.array(positions).T)] = 1.0
    return matrix


def split_by_time(events: pl.DataFrame, items: list[str]) -> Split:
    """Cut the events at 80 % and 90 % of their number, in the order of time."""
    events = events.sort("timestamp", "user_id", "item_id")
    first, second = int(0.8 * events.height), int(0.9 * events.height)
    users = sorted(events["user_id"].unique())
    parts = (events[:first], events[first:second], events[second:])
    return Split(*(reading_matrix(part, users, items) for part in parts))


def recall(scores: Floats, seen: Floats, wanted: Floats) -> float:
    """Mean Recall@20 of readers with a history and something to find, with seen books masked."""
    readers = np.flatnonzero((seen.sum(axis=1) > 0) & (wanted.sum(axis=1) > 0))
    masked = np.where(seen[readers] > 0, -np.inf, scores[readers])
    best = np.argsort(-masked, axis=1, kind="stable")[:, :CUTOFF]
    hits = np.take_along_axis(wanted[readers], best, axis=1).sum(axis=1)
    return float(np.mean(hits / wanted[readers].sum(axis=1)))


def ease_scores(train: Floats, penalty: float = 100.0) -> Floats:
    """Scores of EASE, the linear item-item model with a closed form and a zero diagonal."""
    inverse = np.linalg.inv(train.T @ train + penalty * np.eye(train.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return np.asarray(train @ weights, dtype=np.float64)


def tokens(items: pl.DataFrame) -> list[Counter[str]]:
    """Counted lower-case words of title, author, subjects and description."""
    columns = ("title", "author", "subjects", "description")
    texts = [" ".join(str(row[column]) for column in columns) for row in items.iter_rows(named=True)]
    return [Counter(re.findall(r"\w{3,}", text.lower())) for text in texts]


def text_vectors(items: pl.DataFrame) -> Floats:
    """Unit TF-IDF rows of the books over the words that occur in at least two of them."""
    counted = tokens(items)
    frequency = Counter(word for words in counted for word in words)
    kept = sorted(word for word, books in frequency.items() if books > 1)
    counts = np.array([[words[word] for word in kept] for words in counted], dtype=np.float64)
    inverse = np.log((1.0 + len(counted)) / (1.0 + np.array([frequency[word] for word in kept])))
    weighted = np.log1p(counts) * inverse
    return np.asarray(weighted / np.linalg.norm(weighted, axis=1, keepdims=True), dtype=np.float64)


def standardise(scores: Floats) -> Floats:
    """Centre and scale each reader's row, so that two scores can be added."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-12), dtype=np.float64)


def blended_recall(behaviour: Floats, text: Floats, split: Split) -> float:
    """Test recall of the sum whose text weight was best on the validation events."""
    sums = [standardise(behaviour) + weight * standardise(text) for weight in BLEND_WEIGHTS]
    best = max(sums, key=lambda scores: recall(scores, split.train, split.valid))
    return recall(best, split.train + split.valid, split.test)


def measure(items: pl.DataFrame, events: pl.DataFrame) -> dict[str, float]:
    """Recall@20 on the last 10 % of the events for each of the five scores, all trained on the first 80 %."""
    split = split_by_time(events, items["id"].to_list())
    vectors, seen = text_vectors(items), split.train + split.valid
    behaviour, text = ease_scores(split.train), split.train @ vectors @ vectors.T
    shuffled = vectors[np.random.default_rng(SHUFFLE_SEED).permutation(items.height)]
    return {
        "popularity": recall(np.tile(split.train.sum(axis=0), (len(seen), 1)), seen, split.test),
        "behaviour": recall(behaviour, seen, split.test),
        "text": recall(text, seen, split.test),
        "blend": blended_recall(behaviour, text, split),
        "shuffled_blend": blended_recall(behaviour, split.train @ shuffled @ shuffled.T, split),
    }


def line(label: str, measured: dict[str, float]) -> str:
    """One row of the table: the label and the five recalls."""
    return f"{label:12s}" + "".join(f"{value:16.4f}" for value in measured.values()) + "\n"


def main() -> None:
    """Write a row for the committed interactions and one for each of `--seeds` other seeds of the same model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=0)
    items = pl.read_csv(FOLDER / "items.csv")
    measured = measure(items, pl.read_parquet(FOLDER / "interactions.parquet"))
    sys.stdout.write(" " * 12 + "".join(f"{name:>16s}" for name in measured) + "\n" + line("committed", measured))
    for seed in range(1, parser.parse_args().seeds + 1):
        sys.stdout.write(line(f"seed {seed}", measure(items, simulate(items, TasteModel(seed=seed)))))


if __name__ == "__main__":
    main()
