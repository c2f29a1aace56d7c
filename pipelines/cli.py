"""The `loregraph` command: the whole night, its steps alone, and what there is to choose from.

Exit codes: 0 done, 2 usage or configuration, 3 a data gate failed, 4 budget reached, 1 anything else.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from graph_models.processes import processes
from schemas.errors import ConfigError, LoregraphError

app = typer.Typer(
    name="loregraph",
    help="What language models know about a catalogue, as feature tables, and recommenders trained on them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

RunOption = Annotated[Path, typer.Option("--run", help="Run file (TOML).", show_default=False)]
DsOption = Annotated[str | None, typer.Option("--ds", help="Date of the night, YYYY-MM-DD; today (UTC) when left out.")]
PastOption = Annotated[str | None, typer.Option("--ds", help="Night to read; the last one when left out.")]
ModelOption = Annotated[str | None, typer.Option("--model", help="The one that is published when left out.")]
CountOption = Annotated[int, typer.Option("--k", min=1, help="How many items.")]
LakeOption = Annotated[
    str | None, typer.Option("--lake", help="Folder or URL of the tables, instead of the run file's.")
]
CostOption = Annotated[
    float | None, typer.Option("--max-cost", min=0, help="Stop with exit code 4 before spending more dollars.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]


def main() -> None:
    """Run the command; an error of ours ends as one readable message and its exit code."""
    try:
        app(standalone_mode=True)
    except LoregraphError as error:
        typer.echo(f"loregraph: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("loregraph: stopped; run the same command again to go on", err=True)
        sys.exit(1)


@app.callback()
def _in_one_process(context: typer.Context) -> None:
    if context.invoked_subcommand != "train" and (size := processes().size) > 1:
        raise ConfigError(f"{context.invoked_subcommand}: only train runs in several processes, found {size} here")


def _add_job(name: str, doc: str) -> None:
    def command(
        run: RunOption,
        ds: DsOption = None,
        lake: LakeOption = None,
        max_cost: CostOption = None,
        as_json: JsonOption = False,
    ) -> None:
        _perform(None if name == "night" else name, run, ds, lake, max_cost, as_json)

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


def _perform(
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
def promote(
    run: RunOption,
    ds: DsOption = None,
    to: Annotated[int | None, typer.Option("--to", min=1, help="Roll back: the number of an earlier release.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Of the rollback, kept with it.")] = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Release the night's tables and model, unless the live model is better; --to brings an earlier release back."""
    if to is None:
        if reason is not None:
            raise ConfigError("promote --reason: belongs to a rollback; give --to, the number of a release")
        _perform("promote", run, ds, lake, None, as_json)
        return
    if ds is not None:
        raise ConfigError("promote --to: a release has its own night; leave --ds out")
    from pipelines.promoting import roll_back

    done = roll_back(run, to, reason, lake)
    typer.echo(f"release {done['number']} is live: {done['ds']}, {done['model'] or 'tables alone'}")
    if as_json:
        typer.echo(json.dumps(done, allow_nan=False))


@app.command()
def releases(run: RunOption, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """What is live and what was: number, night, time, model and reason of every release."""
    from pipelines.promoting import lines, listed

    found = listed(run, lake)
    typer.echo("\n".join(lines(found)))
    if as_json:
        typer.echo(json.dumps(found, allow_nan=False))


@app.command()
def reparse(
    recipe: Annotated[str, typer.Argument(help="Recipe of the run file, such as rlmrec.item")],
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
    typer.echo("\n".join(lines(found)))
    if as_json:
        typer.echo(json.dumps(found, allow_nan=False))


@app.command()
def instructions(
    run: RunOption,
    ds: PastOption = None,
    lake: LakeOption = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the files.")] = Path("instructions"),
    as_json: JsonOption = False,
) -> None:
    """Write a night's instruction tables as NAME.parquet and NAME.jsonl, in the chat format of tuning tools."""
    from pipelines.instructions import export, lines

    found = export(run, out, ds, lake)
    typer.echo("\n".join(lines(found)))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))


@app.command()
def features(
    kind: Annotated[str, typer.Argument(help="user or item")],
    id: Annotated[str, typer.Argument(help="The id")],
    run: RunOption,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """What services get of a user or item: texts, vectors, lists and codes, from the online store or else the lake."""
    from pipelines.online import features as read
    from pipelines.online import lines

    found = read(run, kind, id, lake)
    typer.echo("\n".join(lines(found)))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))


@app.command()
def export(
    run: RunOption,
    out: Annotated[Path, typer.Option("--out", help="Folder to make.", show_default=False)],
    form: Annotated[str, typer.Option("--format", help="parquet, huggingface or feast")] = "parquet",
    release: Annotated[int | None, typer.Option("--release", min=1, help="The live one when left out.")] = None,
    table: Annotated[list[str] | None, typer.Option("--table", help="Only this table; may be given again.")] = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a release as plain Parquet, a folder for Hugging Face datasets, or a Feast feature repository."""
    from pipelines.exporting import export as write
    from pipelines.exporting import lines

    found = write(run, out, form, release, table or (), lake)
    typer.echo("\n".join(lines(found)))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))


@app.command()
def compact(
    run: RunOption,
    table: Annotated[list[str] | None, typer.Option("--table", help="Only this table; may be given again.")] = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put the small files of the lake's tables together; no row changes. Run it when no night runs."""
    from pipelines.maintaining import compact_lake, compact_lines

    found = compact_lake(run, lake, table or ())
    typer.echo("\n".join(compact_lines(found)))
    if as_json:
        typer.echo(json.dumps(found, allow_nan=False))


@app.command()
def vacuum(
    run: RunOption,
    keep_releases: Annotated[
        int | None, typer.Option("--keep-releases", min=1, help="The last so many; all when left out.")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=0, help="What was live within so many days stays too.")] = 7,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete files that no kept version of a table names; older releases than the kept ones can no longer be read."""
    from pipelines.maintaining import vacuum_lake, vacuum_lines

    found = vacuum_lake(run, lake, keep_releases, days, dry_run)
    typer.echo("\n".join(vacuum_lines(found)))
    if as_json:
        typer.echo(json.dumps(found, allow_nan=False))


@app.command("list")
def list_parts(
    kind: Annotated[
        str,
        typer.Argument(
            help="recipes, backbones, objectives, adaptors, recommenders, tokenizers, instructions, click_models, "
            "encoders, engines"
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """What a run file can name."""
    from pipelines.listing import entries

    found = entries(kind)
    if as_json:
        typer.echo(json.dumps([entry.to_json() for entry in found]))
        return
    width = max(len(entry.name) for entry in found)
    for entry in found:
        typer.echo(f"{entry.name:<{width}}  {entry.doc}  [{entry.source}]")
        for name, text in entry.card.items():
            if text:
                typer.echo(f"{'':<{width}}    {name}: {text}")


@app.command()
def prompt(
    recipe: Annotated[str, typer.Argument(help="Recipe, such as kar.user")],
    run: Annotated[Path | None, typer.Option("--run", help="Run file, whose options and wording are shown.")] = None,
    id: Annotated[str | None, typer.Option("--id", help="User or item: show the whole prompt about it.")] = None,
    ds: PastOption = None,
    lake: LakeOption = None,
) -> None:
    """A recipe's instruction, to read or to start an own one from; with --id what is sent about a user or item."""
    from pipelines.prompting import as_text, instruction_of, prompt_about

    if id is None:
        typer.echo(instruction_of(recipe, run))
        return
    if run is None:
        raise ConfigError("prompt --id: needs --run, the run file whose tables are read")
    typer.echo(as_text(prompt_about(recipe, id, run, ds, lake)))


@app.command()
def ask(  # noqa: PLR0913 -- the options of a command
    run: RunOption,
    user: Annotated[str, typer.Option("--user", help="The user's id.", show_default=False)],
    intention: Annotated[str, typer.Option("--intention", help="What the user wants, a sentence.", show_default=False)],
    alpha: Annotated[float, typer.Option("--alpha", min=0, max=1, help="0: history alone, 1: sentence alone.")] = 0.5,
    model: Annotated[str | None, typer.Option("--model", help="The best that follows sentences when left out.")] = None,
    k: CountOption = 10,
    ds: PastOption = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """What a trained text model offers a user who says in a sentence what he wants."""
    from pipelines.ask import ask as rank_for
    from pipelines.lookup import item_lines as lines

    found = rank_for(run, user, intention, alpha, model, k, ds, lake)
    typer.echo("\n".join(lines(found["items"])))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))


@app.command()
def converse(  # noqa: PLR0913 -- the options of a command
    run: RunOption,
    text: Annotated[
        list[str] | None, typer.Argument(help="Turns, oldest first; the last is the seeker's.", show_default=False)
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="JSON lines of conversations, with targets.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="The only zero_shot_crs when left out.")] = None,
    k: CountOption = 10,
    ds: PastOption = None,
    lake: LakeOption = None,
    max_cost: CostOption = None,
    as_json: JsonOption = False,
) -> None:
    """What a language model recommends in a conversation, each title looked up in the catalogue."""
    from pipelines.conversing import converse as answer
    from pipelines.conversing import lines, read_conversations, spoken

    if (file is None) == (not text):
        raise ConfigError("converse: expected either turns or --file, found " + ("both" if text else "neither"))
    conversations = read_conversations(file) if file is not None else [spoken(text or [])]
    found = answer(run, conversations, model, k, ds, lake, max_cost)
    typer.echo("\n".join(lines(found)))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))


@app.command()
def top(
    user: Annotated[str, typer.Argument(help="The user's id")],
    run: RunOption,
    ds: PastOption = None,
    lake: LakeOption = None,
    k: CountOption = 10,
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """What a fitted model offers a user: titles, ids and scores."""
    from pipelines.lookup import lines
    from pipelines.lookup import top as rank_for

    found = rank_for(run, user, k, model, ds, lake)
    typer.echo("\n".join(lines(found)))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))


@app.command()
def neighbours(
    item: Annotated[str, typer.Argument(help="The item's id")],
    run: RunOption,
    ds: PastOption = None,
    lake: LakeOption = None,
    k: CountOption = 10,
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """The items that a fitted model holds nearest to an item: titles, ids and scores."""
    from pipelines.lookup import lines, neighbours_of

    found = neighbours_of(run, item, k, model, ds, lake)
    typer.echo("\n".join(lines(found)))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))


@app.command()
def why(
    what: Annotated[str, typer.Argument(help="user, item, vector or recommendation")],
    ids: Annotated[list[str], typer.Argument(help="The id; of a recommendation the user's and the item's")],
    run: RunOption,
    ds: Annotated[str | None, typer.Option("--ds", help="Night to explain; the last one when left out.")] = None,
    lake: LakeOption = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Of a vector: user or item; both when left out.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Of a vector, as in a run file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Why a text, vector or recommendation is what it is: prompt, sources, answer, model, cost, table versions."""
    from pipelines.why import explain
    from pipelines.why.text import as_text

    found = explain(what, ids, run, ds=ds, lake=lake, kind=kind, source=source)
    typer.echo(json.dumps(found, ensure_ascii=False, default=str) if as_json else as_text(found))


@app.command()
def salvage(run: RunOption, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Keep every answer of a damaged ledger file that can still be read; the damaged file stays beside the new one."""
    from pipelines.salvaging import lines, salvage_ledger

    found = salvage_ledger(run, lake)
    typer.echo("\n".join(lines(found)))
    if as_json:
        typer.echo(json.dumps(found, allow_nan=False))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    options_metavar="[OPTIONS]",
)
def simulate(context: typer.Context) -> None:
    """Serve an OpenAI-compatible endpoint that answers offline and fails by script; rehearse a night at no cost."""
    from language_models.simulator.command import simulate as serve

    serve(context.args)


@app.command()
def table(
    name: Annotated[str, typer.Argument(help="Table name, such as profiles")],
    lake: Annotated[str, typer.Option("--lake", help="Folder or URL of the tables.")],
    version: Annotated[int | None, typer.Option("--version", min=0, help="An older version.")] = None,
    head: Annotated[int, typer.Option("--head", min=0, help="How many rows to show.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show a table of the lake."""
    import polars as pl

    from features.store import DeltaStore

    frame = DeltaStore(lake).read(name, version=version)
    if as_json:
        typer.echo(json.dumps(_plain(frame.head(head).to_dicts()), ensure_ascii=False))
        return
    wide = -1  # a line per row however wide: a terminal or a pager can be scrolled, a letter per line cannot be read
    with pl.Config(tbl_rows=head, fmt_str_lengths=80, tbl_cols=-1, tbl_width_chars=wide, tbl_hide_dataframe_shape=True):
        typer.echo(str(frame.head(head)))
    typer.echo(f"{frame.height} rows", err=True)


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return json.loads(json.dumps(rows, default=str))  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()
