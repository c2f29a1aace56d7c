"""What there is to choose from, what is sent, what tables hold, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.commands.base import JsonOption, LakeOption, PastOption, RunOption, app, tell
from pipelines.commands.completing import kinds, recipes, tables
from schemas.errors import ConfigError


@app.command("list")
def list_parts(
    kind: Annotated[
        str,
        typer.Argument(
            help="recipes, backbones, objectives, adaptors, recommenders, tokenizers, instructions, click_models, "
            "encoders, engines",
            autocompletion=kinds,
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
    recipe: Annotated[str, typer.Argument(help="Recipe, such as kar.user", autocompletion=recipes)],
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
    tell(found, lines, as_json)


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
    name: Annotated[str, typer.Argument(help="Table name, such as profiles", autocompletion=tables)],
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
