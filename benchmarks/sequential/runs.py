"""sasrec, tiger, ids, profiles: whole nights of the run files in infra/runs/sequential, and what their reports say."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.child import run_json
from benchmarks.environment import ROOT
from benchmarks.figures import Figure, at_least, at_most, exactly, stated
from features.store import DeltaStore

RUNS = ROOT / "infra" / "runs" / "sequential"
DATA = Path(os.environ.get("LOREGRAPH_DATA") or ROOT / ".." / "shared" / "data").resolve()
NIGHT = "2026-01-01"  # the events have no times
SHOWN = ("recall@5", "recall@10", "ndcg@5", "ndcg@10")
SASREC, TIGER, TIGER_NDCG, SHORT = 0.070, 0.050, 0.027, 0.025
RANDOM_AT_MOST = 0.85  # of the recall that learned ids give
Night = Mapping[str, Any]


def sasrec() -> list[Figure]:
    """SASRec, HSTU and their controls on Beauty."""
    if missing := _missing("sasrec", "beauty"):
        return missing
    night = perform("beauty")
    return [
        at_least("sasrec", "Recall@10 of SASRec with cross-entropy, test", test(night, "sasrec", "recall@10"), SASREC),
        *rows("sasrec", night),
    ]


def tiger() -> list[Figure]:
    """The documented run of TIGER on Beauty."""
    if missing := _missing("tiger", "beauty"):
        return missing
    night = perform("tiger")
    return [
        at_least("tiger", "Recall@10 of TIGER, test", test(night, "tiger", "recall@10"), TIGER),
        at_least("tiger", "NDCG@10", test(night, "tiger", "ndcg@10"), TIGER_NDCG),
        *rows("tiger", night),
    ]


def tiger_short() -> list[Figure]:
    """The short configuration with learned, collaborative and random ids."""
    if missing := _missing("ids", "beauty"):
        return missing
    return id_figures(perform("tiger-short"))


def id_figures(night: Night, least: float = SHORT) -> list[Figure]:
    """What ids are worth in the night of a run file like tiger-short.toml."""
    learned, random = (test(night, f"tiger.{name}", "recall@10") for name in ("rq", "random"))
    return [
        at_least("ids", "Recall@10 of the short TIGER with residual k-means ids, test", learned, least),
        at_most("ids", "Recall@10 with random ids, share of that", random / max(learned, 1e-9), RANDOM_AT_MOST),
        exactly("ids", "items that share their codes after ties are settled", tied(night), 0),
        *(stated("ids", what, told) for what, told in differences(night)),
        *rows("ids", night),
    ]


def profiles() -> list[Figure]:
    """Semantic ids from titles, and from titles with recorded answers, on goodreads."""
    if missing := _missing("profiles", "goodreads"):
        return missing
    night = perform("goodreads")
    return [*(stated("profiles", what, told) for what, told in differences(night)), *rows("profiles", night)]


def short_check(folder: Path) -> list[Figure]:
    """Whether all of it runs: the sample's books, one small epoch for each kind of ids, no mark for what it learns."""
    night = perform("check", folder / "lake", OMP_NUM_THREADS="1")
    what = "sample: items that share their codes after ties are settled"
    return [exactly("ids", what, tied(night), 0), *rows("ids", night)]


def perform(name: str, lake: Path | None = None, **environment: str) -> Night:
    """Run a night, or go on with it; the summary that `--json` prints."""
    command = [str(Path(sys.executable).parent / "loregraph"), "night", "--run", str(RUNS / f"{name}.toml")]
    command += ["--ds", NIGHT, "--json"] + (["--lake", str(lake)] if lake else [])
    return run_json(command, **environment)


def steps(night: Night, name: str) -> dict[str, Any]:
    """What a step of the night has reported."""
    found: dict[str, Any] = json.loads((Path(night["folder"]) / "steps" / f"{name}.json").read_text(encoding="utf-8"))
    return found


def test(night: Night, model: str, metric: str) -> float:
    """The mean over seeds of a metric on test."""
    return float(mean(each["test"][metric] for each in night["models"] if each["name"] == model))


def tied(night: Night) -> int:
    """Rows of the table `semantic_ids` whose codes another item of the same entry has too."""
    lake = Path(night["folder"]).parents[2]
    table = DeltaStore(str(lake)).read("semantic_ids", ds=NIGHT, columns=["name", "codes"])
    return table.height - table.unique().height


def rows(requirement: str, night: Night) -> list[Figure]:
    """Every model of the night: its test metrics, mean over seeds, and the seconds of its fits."""
    fitted = steps(night, "evaluate")["results"]
    found = []
    for name in dict.fromkeys(each["name"] for each in night["models"]):
        values = ", ".join(f"{metric} {test(night, name, metric):.4f}" for metric in SHOWN)
        mine = [each for each in fitted if each["name"] == name]
        spent = mean(each["seconds"] for each in mine)
        found.append(stated(requirement, name, f"{values}; {len(mine)} seeds, {spent:,.0f} s each"))
    return found


def differences(night: Night) -> list[tuple[str, str]]:
    """Recall@10 and NDCG@10 of every model against the baseline and its control, with intervals."""
    told = []
    for row in steps(night, "evaluate")["intervals"]:
        if row["metric"] in ("recall@10", "ndcg@10"):
            span = f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
            told.append((f"{row['name']} over {row['baseline']}, {row['metric']}", span))
    return told


def _missing(requirement: str, data: str) -> list[Figure]:
    if (DATA / data / "interactions.parquet").exists():
        return []
    return [stated(requirement, data, f"skipped: no {DATA / data}; set LOREGRAPH_DATA to the folder that holds it")]
