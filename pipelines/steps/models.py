"""Feature tables become models: `train` fits, `evaluate` measures, `recommend` publishes the best on validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from evaluation.candidates import candidate_exam
from evaluation.intervals import compare, mean_over_seeds
from evaluation.judge import Verdict, examine
from evaluation.metrics import Scores
from evaluation.protocol import Exam, testing, validation
from features.corpus import Corpus
from graph_models.curve import Epoch, Step
from graph_models.parallel import joined
from pipelines.asking import asking, publish_runs
from pipelines.fitted import Fitted, fit, lineage_of, read_fitted
from pipelines.gating import gated_lists, gated_neighbours
from pipelines.given_lists import PHASES, GivenLists, take_told
from pipelines.indexing import build_index
from pipelines.lineage import Written
from pipelines.night import Counts, Night, step
from pipelines.progress import Advance
from pipelines.serving import list_blocks, neighbour_blocks
from recommenders import load_recommender
from recommenders.base import InnerProduct, Recommender
from schemas.errors import ConfigError, unknown_name
from schemas.run import Run
from schemas.sections import Model
from schemas.tables import METRICS

USER_METRICS = ("recall@20", "ndcg@20")  # kept per user, for comparisons that a report does not show
SHOWN = ("name", "seed", "valid", "test")  # of a model in the summary that `--json` prints


@step
def train(night: Night, model: str | None = None, seed: int | None = None) -> Counts:
    """Fit every model for every seed, or one. What was fitted from the same data and settings is not fitted again.

    Under torchrun its processes fit the graph models together; the first one alone fits the others, judges and writes.
    """
    corpus = night.corpus()
    settings, chosen = night.run.evaluation, list(_chosen(night.run, model, seed))
    exam = validation(corpus, settings.protocol, settings.users)
    results, reused = list[Fitted](), 0
    with joined(night.run.device) as group, night.progress.track("train", len(chosen)) as advance:
        for each, number in chosen:
            advance(0, f"{each.name}, seed {number}")
            told = partial(_tell, advance, f"{each.name}, seed {number}", night.run)
            fitted, known = fit(night, each, number, corpus, exam, told, group)
            results, reused = [*results, fitted], reused + known
            advance(1, f"{each.name}, seed {number}: {fitted.valid[night.run.evaluation.selection]:.4f} on validation")
    return {"models": _shown(results), "fitted": len(results) - reused, "reused": reused}


@step
def evaluate(night: Night) -> Counts:
    """Measure every model of every seed on the test part, once, and its lift over the baseline with intervals."""
    run, corpus = night.run, night.corpus()
    if not run.models:
        return {"models": [], "results": [], "intervals": [], "selected": None}
    exam = testing(corpus, run.evaluation.protocol, run.evaluation.users)
    results, verdicts = list[dict[str, Any]](), dict[str, list[Scores]]()
    user_metrics, origins = list[pl.DataFrame](), list[Written]()
    pairs, lists, told = list(_chosen(run)), _given_lists(night, corpus, exam), list[dict[str, Any]]()
    with night.progress.track("evaluate", len(pairs)) as advance:
        for model, seed in pairs:
            fitted = read_fitted(night, model, seed, corpus)
            recommender = load_recommender(night.work / fitted.folder)
            with asking(night, model, recommender):
                verdict = examine(recommender, exam, run.evaluation)
                told.append({"name": model.name, "seed": seed, "valid": fitted.told, "test": take_told(recommender)})
                if lists is not None:
                    told[-1]["candidates"] = lists.judge(model.name, seed, recommender)
            origins.append(lineage_of(fitted))
            results.append({**asdict(fitted), "test": verdict.means(), "slices": verdict.slice_means()})
            verdicts.setdefault(model.name, []).append(verdict.scores)
            user_metrics.append(_user_metric_rows(model.name, seed, verdict, corpus))
            advance(1, model.name)
    night.publish("models", pl.DataFrame([_model_row(result) for result in results]), origins)
    given = [lists.rows()] if lists is not None else []
    night.publish("metrics", pl.concat([*(_metric_rows(result) for result in results), *given]), origins)
    night.publish("user_metrics", pl.concat(user_metrics), origins)
    publish_runs(night)
    return {
        "models": [{name: result[name] for name in SHOWN} for result in results],
        "users": len(exam.users),
        "users_without_train": len(exam.new_users),
        "repeats": exam.repeats,
        "selected": select(run, results),
        "results": results,
        "intervals": _lifts(verdicts, run),
        "drawn_from": exam.drawn_from,
        "candidates": {**lists.record(), "intervals": _lifts(lists.scores, run)} if lists is not None else None,
        "told": [each for each in told if any(each.get(phase) for phase in PHASES)],
    }


@step
def recommend(night: Night) -> Counts:
    """Publish the first k items that every user does not have yet, by the model that validation chose, block by block.

    Where the run file asks for them, also the neighbours of every item, and an index beside the model.
    """
    run, corpus = night.run, night.corpus()
    if not run.models:
        return {"model": None, "rows": 0}
    best = best_fitted(night, corpus, run.recommend.model)
    recommender, count = load_recommender(night.work / best.folder), corpus.num_users
    chosen = next(each for each in run.models if each.name == best.name)
    with asking(night, chosen, recommender), night.progress.track("recommend", count) as advance:
        blocks = list_blocks(recommender, corpus, best.name, run.recommend.k, advance)
        blocks = gated_lists(night, corpus, blocks, best.name, chosen.recommender)
        version, rows = night.publish_blocks("recommendations", blocks, [lineage_of(best)])
    publish_runs(night)
    counts: Counts = {"model": best.name, "seed": best.seed, "users": count, "rows": rows, "version": version}
    if run.recommend.neighbours:
        counts["neighbours"] = _neighbours(night, best, recommender, corpus)
    if run.recommend.index != "none" and isinstance(recommender, InnerProduct):
        counts["index"] = build_index(night, best, recommender, corpus)
        counts["index_recall"] = counts["index"]["recall"]
    return counts


def best_fitted(night: Night, corpus: Corpus, name: str | None = None) -> Fitted:
    """The seed that is best on validation of a model of the run, by default of the best model that is no control.

    Raises ConfigError for a model that the run does not have, StoreError for one that is not fitted.
    """
    run = night.run
    if name is None:
        name = select(run, [asdict(read_fitted(night, model, seed, corpus)) for model, seed in _chosen(run)])
    fitted = [read_fitted(night, model, seed, corpus) for model, seed in _chosen(run, name)]
    return max(fitted, key=lambda each: each.valid[run.evaluation.selection])


def select(run: Run, results: list[dict[str, Any]]) -> str:
    """The model with the best mean validation metric over its seeds; a control cannot be chosen."""
    means: dict[str, list[float]] = {}
    for result in results:
        if result["control_of"] is None:
            means.setdefault(result["name"], []).append(result["valid"][run.evaluation.selection])
    if not means:
        raise ConfigError(f"{run.file}: models: expected at least one that is no control, found none")
    return max(means, key=lambda name: float(np.mean(means[name])))


def _neighbours(night: Night, best: Fitted, recommender: Recommender, corpus: Corpus) -> Counts:
    with night.progress.track("neighbours", corpus.num_items) as advance:
        blocks = neighbour_blocks(recommender, corpus, best.name, night.run.recommend.neighbours, advance)
        blocks = gated_neighbours(night, corpus, blocks, best.name)
        version, rows = night.publish_blocks("neighbours", blocks, [lineage_of(best)])
    return {"items": corpus.num_items, "rows": rows, "version": version}


def _chosen(run: Run, model: str | None = None, seed: int | None = None) -> Iterator[tuple[Model, int]]:
    names = [each.name for each in run.models]
    if model is not None and model not in names:
        raise ConfigError(unknown_name(f"{run.file}: models", model, names))
    for each in run.models:
        if model in (None, each.name):
            yield from ((each, number) for number in run.seeds if seed in (None, number))


def _tell(advance: Advance, name: str, run: Run, epoch: Epoch | Step) -> None:
    """How far a training is, while it runs."""
    metric = run.evaluation.selection
    if isinstance(epoch, Step):
        left = f"at most {epoch.left / 60:.0f} min left" if epoch.left >= 60 else "at most a minute left"
        advance(0, f"{name}: epoch {epoch.epoch}, step {epoch.done} of {epoch.batches}, {left}")
        return
    valid = f", {metric} {epoch.valid[metric]:.4f} on validation" if epoch.valid else ""
    advance(0, f"{name}: epoch {epoch.epoch}{valid}, {epoch.seconds:.1f} s an epoch")


def _shown(fitted: list[Fitted]) -> list[dict[str, Any]]:
    return [{"name": each.name, "seed": each.seed, "valid": each.valid, "test": None} for each in fitted]


def _given_lists(night: Night, corpus: Corpus, exam: Exam) -> GivenLists | None:
    """The short lists that every model orders, by the retriever's best seed on validation; None without the section."""
    settings = night.run.evaluation.candidates
    if settings is None:
        return None
    counts = corpus.train.item_degree, corpus.num_users
    if settings.retriever is None:
        return GivenLists(candidate_exam(exam, corpus, settings), *counts)
    fitted = best_fitted(night, corpus, settings.retriever)
    retriever = load_recommender(night.work / fitted.folder)
    with asking(night, next(each for each in night.run.models if each.name == fitted.name), retriever):
        return GivenLists(candidate_exam(exam, corpus, settings, retriever), *counts)


def _lifts(scores: dict[str, list[Scores]], run: Run) -> list[dict[str, Any]]:
    """Every model against the baseline and every model against its control, per-user metrics averaged over seeds."""
    means = {name: mean_over_seeds(each) for name, each in scores.items()}
    pairs = [(name, run.baseline) for name in means if name != run.baseline]
    pairs += [(model.control_of, model.name) for model in run.models if model.control_of is not None]
    rows = []
    for name, baseline in pairs:
        for metric, interval in compare(means[name], means[baseline], run.evaluation.bootstrap).items():
            rows.append({"name": name, "baseline": baseline, "metric": metric, **asdict(interval)})
    return rows


def _model_row(result: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "seed", "control_of", "split_id", "best_epoch", "epochs", "seconds", "folder", "config_hash")
    return {**{name: result[name] for name in names}, **{name: result["valid"].get(name) for name in METRICS}}


def _metric_rows(result: dict[str, Any]) -> pl.DataFrame:
    rows: list[tuple[str, str, str, float, int | None]]
    rows = [("valid", "all", metric, value, None) for metric, value in result["valid"].items()]
    rows += [("test", "all", metric, value, None) for metric, value in result["test"].items()]
    for name, metrics in result["slices"].items():
        users = int(metrics["users"])
        rows += [("test", name, metric, value, users) for metric, value in metrics.items() if metric != "users"]
    schema = {"part": pl.String, "slice": pl.String, "metric": pl.String, "value": pl.Float64, "users": pl.Int64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.select(pl.lit(result["name"]).alias("model"), pl.lit(result["seed"]).alias("seed"), pl.all())


def _user_metric_rows(name: str, seed: int, verdict: Verdict, corpus: Corpus) -> pl.DataFrame:
    ids = corpus.ids("user").gather(verdict.scores.user)
    values = {metric: verdict.scores.values[metric] for metric in USER_METRICS if metric in verdict.scores.values}
    wide = pl.DataFrame({"user_id": ids, **values})
    long = wide.unpivot(index="user_id", variable_name="metric", value_name="value")
    return long.select(pl.lit(name).alias("model"), pl.lit(seed).alias("seed"), "user_id", "metric", "value")
