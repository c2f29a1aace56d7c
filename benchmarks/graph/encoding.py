"""encoding: our encoder in bfloat16 beside sentence-transformers as it is called by default, in turns."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from benchmarks.environment import ROOT
from benchmarks.figures import Figure, at_least, stated
from benchmarks.graph.turns import alternate, clients, described, ours, ratio

CATALOGUE = ROOT / "infra" / "sample" / "items.csv"
WORDS = (60, 120)
LEAST_SPEED, LEAST_COSINE = 1.8, 0.999
SHOWN = {"ours": "ours, bfloat16", "default": "sentence-transformers, encode(texts)"}


def encoding(folder: Path, texts: int, turns: int) -> list[Figure]:
    """Texts per CPU second of ours over the default's, and how near the vectors are."""
    file = folder / "texts.json"
    file.write_text(json.dumps(english(texts)), encoding="utf-8")
    vectors = {name: str(folder / f"{name}.npy") for name in SHOWN}
    commands = {
        "ours": ours("clients.encoder", str(file), vectors["ours"]),
        "default": ours("clients.sentence_transformers_default", str(file), vectors["default"]),
    }
    with clients(commands, threads=1) as started:
        told = alternate({name: (client, "encode") for name, client in started.items()}, turns)
    found = ratio(told["default"], told["ours"])
    cosine = cosines(*(np.load(each) for each in vectors.values()))
    about = f"{texts} texts of {WORDS[0]} to {WORDS[1]} words, all-MiniLM-L6-v2, 1 thread"
    what = f"texts per CPU second, ours / default, turns {found.low:.2f} to {found.high:.2f}"
    return [
        stated("encoding", "in turns", about),
        *(stated("encoding", SHOWN[name], described(each)) for name, each in told.items()),
        at_least("encoding", what, found.median, LEAST_SPEED),
        stated("encoding", "the same in wall time", str(ratio(told["default"], told["ours"], "seconds"))),
        at_least(
            "encoding",
            f"mean cosine of the two vectors of a text (least {cosine.min():.5f})",
            float(cosine.mean()),
            LEAST_COSINE,
        ),
    ]


def english(count: int, seed: int = 0) -> list[str]:
    """Texts of 60 to 120 words each, cut from the descriptions of the sample catalogue read in random order."""
    generator = np.random.default_rng(seed)
    with CATALOGUE.open(encoding="utf-8", newline="") as file:
        descriptions = [row["description"] for row in csv.DictReader(file)]
    found = list[str]()
    for size in generator.integers(WORDS[0], WORDS[1] + 1, size=count):
        words = list[str]()
        while len(words) < size:
            words += descriptions[generator.integers(len(descriptions))].split()
        found.append(" ".join(words[:size]))
    return found


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosine of every row of [N, d] with the same row of the other: [N]."""
    a, b = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (one, other))
    return np.asarray((a * b).sum(axis=1))
