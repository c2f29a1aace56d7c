"""A whole training run of LightGCN with validation: `python -m benchmarks.graph.clients.training FOLDER BATCH`.

Prints seconds, the peak of resident memory from the start of the process on, and what was reached, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks.graph.peers.turns import peak_mb
from benchmarks.graph.world import corpus
from evaluation.judge import examine
from evaluation.protocol import testing
from features.table import FeatureSet
from recommenders.graph import Graph
from schemas.sections import Evaluation, Model, Part, Training

MODEL = Model(name="lightgcn", backbone=Part(name="lightgcn", options={"dim": 64, "layers": 3}))


def main() -> None:
    """Read, split, train for an epoch with its checkpoint, validate, and judge on test."""
    folder, batch = Path(sys.argv[1]), int(sys.argv[2])
    given, began = corpus(), time.perf_counter()
    training = Training(batch_size=batch, max_epochs=1, evaluate_every=1)
    model = Graph(MODEL, training, Evaluation(), seed=1, device="cpu", folder=folder)
    model.fit(given, FeatureSet())
    seconds = time.perf_counter() - began
    recall = examine(model, testing(given), Evaluation()).means()["recall@20"]
    told = {"seconds": seconds, "peak_mb": peak_mb(), "recall": recall, "edges": len(given.train)}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
