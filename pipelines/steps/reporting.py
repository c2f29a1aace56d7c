"""What a night did, as report.json for programs and report.html for people; everything is read back from its tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from evaluation.protocol import PROTOCOLS, label_of
from features.corpus import attributes
from features.recipes import RECIPES
from pipelines.night import Counts, Night, step, write_json
from pipelines.report.answers import answers
from pipelines.watching.history import read_history, row_of
from pipelines.watching.steps import WATCHED

SLICES = {  # what the report shows of all slices
    "cold items": "cold",
    "tail items": "tail",
    "warm items": "warm",
    "new items among themselves": "new items",
    "new users": "new users",
}
GATES = (
    "gate-users",
    "gate-items",
    "gate-interactions",
    "gate-splits",
    "gate-profiles",
    "gate-answer_quality",
    "gate-llm_edges",
    "gate-embeddings",
    "gate-vector_drift",
    "gate-semantic_ids",
    "gate-recommendations",
    "gate-neighbours",
)
SAMPLES = 6  # profiles and readers shown
SHOWN_TITLES = 8  # of a reader's items, the latest first


@step
def report(night: Night) -> Counts:
    """Write report.json and report.html of the night."""
    from pipelines.report.html import render

    content = build(night)
    write_json(night.folder / "report.json", content)
    page = night.folder / "report.html"
    page.write_text(render(for_people(content)), encoding="utf-8")
    return {"html": str(page), "json": str(night.folder / "report.json")}


def build(night: Night) -> dict[str, Any]:
    """The whole report as plain values; parts whose step has not run are empty."""
    run = night.run
    generated, evaluated = _latest(night, "generate"), _latest(night, "evaluate")
    results = evaluated.get("results", [])
    return {
        "name": run.name,
        "ds": night.ds,
        "simulated": run.data.simulated,
        "run_file": _short_path(run.file),
        "version": version("loregraph"),
        "data": _latest(night, "ingest"),
        "split": {"rule": run.split.rule, **_latest(night, "split")},
        "generation": {
            "engine": generated.get("engine", run.llm.engine),
            "model": generated.get("model", run.llm.model),
            "recipes": generated.get("recipes", []),
            "spent_usd": generated.get("spent_usd", 0.0),
            "possible_usd": generated.get("possible_usd", 0.0),
            "possible_calls": generated.get("possible_calls", 0),
            "runs": _llm_runs(night),
            "edges": _edges(night),
            "generated": _grounding(night),
            "partitions": _partitions(night),
        },
        "answers": answers(night),
        "rejects": _rejects(night),
        "gates": [gate for name in GATES for gate in night.records(name)],
        "embeddings": _latest(night, "materialize").get("sources", []),
        "semantic_ids": _latest(night, "tokenize").get("semantic_ids", []),
        "baseline": run.baseline,
        "selection": run.evaluation.selection,
        "selected": evaluated.get("selected"),
        "protocol": {
            "users": evaluated.get("users"),
            "users_without_train": evaluated.get("users_without_train"),
            "name": run.evaluation.protocol,
            "label": label_of(run.evaluation),
            "drawn_from": evaluated.get("drawn_from") or None,
            "masks": PROTOCOLS[run.evaluation.protocol].says,
        },
        "models": [_renamed(result) for result in results],
        "summary": summaries(results),
        "intervals": [{**row, "relative": row["lift"]} for row in evaluated.get("intervals", [])],
        "candidates": _candidates(evaluated.get("candidates"), results),
        "told": evaluated.get("told", []),
        "profiles": _sample_profiles(night),
        "recommendations": _sample_recommendations(night),
        "serving": _latest(night, "recommend"),
        "release": _latest(night, "promote"),
        "seconds": {name: counts["seconds"] for name in _steps() if (counts := _latest(night, name))},
        "asked": generated.get("asked", 0),
        "cached": generated.get("cached", 0),
        "rejected": generated.get("rejected", 0),
        "input_tokens": generated.get("input_tokens", 0),
        "output_tokens": generated.get("output_tokens", 0),
        "encoded": _latest(night, "encode").get("encoded", 0),
        "cost_usd": generated.get("cost_usd", 0.0),
        "tables": [{"name": name, "version": night.store.version(name)} for name in night.store.names()],
        "nights": [row_of(each) for each in read_history(run, night.work, night.ds, run.watch.nights)],
    }


def for_people(report: dict[str, Any]) -> dict[str, Any]:
    """The report without what only programs read: precision, and intervals of metrics that models are not chosen by."""
    k = report["selection"].split("@")[1]
    shown = (f"recall@{k}", f"ndcg@{k}")
    summary = [
        {**row, "test": {name: value for name, value in row["test"].items() if not name.startswith("precision")}}
        for row in report["summary"]
    ]
    intervals = [row for row in report["intervals"] if row["metric"] in shown]
    return {**report, "summary": summary, "intervals": intervals}


def summaries(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per model: mean and standard deviation over its seeds of every metric, overall and by slice."""
    names = list(dict.fromkeys(result["name"] for result in results))
    return [_summary(name, [result for result in results if result["name"] == name]) for name in names]


def _summary(name: str, seeds: list[dict[str, Any]]) -> dict[str, Any]:
    slices = {}
    for full, short in SLICES.items():
        each = [result["slices"][full] for result in seeds if full in result["slices"]]
        if each:
            slices[short] = {**_spread([_without(row, "users") for row in each]), "users": int(each[0]["users"])}
    return {
        "name": name,
        "control_of": seeds[0]["control_of"],
        "seeds": len(seeds),
        "valid": _spread([result["valid"] for result in seeds]),
        "test": _spread([result["test"] for result in seeds]),
        "slices": slices,
    }


def _spread(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        metric: {
            "mean": float(np.mean([row[metric] for row in rows])),
            "std": float(np.std([row[metric] for row in rows], ddof=1)) if len(rows) > 1 else 0.0,
        }
        for metric in rows[0]
    }


def _without(row: dict[str, float], name: str) -> dict[str, float]:
    return {key: value for key, value in row.items() if key != name}


def _renamed(result: dict[str, Any]) -> dict[str, Any]:
    found = result["slices"]
    return {**result, "slices": {short: found[full] for full, short in SLICES.items() if full in found}}


def _candidates(found: dict[str, Any] | None, results: list[dict[str, Any]]) -> dict[str, Any]:
    """The ranking of given candidates with means and deviations over seeds; empty where none was asked for."""
    if not found:
        return {}
    control_of = {result["name"]: result["control_of"] for result in results}
    summary = []
    for name, control in control_of.items():
        seeds = [row for row in found["results"] if row["name"] == name]
        spreads = {part: _spread([row[part] for row in seeds]) for part in ("metrics", "popularity")}
        summary.append({"name": name, "control_of": control, "seeds": len(seeds), **spreads})
    return {**found, "summary": summary}


def _llm_runs(night: Night) -> list[dict[str, Any]]:
    """The runs of the language model on this date, oldest first."""
    if not night.store.exists("llm_runs", night.ds):
        return []
    return night.read("llm_runs").sort("started").to_dicts()


def _edges(night: Night) -> list[dict[str, Any]]:
    """Per recipe: liked and disliked edges, and users who have one."""
    if not night.store.exists("llm_edges", night.ds):
        return []
    label = pl.col("label")
    counts = {"liked": (label > 0).sum(), "disliked": (label < 0).sum(), "users": pl.col("user_id").n_unique()}
    return night.read("llm_edges").group_by("recipe").agg(**counts).sort("recipe").to_dicts()


def _grounding(night: Night) -> list[dict[str, Any]]:
    """Per recipe: how many of the items made up have which status in the catalogue."""
    if not night.store.exists("generated_items", night.ds):
        return []
    rows = night.read("generated_items").group_by("recipe", "status").agg(pl.len().alias("count"))
    shares = rows.with_columns(share=pl.col("count") / pl.col("count").sum().over("recipe"))
    return shares.sort("recipe", "status").to_dicts()


def _partitions(night: Night) -> list[dict[str, Any]]:
    """Per recipe: closed partitions, users who have one, and how many a user has at most."""
    if not night.store.exists("partitions", night.ds):
        return []
    counts = {"partitions": pl.len(), "users": pl.col("user_id").n_unique(), "longest": pl.col("part").max()}
    return night.read("partitions").group_by("recipe").agg(**counts).sort("recipe").to_dicts()


def _rejects(night: Night) -> list[dict[str, Any]]:
    if not night.store.exists("rejects", night.ds):
        return []
    example = (pl.col("kind") + pl.lit(" ") + pl.col("id") + pl.lit(": ") + pl.col("detail")).first()
    grouped = night.read("rejects").group_by("step", "reason").agg(pl.len().alias("count"), example.alias("example"))
    return grouped.sort("count", "step", "reason", descending=[True, False, False]).to_dicts()


def _sample_profiles(night: Night) -> list[dict[str, Any]]:
    """A few profiles of each recipe (its first field) beside the facts behind them; the same ones for the same ids."""
    if not night.store.exists("profiles", night.ds):
        return []
    profiles, prompts = night.read("profiles"), night.read("prompts")
    titles, facts = _titles(night), {kind: _facts(night, kind) for kind in ("user", "item")}
    keys = ["kind", "id", "recipe"]
    profiles = profiles.join(prompts.select(*keys, "source_ids"), on=keys, how="left").sort("recipe", "field", "id")
    shown = []
    for (recipe, field), rows in profiles.group_by("recipe", "field", maintain_order=True):
        if field != RECIPES[str(recipe)].main_field():
            continue
        step_size = max(1, rows.height // SAMPLES)
        for row in rows.gather_every(step_size).head(SAMPLES).to_dicts():
            history = [titles.get(id, id) for id in row["source_ids"] or []] if row["kind"] == "user" else []
            source = facts[row["kind"]].get(row["id"], {})
            shown.append({**row, "recipe": recipe, "source": source, "history": history})
    return shown


def _sample_recommendations(night: Night) -> list[dict[str, Any]]:
    if not night.store.exists("recommendations", night.ds):
        return []
    users = night.read("users")["id"].sort()
    sample = users.gather_every(max(1, len(users) // SAMPLES)).head(SAMPLES).to_list()
    found, titles = night.read("recommendations", where=pl.col("user_id").is_in(sample)), _titles(night)
    splits = night.read("splits").filter(pl.col("part") == "train").sort("order")
    shown = []
    for user in [user for user in sample if user in found["user_id"]]:
        history = splits.filter(pl.col("user_id") == user)["item_id"].to_list()[: -SHOWN_TITLES - 1 : -1]
        best = found.filter(pl.col("user_id") == user).sort("rank").head(10)
        items = [{**row, "title": titles.get(row["item_id"])} for row in best.select("item_id", "score").to_dicts()]
        shown.append(
            {
                "user_id": user,
                "model": best["model"][0],
                "history": [titles.get(item, item) for item in history],
                "items": items,
            }
        )
    return shown


def _titles(night: Night) -> dict[str, str]:
    items = night.read("items")
    return (
        dict(zip(items["id"], items["title"].fill_null(items["id"]), strict=True)) if "title" in items.columns else {}
    )


def _facts(night: Night, kind: str) -> dict[str, dict[str, str]]:
    table = night.read(f"{kind}s")
    return dict(zip(table["id"].to_list(), attributes(table), strict=True))


def _latest(night: Night, name: str) -> Counts:
    """The record of a step; where it ran in parts, their sums are what the step itself recorded last."""
    found = night.records(name)
    return {key: value for key, value in found[0].items() if key == "seconds" or key not in WATCHED} if found else {}


def _steps() -> Iterable[str]:
    from pipelines.steps import STEPS

    return STEPS


def _short_path(file: Path) -> str:
    return "/".join(file.parts[-3:])


def read_report(file: Path) -> dict[str, Any]:
    """A report.json as `build` made it."""
    return json.loads(file.read_text(encoding="utf-8"))  # type: ignore[no-any-return]
