"""What `loregraph why` found, for people: indented lines, long texts wrapped and whole."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

Row = dict[str, Any]
WIDTH, STEP = 110, 2
NOT_STORED = "not stored"
CALL = ("system", "user", "correction")
TOLD = ("name", "seed", "split_id", "config_hash")


def as_text(found: Row) -> str:
    """The account of `explain` as lines of text; nothing is cut."""
    head = f"{found['what']} {' '.join(found['ids'])}, night {found['ds']}, lake {found['lake']}"
    body = {"vector": _vectors, "recommendation": _recommendation}.get(found["what"], _subject)
    return "\n".join([head, *_indent(body(found)), "", "TABLES", *_indent(_tables(found["tables"]))])


def _subject(found: Row) -> Iterator[str]:
    yield from _pairs(found["attributes"])
    if not found["recipes"]:
        yield "no recipe has asked or said anything"
    for recipe in found["recipes"]:
        yield from _recipe(recipe)
    for reject in found["rejects"]:
        yield from _wrapped(f"REJECT {reject['step']}: {reject['reason']}: {reject['detail']} {_key(reject['key'])}")


def _vectors(found: Row) -> Iterator[str]:
    for row in found["vectors"]:
        yield ""
        yield f"VECTOR of {row['kind']} {row['id']}: {row['source']}"
        when = f"published {_when(row['published_at'])}"
        yield from _indent([f"encoder {row['encoder']}, {row['dim']} numbers, norm {row['norm']:.4f}, {when}"])
        yield from _indent([f"text_hash {row['text_hash']}", *_titled("text", row["text"])])
        for recipe in row["recipes"]:
            yield from _recipe(recipe)


def _recommendation(found: Row) -> Iterator[str]:
    model = found["model"]
    yield f"item {found['item_id']} ({found['title'] or 'no title'}): rank {found['rank']}, score {found['score']:.6g}"
    seed, hash, split = (_or(model[name]) for name in ("seed", "config_hash", "split_id"))
    when = _when(model["trained_at"])
    yield f"model {model['name']}, seed {seed}, config_hash {hash}, split_id {split}, trained {when}"
    if model["row"]:
        shown = {name: value for name, value in model["row"].items() if name not in TOLD and value is not None}
        yield "  ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in shown.items()
        )
    yield f"HISTORY of user {found['user_id']}"
    yield from _indent(_event(event) for event in found["history"])
    for kind, rows in found["texts"].items():
        yield f"TEXTS of the {kind} that the model had read" + ("" if rows else ": none")
        for row in rows:
            yield from _indent([f"{row['source']} {_key(row['key'])}", *_indent(_wrapped(_or(row["text"])))])
    if found["edges"]:
        yield "EDGES of the user that the model had read"
        yield from _indent(_edge(edge) for edge in found["edges"])


def _recipe(row: Row) -> Iterator[str]:
    yield ""
    part = f", part {row['part']}" if row["part"] else ""
    yield f"RECIPE {row['recipe']} {_key(row['key'])} (version {_or(row['version'])}{part})"
    yield from _indent(_said(row))
    yield from _indent(_call(row["call"]))
    yield from _indent(_shown(row))


def _said(row: Row) -> Iterator[str]:
    for name, field in row["fields"].items():
        yield from _titled(name, field["text"])
    if row["llm_edges"]:
        yield "edges"
        yield from _indent(_edge(edge) for edge in row["llm_edges"])
    for made in row["generated_items"]:
        found = f"{made['status']} {made['item_id'] or ''}".strip()
        yield from _wrapped(f"generated {made['rank']}: {made['title']} ({found}): {made['text']}")
    for part in row["partitions"]:
        yield f"partition {part['part']}: items {', '.join(part['item_ids'])}"
        for name, text in zip(part["fields"], part["texts"], strict=True):
            yield from _indent(_titled(name, text))


def _call(call: Row | None) -> Iterator[str]:
    if call is None:
        yield f"call: {NOT_STORED}"
        return
    yield f"asked {_when(call['asked_at'])}, answered {_when(call['answered_at'])}, first published {call['night']}"
    endpoint, by = f" at {call['endpoint']}" if call["endpoint"] else "", _or(call["answered_by"])
    yield f"model {call['model']} ({by}), engine {call['engine']}{endpoint}, about {call['id']} first"
    tokens = f"{call['input_tokens']:,} input and {call['output_tokens']:,} output tokens"
    turns = f"{call['turns']} turn{'' if call['turns'] == 1 else 's'}"
    yield f"{turns}, {tokens}, ${call['cost_usd']:.6f}, finish_reason {_or(call['finish_reason'])}"
    for name in CALL:
        if name != "correction" or call[name]:
            yield from _titled(name.upper(), call[name])
    for answer in call["answers"]:
        yield from _titled("ANSWER", answer)


def _shown(row: Row) -> Iterator[str]:
    if row["sources"]:
        yield f"interactions shown (latest {_when(row['max_time'])})" if row["max_time"] else "interactions shown"
        yield from _indent(_event(source) for source in row["sources"])
    if row.get("candidates"):
        yield f"candidates shown{', from ' + row['candidates_by'] if row.get('candidates_by') else ''}"
        yield from _indent(f"{each['id']} {each['title'] or ''}".strip() for each in row["candidates"])
    if row["upstream"]:
        yield "texts of others shown"
    for each in row["upstream"]:
        about = f"{each['kind']} {each['id']}: {each['recipe']}/{each['field']} {_key(each['key'])} ({each['shown']})"
        yield from _indent([about, *_indent(_wrapped(each["text"]))])


def _tables(tables: Sequence[Row]) -> Iterator[str]:
    for row in tables:
        name = row["table"] if row["version"] is None else f"{row['table']} version {row['version']}"
        since = row["written_as"]
        earlier = f", its rows since version {since}" if since not in (None, row["version"]) else ""
        unknown = f"lineage {NOT_STORED}" if row["ds"] else "written by other nights"
        by = f"{row['step']} on {_when(row['written_at'])}" if row["step"] else unknown
        hash = f", config_hash {row['config_hash']}" if row["config_hash"] else ""
        night = f" ({row['ds']})" if row["ds"] else ""
        yield f"{name}{night}{earlier}: {by}{hash}"
        yield from _indent(_source(source) for source in row["made_from"])
        if row["run_file"]:
            yield from _indent([f"run file {row['run_file'][:12]}, loregraph {_or(row['loregraph'])}"])


def _source(source: Row) -> str:
    version = (
        f"version {source['version']}" if source["version"] is not None else f"config_hash {source['config_hash']}"
    )
    parts = f": {', '.join(source['parts'])}" if source["parts"] else ""
    night = f" ({source['ds']})" if source["ds"] else ""
    return f"from {source['table']} {version}{night}{parts}"


def _edge(edge: Row) -> str:
    liked = "liked" if edge["label"] > 0 else "disliked"
    return f"{liked} {edge['item_id']} ({edge['recipe']}, weight {edge['weight']:.3g}) {_key(edge['key'])}"


def _event(event: Row) -> str:
    return f"{event['id']} {event['title'] or ''}".strip() + f" ({_when(event['time'])}, {_or(event['part'])})"


def _pairs(row: Row) -> Iterator[str]:
    for name, value in row.items():
        yield from _wrapped(f"{name}: {_or(value)}")


def _titled(title: str, text: str | None) -> Iterator[str]:
    yield f"{title}:" if text else f"{title}: {NOT_STORED}"
    yield from _indent(_wrapped(text or ""))


def _wrapped(text: str) -> Iterator[str]:
    """Lines of at most WIDTH characters, with the line ends of the text."""
    for line in text.splitlines():
        yield from textwrap.wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False) or [""]


def _indent(lines: Iterable[str]) -> list[str]:
    return [" " * STEP + line if line else "" for line in lines]


def _when(seconds: float | None) -> str:
    return "time not known" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _key(key: str | None) -> str:
    return f"[{key[:12]}]" if key else ""


def _or(value: object) -> str:
    return NOT_STORED if value is None else str(value)
