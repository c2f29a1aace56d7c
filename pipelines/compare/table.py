"""compare.md: one row per cell, and under it how to read it. Seconds and MiB stand last: all else is repeatable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.intervals import smallest_p
from pipelines.compare.finals import ALL, METRICS, PRIMARY, SLICES

Row = Mapping[str, Any]
ROLES = {"baseline": "against `{}`", "twin": "against its own without text", "unanswered": "against its facts alone"}
CONTROLS = ("shuffled", "shuffled_items", "shuffled_users", "title", "random")


def markdown(found: Row) -> str:
    """The whole file."""
    parts = [part for part in SLICES if any(cell["test"][part] for cell in found["cells"])]
    roles = [role for role in (*ROLES, *CONTROLS) if any(role in cell["against"] for cell in found["cells"])]
    head = ["system", "text", "Recall@20", "NDCG@20", *(f"{part}" for part in parts)]
    head += [ROLES.get(role, f"against {role.replace('_', ' ')}").format(found["baseline"]) for role in roles]
    head += ["$ per 1,000 users", "$ per point", "s", "MiB"]
    lines = [_line(head), _line(["---"] * len(head))]
    lines += [_line(_cells(cell, parts, roles)) for cell in found["cells"]]
    label = (found.get("protocol") or {}).get("label")
    judged = [f"**{label[0].upper()}{label[1:]}.**", ""] if label else []
    return "\n".join([f"# {found['run']}, {found['ds']}", "", *judged, *lines, "", *_notes(found), ""])


def _cells(cell: Row, parts: Sequence[str], roles: Sequence[str]) -> list[str]:
    text = "" if cell["text"] is None else cell["text"]
    text += f", {cell['control'].replace('_', ' ')}" if cell["control_of"] else ""
    figures = [_figure(cell["test"][ALL], metric) for metric in METRICS]
    figures += [_figure(cell["test"][part], PRIMARY) for part in parts]
    against = [_interval(cell["against"].get(role)) for role in roles]
    return [
        f"`{cell['system']}`",
        text,
        *figures,
        *against,
        *_money(cell),
        f"{cell['seconds']:.1f}",
        f"{cell['mib']:.0f}",
    ]


def _figure(figures: Row | None, metric: str) -> str:
    if figures is None:
        return ""
    spread = figures[f"{metric} sd"]
    return f"{figures[metric]:.4f}" + (f" ± {spread:.4f}" if spread else "")


def _interval(row: Row | None) -> str:
    if row is None:
        return ""
    return f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}], p {_p(row['p_adjusted'])}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def _money(cell: Row) -> tuple[str, str]:
    if cell["text"] is None or cell["control_of"] is not None:
        return "", ""
    thousand = cell["usd_per_1000_users"]
    paid = "unknown" if thousand is None else f"{thousand:.4f}"
    if not cell["lift"]:
        return paid, "no lift"
    return paid, "unknown" if cell["usd_per_point"] is None else f"{cell['usd_per_point']:.4f}"


def _notes(found: Row) -> list[str]:
    search, resamples, family = found["search"], found["resamples"], _family(found)
    graph = f", {search['graph_trials']} of those that are trained by steps" if search["graph_trials"] else ""
    users = f"{search['search_users']:,} users" if search["search_users"] else "all users"
    tried = f"{search['trials']} settings of every cell{graph} (a smaller space is tried whole)"
    notes = [
        f"- Search: {tried}, chosen by {found['selection']} on validation, {users}, seed {found['seeds'][0]}.",
        f"- Test was looked at once per fit. Mean ± standard deviation over seeds {_listed(found['seeds'])}; closed "
        "forms are fitted once. Slices are Recall@20.",
        f"- Differences of Recall@20 with 95 % intervals from {resamples:,} paired resamples of users (per-user means "
        f"over seeds); p is two-sided and adjusted by Holm over {family} comparisons; p before adjustment cannot be "
        f"below {smallest_p(resamples):.1e}.",
        "- $ per point: dollars per 1,000 users for 0.01 of Recall@20 over the same without answers (its facts alone, "
        "else no text, else the baseline); no lift: the interval is not above zero.",
    ]
    notes += [f"- {_cost(cost)}" for cost in found["costs"]]
    return [*notes, *(f"- Warning: {warning}" for warning in found["warnings"])]


def _family(found: Row) -> int:
    return len({(row["name"], row["against"]) for row in found["comparisons"]})


def _cost(cost: Row) -> str:
    if cost["usd"] is None and not cost["calls"]:
        return f"`{cost['source']}`: cost unknown; the ledger has no answer to its prompts."
    if cost["usd"] is None:
        return f"`{cost['source']}`: price unknown; set compare.price_model or llm.usd_per_million_input and _output."
    how = {"paid": "as paid", "counted": "counted tokens", "estimated": "estimated tokens", "unknown": "nobody asked"}
    at = f" at the price of {cost['model']}, from {cost['sampled']:,} of them" if cost["model"] else ""
    return f"`{cost['source']}`: ${cost['usd']:.4f} for {cost['calls']:,} calls, {how[cost['basis']]}{at}."


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
