"""The whole night, its steps alone, past nights, and what is compared on their tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from graph_models.processes import processes
from pipelines.commands.base import CostOption, DsOption, JsonOption, LakeOption, PastOption, RunOption, app, tell
from pipelines.commands.completing import recipes


def _add_job(name: str, doc: str) -> None:
    def command(
        run: RunOption,
        ds: DsOption = None,
        lake: LakeOption = None,
        max_cost: CostOption = None,
        as_json: JsonOption = False,
    ) -> None:
        perform(None if name == "night" else name, run, ds, lake, max_cost, as_json)

    app.command(name, help=doc)(command)


for _name, _doc in {
    "night": "The whole job: ingest, split, plan, generate, encode, materialize, tokenize, instruct, train, "
    "evaluate, recommend, promote, feed, report.",
    "ingest": "Read and check the source files; publish users, items and interactions.",
    "split": "Cut the interactions into train, valid and test.",
    "plan": "How many prompts would be asked, and what they may cost; asks nothing.",
    "generate": "Ask the language model what is not in the ledger, read the answers, gate and publish the profiles.",
    "encode": "Encode the texts that have no vector yet.",
    "materialize": "Gate and publish tonight's embeddings.",
    "tokenize": "Give every item its semantic ids, for each entry of semantic_ids; known items keep theirs.",
    "instruct": "Make the instruction tables, for each entry of instructions, from train alone.",
    "train": "Train every model for every seed; early stopping on validation.",
    "evaluate": "Measure every model on the test part, once; intervals against the baseline.",
    "recommend": "Publish the recommendations of the model that is best on validation.",
    "feed": "Bring the live release to the online store, where the run file names one; readers switch at once.",
    "report": "Write report.json and report.html.",
}.items():
    _add_job(_name, _doc)


def perform(
    step: str | None, file: Path, ds: str | None, lake: str | None, max_cost: float | None, as_json: bool
) -> None:
    from pipelines.job import run_night

    summary = run_night(file, step=step, ds=ds, lake=lake, max_cost_usd=max_cost)
    if as_json and processes().leads:
        typer.echo(json.dumps(summary, allow_nan=False))
    if summary["release"]:
        from pipelines.steps.promotion import check_promoted

        check_promoted(summary["release"])  # after the whole night: its report is written, its model is not live


@app.command()
def reparse(
    recipe: Annotated[str, typer.Argument(help="Recipe of the run file, such as rlmrec.item", autocompletion=recipes)],
    run: RunOption,
    ds: Annotated[str | None, typer.Option("--ds", help="Night to publish; the last one when left out.")] = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a recipe's stored answers again, after its parser has changed, and publish them: 0 calls."""
    from pipelines.job import reparse_night

    summary = reparse_night(run, recipe, ds=ds, lake=lake)
    if as_json:
        typer.echo(json.dumps(summary, allow_nan=False))


@app.command()
def click(
    run: RunOption,
    ds: PastOption = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the click models of a materialized night, with and without the texts, and compare them on test."""
    from pipelines.click import table as lines
    from pipelines.job import click_night

    summary = click_night(run, ds=ds, lake=lake)
    typer.echo("\n".join(lines(summary)))
    if as_json:
        typer.echo(json.dumps(summary, allow_nan=False))


@app.command()
def compare(
    run: RunOption,
    ds: Annotated[str | None, typer.Option("--ds", help="Night to compare in; the last one when left out.")] = None,
    lake: LakeOption = None,
    max_cost: CostOption = None,
    systems: Annotated[str | None, typer.Option("--systems", help="Only these, separated by commas.")] = None,
    texts: Annotated[str | None, typer.Option("--texts", help="Only these, separated by commas.")] = None,
    skip_steps: Annotated[bool, typer.Option("--skip-steps", help="Read the night's tables as they are.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Tune systems, texts and controls alike, measure them on test once: lifts with intervals, and what they cost."""
    from pipelines.compare.matrix import run_compare

    found = run_compare(run, ds, lake, max_cost, systems, texts, skip_steps)
    typer.echo(Path(found["table"]).read_text(encoding="utf-8"))
    for name in ("table", "json", "plot"):
        typer.echo(f"{name}: {found[name]}")
    if as_json:
        typer.echo(json.dumps(found, allow_nan=False))


@app.command()
def replay(
    run: RunOption,
    start: Annotated[str | None, typer.Option("--from", help="First night; half of the events when left out.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last night; that of the last event when left out.")] = None,
    nights: Annotated[int | None, typer.Option("--nights", min=1, help="So many nights, evenly spread.")] = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Days between nights, without --nights.")] = 1,
    step: Annotated[list[str] | None, typer.Option("--step", help="Only this step; may be given again.")] = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run past nights one after the other, each with the events up to it; started again it goes on where it was."""
    from pipelines.replay import night_dates, table
    from pipelines.replay import replay as run_nights
    from schemas.run import load_run

    dates = night_dates(load_run(run, lake=lake), start, end, nights, every)
    found = run_nights(run, dates, step or (), lake)
    typer.echo("\n".join(table(found["nights"], found["sums"])))
    if as_json:
        typer.echo(json.dumps(found, allow_nan=False))


@app.command()
def history(
    run: RunOption,
    lake: LakeOption = None,
    nights: Annotated[int | None, typer.Option("--nights", min=1, help="Only the last so many.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Night by night: cost, calls, rejects, coverage, rows, the best model and its lift, release, seconds, failures."""
    from pipelines.watching.history import history as read
    from pipelines.watching.history import table as lines

    found = read(run, lake, nights)
    tell(found, lines, as_json)
