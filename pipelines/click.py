"""`loregraph click`: every click model with and without the texts, the same search for each, one look at test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from evaluation.click import Clicks, compare_clicks, measure, resample
from features.corpus import Corpus
from pipelines.model_inputs import feature_tables
from pipelines.night import Counts, Night, refuse_missing, step
from pipelines.progress import Advance
from recommenders.click import make_predictor
from recommenders.click.fields import Fields, make_fields
from recommenders.click.predictor import Predictor
from recommenders.click.samples import ClickData, Samples, make_click_data, sampled
from recommenders.click.search import draws
from schemas.errors import ConfigError, DataError
from schemas.run import Run
from schemas.sections import ClickModel, ClickTraining

NEEDED = {"users": "ingest", "items": "ingest", "splits": "split"}  # table -> the step that makes it


@dataclass(frozen=True)
class Desk:
    """What all click models of a night share."""

    night: Night
    corpus: Corpus
    data: ClickData
    fields: Fields


@step
def click(night: Night) -> Counts:
    """Train every click model for every seed on reserved events, choose on valid, and measure test once.

    Raises ConfigError on a run without click models, and StoreError naming the step that has not been run.
    """
    if not night.run.click_models:
        raise ConfigError(f"{night.run.file}: click_models: expected at least one, found none; add [[click_models]]")
    _refuse_missing(night)
    desk, run = _open(night), night.run
    results, tested = list[dict[str, Any]](), dict[str, list[Clicks]]()
    with night.progress.track("click", len(run.click_models) * (run.click.trials + len(run.seeds) - 1)) as advance:
        for model in run.click_models:
            for predictor in _train(desk, model, advance):
                clicks = _clicks(predictor, desk.data.test)
                valid = measure(_clicks(predictor, desk.data.valid))
                results.append(_result(model, predictor, valid, measure(clicks)))
                tested.setdefault(model.name, []).append(clicks)
    night.publish("click_metrics", pl.concat([_metric_rows(result) for result in results]))
    samples = {part: _size(getattr(desk.data, part)) for part in ("train", "valid", "test")}
    return {"samples": samples, "models": results, "differences": list(_differences(run, tested))}


def base_of(run: Run, model: ClickModel) -> ClickModel | None:
    """The model that another is measured against: the first of the same `model` without texts."""
    same = (each for each in run.click_models if each.model == model.model and each.features is None)
    base = next(same, None)
    return None if base is model else base


def table(counts: Counts) -> list[str]:
    """What was found as lines of a Markdown table: test AUC and log-loss, mean over seeds, and the differences."""
    lines = ["| click model | AUC | log-loss | AUC against | difference, 95 % interval | log-loss difference |"]
    lines.append("|---|---|---|---|---|---|")
    for name in dict.fromkeys(result["name"] for result in counts["models"]):
        mine = [result for result in counts["models"] if result["name"] == name]
        found = [row for row in counts["differences"] if row["name"] == name]
        label, cells = f"`{name}`", f"{_spread(mine, 'auc')} | {_spread(mine, 'log_loss')}"
        pairs: dict[str, dict[str, str]] = {row["baseline"]: {} for row in found}
        for row in found:
            pairs[row["baseline"]][row["metric"]] = _interval(row)
        lines += [f"| {label} | {cells} | | | |"] if not pairs else []
        for number, (baseline, cell) in enumerate(pairs.items()):
            own = f"| {label} | {cells} |" if not number else "| | | |"
            lines.append(f"{own} `{baseline}` | {cell['auc']} | {cell['log_loss']} |")
    return lines


def _refuse_missing(night: Night) -> None:
    needed = dict(NEEDED)
    if any(model.features is not None for model in night.run.click_models):
        needed["embeddings"] = "materialize"
    refuse_missing(night, needed, "click")


def _open(night: Night) -> Desk:
    corpus, settings = night.corpus(), night.run.click
    data = make_click_data(corpus, settings)
    for part, samples in (("reserved", data.train), ("valid", data.valid), ("test", data.test)):
        clicked = int(samples.label.sum())
        if not 0 < clicked < len(samples):
            raise DataError(
                f"click: {part}: expected clicks and non-clicks, found {clicked} clicks in {len(samples)} samples;"
                " change click.threshold, or the shares and history of [split]"
            )
    data = replace(data, train=sampled(data.train, settings.samples, seed=0))
    return Desk(night, corpus, data, make_fields(corpus, settings))


def _train(desk: Desk, model: ClickModel, advance: Advance) -> list[Predictor]:
    """The predictor of every seed, with the settings that did best on validation with the first seed."""

    def fit(seed: int, settings: ClickTraining) -> Predictor:
        predictor = _fit(desk, model, seed, settings)
        advance(1, f"{model.name}, seed {seed}: AUC {predictor.best.auc:.4f} on validation")
        return predictor

    run = desk.night.run
    trials = [fit(run.seeds[0], each) for each in draws(run.click, run.click_training_of(model), model)]
    best = max(trials, key=lambda trial: trial.best.auc)
    return [best, *(fit(seed, best.settings) for seed in run.seeds[1:])]


def _fit(desk: Desk, model: ClickModel, seed: int, settings: ClickTraining) -> Predictor:
    night = desk.night
    predictor = make_predictor(model, night.run, seed, settings, night.work / "click" / model.name)
    predictor.fit(desk.data, desk.fields, feature_tables(night, model, desk.corpus, seed))
    return predictor


def _clicks(predictor: Predictor, samples: Samples) -> Clicks:
    return Clicks(samples.user, samples.label, predictor.predict(samples))


def _result(model: ClickModel, predictor: Predictor, valid: dict[str, float], test: dict[str, float]) -> dict[str, Any]:
    return {
        "name": model.name,
        "model": model.model,
        "seed": predictor.seed,
        "control_of": model.control_of,
        "training": predictor.settings.model_dump(),
        "best_epoch": predictor.best.epoch,
        "curve": [asdict(epoch) for epoch in predictor.history],
        "valid": valid,
        "test": test,
    }


def _metric_rows(result: dict[str, Any]) -> pl.DataFrame:
    rows = [(part, metric, value) for part in ("valid", "test") for metric, value in result[part].items()]
    frame = pl.DataFrame(rows, schema={"part": pl.String, "metric": pl.String, "value": pl.Float64}, orient="row")
    return frame.select(pl.lit(result["name"]).alias("model"), pl.lit(result["seed"]).alias("seed"), pl.all())


def _differences(run: Run, tested: dict[str, list[Clicks]]) -> Iterator[dict[str, Any]]:
    """Every model against its base, and every model against its controls."""
    pairs = [(model.name, base.name) for model in run.click_models if (base := base_of(run, model)) is not None]
    pairs += [(model.control_of, model.name) for model in run.click_models if model.control_of is not None]
    drawn = {name: resample(clicks, run.evaluation.bootstrap) for name, clicks in tested.items()}
    for name, baseline in pairs:
        for found in compare_clicks(drawn[name], drawn[baseline]):
            yield {"name": name, "baseline": baseline, **asdict(found)}


def _size(samples: Samples) -> dict[str, float]:
    clicked = round(float(samples.label.mean()), 4) if len(samples) else 0.0
    return {"samples": len(samples), "users": len(np.unique(samples.user)), "clicked": clicked}


def _spread(results: Sequence[dict[str, Any]], metric: str) -> str:
    values = [result["test"][metric] for result in results]
    return f"{np.mean(values):.4f} ± {np.std(values):.4f}"


def _interval(row: dict[str, Any]) -> str:
    return f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
