"""GF-CF on Gowalla, fitted and ranked: `python -m benchmarks.graph.clients.closed_form OPTIONS` prints JSON."""

from __future__ import annotations

import json
import sys
import time

from benchmarks.graph.peers.turns import peak_mb
from benchmarks.graph.world import gowalla
from evaluation.judge import examine
from evaluation.protocol import testing
from features.table import FeatureSet
from recommenders.gf_cf import GFCF
from schemas.sections import Evaluation


def main() -> None:
    """Fit on the whole published train part and judge every test user."""
    corpus, began, cpu = gowalla(), time.perf_counter(), time.process_time()
    exam, model = testing(corpus), GFCF(**json.loads(sys.argv[1]))
    model.fit(corpus, FeatureSet())
    fitted = time.perf_counter()
    means = examine(model, exam, Evaluation(ks=(20,))).means()
    ended = time.perf_counter()
    spent = {"fit_s": fitted - began, "rank_s": ended - fitted, "seconds": ended - began}
    spent["cpu_s"] = time.process_time() - cpu
    sys.stdout.write(json.dumps({**means, **spent, "peak_mb": peak_mb(), "users": len(exam.users)}) + "\n")


if __name__ == "__main__":
    main()
