"""What fitted models offer a user, an item, a sentence or a conversation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.base import (
    CostOption,
    CountOption,
    JsonOption,
    LakeOption,
    ModelOption,
    PastOption,
    RunOption,
    app,
    tell,
)
from schemas.errors import ConfigError


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
    tell(found, lines, as_json)


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
    tell(found, lines, as_json)


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
    tell(found, lines, as_json)


@app.command()
def ui(
    run: Annotated[list[Path], typer.Option("--run", help="Run file (TOML); several show several runs.")],
    lake: LakeOption = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; beyond loopback a token is needed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any that is free.")] = 8600,
) -> None:
    """Serve a web page: nights, texts and their prompts, rejects, recommendations and why, the run in progress."""
    from pipelines.ui.serving import serve

    serve(run, lake, host, port, lambda line: typer.echo(line, err=True))
