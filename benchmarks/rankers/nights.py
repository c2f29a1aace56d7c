"""tuned: whole nights of the run files in infra/runs/rankers, and the table that their records give."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.child import run_json
from benchmarks.environment import ROOT
from benchmarks.figures import Figure, at_least, at_most, exactly, stated
from benchmarks.rankers.catalogues import folder_of
from benchmarks.rankers.reader import TOLD
from recommenders import RECOMMENDERS
from recommenders.reranking import Reranker
from recommenders.tuned.base import Tuned
from schemas.run import Run, load_run

RUNS = ROOT / "infra" / "runs" / "rankers"
NIGHT = "2026-01-01"  # the events have no times, or are over by then
FULL = ("recall@10", "ndcg@10")
ONE_CORE = {"OMP_NUM_THREADS": "1"}
ABOVE_CHANCE = 1.5  # times what a random order has
Night = Mapping[str, Any]
Row = Mapping[str, Any]


def goodreads() -> list[Figure]:
    """All systems on goodreads."""
    if not (data := folder_of("goodreads")).exists():
        what = f"skipped: no {data}; set LOREGRAPH_DATA to the folder that holds it"
        return [stated("tuned", "goodreads", what)]
    made = reader("goodreads", ROOT / "lake" / "rankers-reader" / "goodreads")
    run, night = load_run(RUNS / "goodreads.toml"), perform("goodreads")
    return [*made, *table(run, night), above_chance(run, steps(night, "evaluate")["candidates"])]


def short(folder: Path) -> list[Figure]:
    """Two tuned models on the sample's books, and the same night again."""
    made = reader("sample", folder / "reader", epochs=1)
    where = {"LOREGRAPH_READER": str(folder / "reader")}
    found = table(load_run(RUNS / "check.toml"), perform("check", folder / "lake", **where))
    again = steps(perform("check", folder / "lake", **where), "train")
    return [*made, *found, exactly("tuned", "models fitted by the same night again", again["fitted"], 0)]


def reader(name: str, folder: Path, epochs: int | None = None) -> list[Figure]:
    """Make the language model of a catalogue, unless it is there."""
    if not (folder / "config.json").exists():
        command = [sys.executable, "-m", "benchmarks.rankers", "reader", "--data", name, "--out", str(folder)]
        run_json(command + (["--epochs", str(epochs)] if epochs else []), **ONE_CORE)
    told = json.loads((folder / TOLD).read_text(encoding="utf-8"))
    losses = ", ".join(f"{loss:.2f}" for loss in told["losses"])
    size = f"{told['parameters']:,} parameters, {told['vocabulary']:,} tokens"
    return [stated("tuned", "language model", f"{size}, loss per token by epoch {losses}; {told['seconds']:,.0f} s")]


def perform(name: str, lake: Path | None = None, **environment: str) -> Night:
    """Run a night on one core, or go on with it; the summary that `--json` prints."""
    command = [str(Path(sys.executable).parent / "loregraph"), "night", "--run", str(RUNS / f"{name}.toml")]
    command += ["--ds", NIGHT, "--json"] + (["--lake", str(lake)] if lake else [])
    return run_json(command, **ONE_CORE, **environment)


def steps(night: Night, name: str) -> dict[str, Any]:
    """What a step of the night has reported."""
    found: dict[str, Any] = json.loads((Path(night["folder"]) / "steps" / f"{name}.json").read_text(encoding="utf-8"))
    return found


def table(run: Run, night: Night) -> list[Figure]:
    """Every model on the same users, in full and on given candidates, and what must hold whatever was learned."""
    told = steps(night, "evaluate")
    lists, full = told["candidates"], {row["name"]: row for row in told["results"]}
    about = (
        f"{told['users']} of {told['drawn_from']:,} users; given candidates: {lists['label']}, {lists['users']} users"
    )
    return [
        stated("tuned", "protocol", f"the whole catalogue, {about}"),
        *(stated("tuned", row["name"], described(full[row["name"]], row)) for row in lists["results"]),
        *(stated("tuned", what, span) for what, span in differences(told)),
        exactly(
            "tuned",
            "models with figures in both",
            len(full.keys() & {row["name"] for row in lists["results"]}),
            len(run.models),
        ),
        *kept_candidates(run, full),
    ]


def described(full: Row, given: Row) -> str:
    """One line of the table."""
    values = [f"{name} {full['test'][name]:.4f}" for name in FULL]
    values += [f"{name} {given['metrics'][name]:.3f}" for name in sorted(given["metrics"]) if is_shown(name)]
    return f"{', '.join(values)}; fitted in {full['seconds']:,.0f} s"


def is_shown(metric: str) -> bool:
    return metric.startswith(("hr@1(", "ndcg@10(", "mrr("))


def kept_candidates(run: Run, full: Mapping[str, Row]) -> list[Figure]:
    """A reranker finds among its candidates exactly what its retriever has there: no truth is put in or lost."""
    found = list[Figure]()
    for model in run.models:
        made = RECOMMENDERS[model.recommender]
        if issubclass(made, Reranker):
            k = int(model.options.get("candidates", made.candidates))  # type: ignore[arg-type]
            of = made.retriever_of(model, run).name
            apart = abs(full[model.name]["test"][f"recall@{k}"] - full[of]["test"][f"recall@{k}"])
            found.append(at_most("tuned", f"{model.name}: recall@{k} apart from that of {of}", apart, 1e-12))
    return found


def above_chance(run: Run, lists: Row) -> Figure:
    """The MRR of given candidates that the best tuned model has, over that of a random order."""
    tuned = {model.name for model in run.models if issubclass(RECOMMENDERS[model.recommender], Tuned)}
    name, length = f"mrr({lists['tag']})", lists["length"]
    best = max(row["metrics"][name] for row in lists["results"] if row["name"] in tuned)
    chance = sum(1 / place for place in range(1, length + 1)) / length
    return at_least("tuned", f"{name} of the best tuned model over that of a random order", best / chance, ABOVE_CHANCE)


def differences(told: Row, metrics: Sequence[str] = ("ndcg@10",)) -> list[tuple[str, str]]:
    """NDCG@10 against the baseline and of models against their controls, in both protocols, with intervals."""
    lists, found = told["candidates"], list[tuple[str, str]]()
    names = (*metrics, *(f"{metric}({lists['tag']})" for metric in metrics))
    for row in (*told["intervals"], *lists["intervals"]):
        if row["metric"] in names:
            span = f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
            found.append((f"{row['name']} over {row['baseline']}, {row['metric']}", span))
    return found
