"""llmrank: calls, cost and places of nights at `loregraph simulate`, with and without a planted position bias."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.environment import ROOT
from benchmarks.figures import Figure, at_least, at_most, exactly, stated
from language_models.simulator.process import Simulator, simulator
from pipelines.job import run_night
from schemas.run import load_run

RUN = ROOT / "infra" / "runs" / "rankers" / "llmrank.toml"
NIGHT = "2026-01-01"
PRICES = ("--price-input", "0.15", "--price-output", "0.6")  # as in the run file
BIAS, BOOTSTRAPS = 0.8, (1, 3)
NONE, SURE = 1e-3, 1e-9  # p-values: above the first no bias is seen, below the second there is one
LITTLE, LEFT = 0.15, 0.7  # order kept: of a fair model, and of a biased one after three orders, as a share of one
USERS_ASKED = ("valid", "test")
Told = Mapping[str, Any]


@dataclass(frozen=True)
class Rehearsal:
    """A night, and the same again."""

    users: int
    told: dict[str, Told]  # by phase
    paid: int  # calls, by the endpoint
    profiles: int  # of them: about books, before anybody was ranked
    cost: float  # US dollars, by the ledger's runs
    charged: float  # US dollars, by the endpoint
    again: int  # calls of the second night
    cached: int  # questions of the second night that were known


def figures(folder: Path) -> list[Figure]:
    """All nights; each has a lake of its own, so that none knows another's answers."""
    found, kept = list[Figure](), dict[tuple[float, int], Rehearsal]()
    for bias in (0.0, BIAS):
        for bootstrap in BOOTSTRAPS:
            kept[bias, bootstrap] = rehearse(folder / f"{bias}-{bootstrap}", bias, bootstrap)
            found += told_of(kept[bias, bootstrap], bias, bootstrap)
    return [*found, *compared(kept)]


def told_of(night: Rehearsal, bias: float, bootstrap: int) -> list[Figure]:
    """Calls, cost and the probe of one night."""
    name = f"bias {bias}, bootstrap {bootstrap}"
    asked = len(USERS_ASKED) * night.users * bootstrap
    found = [
        exactly(
            "llmrank", f"{name}: calls about {night.users} users, valid and test", night.paid - night.profiles, asked
        ),
        at_most(
            "llmrank", f"{name}: cost, ours and the endpoint's apart", abs(night.cost - night.charged), 1e-9, " US$"
        ),
        exactly("llmrank", f"{name}: calls of the same night again", night.again, 0),
        exactly("llmrank", f"{name}: answers known then", night.cached, asked // len(USERS_ASKED)),
    ]
    for phase in USERS_ASKED:
        told = night.told[phase]
        found.append(exactly("llmrank", f"{name}, {phase}: questions", told["asked"], night.users * bootstrap))
        what, p = f"{name}, {phase}: p-value of equal places", told["first_by_place_p"]
        found.append(at_most("llmrank", what, p, SURE) if bias else at_least("llmrank", what, p, NONE))
    told = night.told["test"]
    says = f"order kept {told['position_bias']:.3f}, answers follow prompt {told['answers_follow_prompt']:.3f}"
    price = (
        f"{told['cost_per_1000_users']:.3f} US$ per 1,000 users ({told['expected_cost_per_1000_users']:.3f} expected)"
    )
    return [*found, stated("llmrank", f"{name}, test", f"{says}, first place {told['first_by_place'][0]:.0%}, {price}")]


def compared(kept: Mapping[tuple[float, int], Rehearsal]) -> list[Figure]:
    """What three orders leave of the bias, and that a fair model has none to begin with."""
    bias = {key: float(night.told["test"]["position_bias"]) for key, night in kept.items()}
    fair = max(abs(value) for (planted, _), value in bias.items() if not planted)
    left = bias[BIAS, BOOTSTRAPS[-1]] / bias[BIAS, 1]
    return [
        at_most("llmrank", "order kept of a fair model, the largest", fair, LITTLE),
        at_least("llmrank", "order kept of the biased model, one order", bias[BIAS, 1], BIAS - 0.1),
        at_most("llmrank", "the same of three orders, share of that", left, LEFT),
    ]


def rehearse(folder: Path, bias: float, bootstrap: int) -> Rehearsal:
    """Run the night twice at an endpoint of its own."""
    folder.mkdir(parents=True)
    os.environ.setdefault("LOREGRAPH_SIMULATED_KEY", "any")
    with simulator(*PRICES, "--position-bias", str(bias)) as endpoint:
        run = written(folder, endpoint, bootstrap)
        generated = run_night(run, ds=NIGHT)
        first, stats = _evaluated(generated), endpoint.stats()
        told = first["told"][0]
        endpoint.reset()
        again = _evaluated(run_night(run, ds=NIGHT))
        return Rehearsal(
            users=load_run(run).evaluation.users,
            told={phase: told[phase] for phase in USERS_ASKED},
            paid=stats["paid"],
            profiles=generated["asked"],
            cost=generated["cost_usd"] + sum(told[phase]["cost_usd"] for phase in USERS_ASKED),
            charged=stats["cost_usd"],
            again=endpoint.stats()["paid"],
            cached=again["told"][0]["test"]["cached"],
        )


def written(folder: Path, endpoint: Simulator, bootstrap: int) -> Path:
    """The run file with another address, lake and number of orders."""
    text = RUN.read_text(encoding="utf-8")
    changed = {
        "http://127.0.0.1:8000/v1": endpoint.url,
        '"../../sample"': f'"{ROOT / "infra" / "sample"}"',
        '"../../../lake/rankers-llmrank"': '"lake"',
        "bootstrap = 1 ": f"bootstrap = {bootstrap} ",
    }
    for old, new in changed.items():
        assert text.count(old) == 1, f"{RUN}: {old}"
        text = text.replace(old, new)
    (folder / "run.toml").write_text(text, encoding="utf-8")
    return folder / "run.toml"


def _evaluated(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What the step `evaluate` has recorded."""
    file = Path(summary["folder"]) / "steps" / "evaluate.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
