"""Tonight goes live: `promote` releases the night's tables and model, unless the live model is surely better."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from evaluation.intervals import Interval
from features.releases import Release, ReleasedModel, Releases, pinned
from pipelines.champion import Judged, judge
from pipelines.fitted import Fitted
from pipelines.night import Counts, Night, refuse_missing, step
from pipelines.steps.models import best_fitted
from pipelines.steps.vectors import text_sources
from schemas.errors import GateError, StoreError
from schemas.run import Run
from schemas.sections import Promotion


@step
def promote(night: Night) -> Counts:
    """Release the night in one commit: a version of every table, and the model that `recommend` has published.

    `outcome`: promoted; unchanged, where the live release holds the same; refused, where the model lost against the
    live one (the release before stays live); kept, where a later night is live, or this very content was rolled back.
    Raises GateError where a gate of the night has failed, StoreError where a step is missing or another release is made
    at the same time.
    """
    _refuse_unfinished(night)
    model = _challenger(night)
    tables, releases = pinned(night.store, night.ds), Releases(night.store)
    past = releases.all()
    live, chosen = past[-1] if past else None, _released(model)
    if live is not None and releases.holds(live, night.ds, tables, chosen):
        return _told("unchanged", live, "the live release holds this night already")
    if (kept := _kept(night, releases, past, tables, chosen)) is not None:
        return _told("kept", live, kept)
    judged = _judged(night, model, live)
    verdict, settings = asdict(judged) if judged else {}, night.run.promotion
    if judged is not None and judged.interval is not None and not passes(judged.interval, settings):
        assert live is not None, "somebody was judged against"
        reason = f"{said(night.run, judged)}; release {live.number} stays live"
        return _told("refused", live, reason, **verdict)
    reason = _reason(night.run, judged, live)
    made = releases.add(night.ds, tables, chosen, reason, after=live.number if live else 0)
    return _told("promoted", made, reason, **verdict)


def check_promoted(counts: Counts) -> None:
    """Raise GateError (exit code 3) where the night's model lost against the live one."""
    if counts.get("outcome") == "refused":
        raise GateError(f"promote: {counts['reason']}; the report compares them, [promotion] has the rule")


def passes(interval: Interval, settings: Promotion) -> bool:
    """Whether challenger minus champion allows a promotion. The rule is about what the interval makes sure.

    non_inferior is the test of that name (Schuirmann, 1987): the whole interval lies above minus the margin.
    """
    margin = settings.margin
    allowed = {
        "not_worse": interval.high >= -margin,
        "non_inferior": interval.low >= -margin,
        "better": interval.low > margin,
        "always": True,
    }
    return allowed[settings.rule]


def said(run: Run, judged: Judged) -> str:
    """A comparison as one line."""
    if judged.interval is None:
        return f"against {judged.against}: not compared ({judged.why})"
    found, rule = judged.interval, run.promotion
    sure = f"{100 * rule.confidence:g} % interval {found.low:+.4f} to {found.high:+.4f}"
    why = f" (because {judged.why})" if judged.why else ""
    return (
        f"{run.evaluation.selection} on validation {found.difference:+.4f}, {sure}, {found.users} users, rule "
        f"{rule.rule}, margin {rule.margin:g}, against {judged.against}{why}"
    )


def _reason(run: Run, judged: Judged | None, live: Release | None) -> str:
    if judged is not None:
        return said(run, judged)
    if live is None:
        return "the first release"
    return "rule always" if run.promotion.rule == "always" else "no other model to compare"


def _judged(night: Night, model: Fitted | None, live: Release | None) -> Judged | None:
    """None where there is nothing to compare: no live model, no model tonight, the same one, or rule always."""
    if live is None or live.live_model is None or model is None or night.run.promotion.rule == "always":
        return None
    if live.live_model == _released(model):
        return None
    return judge(night, night.corpus(), model, live)


def _kept(
    night: Night, releases: Releases, past: list[Release], tables: dict[str, int], model: ReleasedModel | None
) -> str | None:
    """Why a night is not to go live by itself, whatever its model is worth; None where it may."""
    if not past:
        return None
    if past[-1].ds > night.ds:
        return f"{past[-1].ds} is live (release {past[-1].number}), and this night is earlier"
    same = [each for each in past[:-1] if releases.holds(each, night.ds, tables, model)]
    if same:
        number = same[-1].number
        return (
            f"release {number} holds this night and was rolled back; `loregraph promote --to {number}` brings it back"
        )
    return None


def _challenger(night: Night) -> Fitted | None:
    """The model that `recommend` has published tonight; None of a run without models."""
    if not night.run.models:
        return None
    found = best_fitted(night, night.corpus(), night.run.recommend.model)
    told = (night.records("recommend") or [{}])[0]
    if (told.get("model"), told.get("seed")) != (found.name, found.seed):
        raise StoreError(
            f"promote: validation chose {found.name}, seed {found.seed}, and the lists of {night.ds} are by "
            f"{told.get('model')}, seed {told.get('seed')}; run `loregraph recommend` first"
        )
    return found


def _refuse_unfinished(night: Night) -> None:
    """Raise GateError after a failed gate, StoreError where a step of the run has published nothing tonight."""
    run = night.run
    for gate in night.records("gate-*"):
        if not gate.get("success", True):
            raise GateError(
                f"promote: the gate of {gate.get('table')} failed on {night.ds}; its step has to pass before"
            )
    needed = {"splits": "split"}
    needed |= {"prompts": "generate"} if run.recipes else {}
    needed |= {"embeddings": "materialize"} if text_sources(run) else {}
    needed |= {"semantic_ids": "tokenize"} if run.semantic_ids else {}
    needed |= {"instructions": "instruct"} if run.instructions else {}
    needed |= {"recommendations": "recommend"} if run.models else {}
    refuse_missing(night, needed, "promote")


def _released(model: Fitted | None) -> ReleasedModel | None:
    if model is None:
        return None
    return ReleasedModel(model.name, model.seed, model.config_hash, Path(model.folder).as_posix())


def _told(outcome: str, release: Release | None, reason: str, **more: Any) -> Counts:
    """What the step reports: the release that is live now, why, and whether (`promoted`) it is tonight's."""
    about = {"number": release.number, "live": release.ds, "model": release.model} if release else {}
    return {"outcome": outcome, "promoted": outcome in ("promoted", "unchanged"), **about, "reason": reason, **more}
