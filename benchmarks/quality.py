"""The table of a finished night for BENCHMARKS.md: `python -m benchmarks.quality --run FILE [--ds DATE]` prints it.

Every figure is read from report.json, which `loregraph night --run FILE` wrote.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pipelines.night import today, work_folder
from pipelines.steps.reporting import read_report
from schemas.run import load_run

HEAD = "| model | seeds | Recall@20 | NDCG@20 | Recall@20 against {baseline}, 95 % interval | cold | tail | coverage |"


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--run", type=Path, required=True, help="run file")
    parser.add_argument("--ds", default=today(), help="the night")
    chosen = parser.parse_args()
    report = read_report(work_folder(load_run(chosen.run)) / "nights" / chosen.ds / "report.json")
    print("\n".join(lines(report)))  # noqa: T201


def lines(report: dict[str, Any]) -> list[str]:
    """The comparison as a Markdown table, controls under their model, and the controls' own intervals below it."""
    baseline = report["baseline"]
    table = [HEAD.format(baseline=baseline), "|---|---|---|---|---|---|---|---|"]
    table += [_row(summary, report) for summary in report["summary"]]
    controls = [row for row in report["intervals"] if row["baseline"] != baseline and row["metric"] == "recall@20"]
    table += ["", "Against its own control, Recall@20:", ""]
    table += [f"- `{row['name']}` − `{row['baseline']}`: {_interval(row)}" for row in controls]
    trained = sum(model["seconds"] for model in report["models"])
    others = sum(value for step, value in report["seconds"].items() if step != "train")
    users = report["protocol"]["users"]
    table += ["", f"{users} users judged. Training took {trained:.0f} s in all, the other steps {others:.0f} s."]
    return table


def _row(summary: dict[str, Any], report: dict[str, Any]) -> str:
    test, slices, name = summary["test"], summary["slices"], summary["name"]
    against = [row for row in report["intervals"] if (row["name"], row["baseline"]) == (name, report["baseline"])]
    lift = next((_interval(row) for row in against if row["metric"] == "recall@20"), "baseline")
    label = f"&nbsp;&nbsp;`{name}` (control)" if summary["control_of"] else f"`{name}`"
    cold, tail = (_mean(slices.get(part, {}), "recall@20") for part in ("cold", "tail"))
    cells = (label, summary["seeds"], _spread(test["recall@20"]), _spread(test["ndcg@20"]), lift, cold, tail)
    return f"| {' | '.join(map(str, cells))} | {test['coverage@20']['mean']:.2f} |"


def _interval(row: dict[str, Any]) -> str:
    relative = "" if row["lift"] is None else f"{100 * row['lift']:+.1f} %, "
    return f"{relative}{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"


def _spread(value: dict[str, float]) -> str:
    return f"{value['mean']:.4f} ± {value['std']:.4f}"


def _mean(values: dict[str, Any], metric: str) -> str:
    return f"{values[metric]['mean']:.4f}" if metric in values else "—"


if __name__ == "__main__":
    main()
