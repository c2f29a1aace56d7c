"""The data of the benchmark: where it is, and its train histories as the run files cut them."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.environment import ROOT
from features.corpus import Corpus, make_corpus
from features.readers import read_source
from features.splits import make_splits
from schemas.sections import Data, Split

DATA = Path(os.environ.get("LOREGRAPH_DATA") or ROOT / ".." / "shared" / "data").resolve()
NOUNS = {"goodreads": "book", "sample": "book"}


def folder_of(name: str) -> Path:
    """The folder of a data set by name, or of one that is a path."""
    return ROOT / "infra" / "sample" if name == "sample" else DATA / name  # an absolute path stays what it is


def corpus_of(folder: Path) -> Corpus:
    """A folder of interactions, items and users, one interaction of each user in valid and in test."""
    source = read_source(Data(path=str(folder)))
    splits = make_splits(source.interactions, Split(rule="leave_one_out"))
    return make_corpus(source.users, source.items, splits)
