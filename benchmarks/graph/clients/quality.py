"""The first graph model of a run file, from its files to test: `python -m benchmarks.graph.clients.quality RUN LAKE`.

A third argument, `short`, takes the dense core of the data and two epochs. Prints JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks.graph.peers.turns import peak_mb
from evaluation.judge import examine
from evaluation.protocol import testing
from features.table import FeatureSet
from pipelines.night import open_night
from pipelines.steps.tables import ingest, split
from recommenders import make_recommender
from schemas.run import Run, load_run
from schemas.sections import Model

NIGHT, SEED = "2026-01-01", 1
CORE, EPOCHS = 20, 2  # of the short form: about a quarter of the interactions


def main() -> None:
    """Ingest and split into the lake, fit, and judge once on test."""
    run = load_run(Path(sys.argv[1]), lake=sys.argv[2])
    run = shortened(run) if sys.argv[3:] == ["short"] else run
    ingest(run, NIGHT)
    split(run, NIGHT)
    night = open_night(run, NIGHT)
    corpus, model = night.corpus(), first_graph_model(run)
    recommender = make_recommender(model, run, SEED, night.folder / "model")
    began, cpu = time.perf_counter(), time.process_time()
    recommender.fit(corpus, FeatureSet())
    spent = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
    means = examine(recommender, testing(corpus), run.evaluation).means()
    epochs = len(getattr(recommender, "history", ()))
    told = {"name": model.name, **spent, "epochs": epochs, "peak_mb": peak_mb(), **means}
    sys.stdout.write(json.dumps(told) + "\n")


def first_graph_model(run: Run) -> Model:
    return next(each for each in run.models if each.backbone is not None)


def shortened(run: Run) -> Run:
    """The same run on the users and items that have most, for two epochs."""
    few = {"max_epochs": EPOCHS, "evaluate_every": EPOCHS}
    models = tuple(each.model_copy(update={"training": {**each.training, **few}}) for each in run.models)
    return run.model_copy(update={"data": run.data.model_copy(update={"k_core": CORE}), "models": models})


if __name__ == "__main__":
    main()
