"""What is live: releases and rollbacks, the online store, exports, and the care of tables and ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.base import DsOption, JsonOption, LakeOption, RunOption, app, tell
from pipelines.commands.nights import perform
from schemas.errors import ConfigError


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
        perform("promote", run, ds, lake, None, as_json)
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
    tell(found, lines, as_json)


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
    tell(found, lines, as_json)


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
    tell(found, lines, as_json)


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
    """Delete files that no kept version of a table names, and models of nights before; older releases are gone then."""
    from pipelines.maintaining import vacuum_lake, vacuum_lines

    found = vacuum_lake(run, lake, keep_releases, days, dry_run)
    typer.echo("\n".join(vacuum_lines(found)))
    if as_json:
        typer.echo(json.dumps(found, allow_nan=False))


@app.command()
def salvage(run: RunOption, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Keep every answer of a damaged ledger file that can still be read; the damaged file stays beside the new one."""
    from pipelines.salvaging import lines, salvage_ledger

    found = salvage_ledger(run, lake)
    tell(found, lines, as_json)
