"""`loregraph converse`: a conversation in, titles of the catalogue out; with held-out items, how good they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.asking import asking
from pipelines.checks import check_run
from pipelines.fitted import read_fitted
from pipelines.night import last_night, open_night, refuse_missing
from recommenders import load_recommender
from recommenders.prompted.dialogues import KS, Sample, Turn, copied, judge, table
from recommenders.prompted.zero_shot_crs import Suggestion, ZeroShotCRS
from schemas.errors import ConfigError, DataError, unknown_name
from schemas.run import Run, load_run
from schemas.sections import Model


class Conversation(BaseModel):
    """A line of a file of conversations; with `target`, the id of an item that its next turn recommends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    turns: tuple[Turn, ...]
    target: str | None = None
    mentioned: tuple[str, ...] | None = None  # ids; default: the titles of the catalogue that stand in the turns


def converse(
    file: Path,
    conversations: Sequence[Conversation],
    model: str | None = None,
    k: int = 10,
    ds: str | None = None,
    lake: str | None = None,
    max_cost_usd: float | None = None,
) -> dict[str, Any]:
    """Answer every conversation with at most k items; nothing is written but the ledger.

    `model`: by default the only `zero_shot_crs` of the run. Conversations with a target are judged as
    `recommenders.prompted.dialogues` has it, beside a baseline that copies. Raises ConfigError for an unknown model,
    DataError for a conversation without a word, StoreError where the night has no such model, BudgetError at the cap.
    """
    run = load_run(file, lake=lake, max_cost_usd=max_cost_usd)
    check_run(run)
    night, chosen = open_night(run, ds or last_night(run)), _chosen(run, model)
    for conversation in conversations:
        if not any(turn.text.strip() for turn in conversation.turns):
            raise DataError("converse: expected at least one turn with a word in it, found none")
    refuse_missing(night, {"splits": "night"}, "converse")
    fitted = read_fitted(night, chosen, run.seeds[0], night.corpus())
    recommender = load_recommender(night.work / fitted.folder)
    assert isinstance(recommender, ZeroShotCRS), "its name says so"
    with asking(night, chosen, recommender):
        lists = [recommender.converse(each.turns, max(k, *KS) if each.target else k) for each in conversations]
    shown = recommender.shown
    replies = [[_told(each, shown.item_ids, shown.titles) for each in found] for found in lists]
    told = {"ds": night.ds, "model": chosen.name, "replies": [_first(reply, k) for reply in replies]}
    return {**told, **_judged(recommender, conversations, replies), "told": dict(recommender.told)}


def spoken(texts: Sequence[str]) -> Conversation:
    """Turns that alternate; the last one is the seeker's."""
    who = ["seeker" if (len(texts) - n) % 2 else "recommender" for n in range(len(texts))]
    return Conversation.model_validate(
        {"turns": [{"speaker": speaker, "text": text} for speaker, text in zip(who, texts, strict=True)]}
    )


def read_conversations(file: Path) -> list[Conversation]:
    """Conversations of a JSON-lines file. Raises DataError naming file, line and field."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read: {error}; name a file of JSON lines with --file") from None
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found += [Conversation.model_validate_json(line)] if line.strip() else []
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "line"
            raise DataError(f"{file}: line {number}: {where}: {first['msg']}") from None
    if not found:
        raise DataError(f"{file}: expected a conversation per line, found none")
    return found


def lines(found: dict[str, Any]) -> list[str]:
    """What a person reads: every title with what became of it, then the figures where there are targets."""
    head = f"{found['model']}, night {found['ds']}"
    told = [line for reply in found["replies"] for line in ("", *map(_line, reply))] or ["nothing"]
    return [head, *told[1:], *(["", *found["table"]] if found.get("table") else [])]


def _chosen(run: Run, name: str | None) -> Model:
    able = [each for each in run.models if each.recommender == ZeroShotCRS.name]
    if name is not None:
        named = [each for each in able if each.name == name]
        if not named:
            raise ConfigError(unknown_name("converse --model", name, [each.name for each in able]))
        return named[0]
    if len(able) != 1:
        raise ConfigError(
            f"{run.file}: converse: expected one model with recommender zero_shot_crs, found {len(able)}; "
            + ("choose with --model" if able else "add one under [[models]] and run `loregraph train`")
        )
    return able[0]


def _told(each: Suggestion, ids: Sequence[str], titles: Sequence[str]) -> dict[str, Any]:
    there = each.row is not None
    about = {"said": each.said, "status": each.grounded.status, "fate": each.fate}
    return {**about, "id": ids[each.row] if there else None, "title": titles[each.row] if there else None}  # type: ignore[index]


def _first(reply: list[dict[str, Any]], k: int) -> list[dict[str, Any]]:
    """Up to the k-th item that is kept."""
    kept = [place for place, each in enumerate(reply) if each["fate"] == "kept"]
    return reply[: kept[k]] if len(kept) > k else reply


def _judged(
    recommender: ZeroShotCRS, conversations: Sequence[Conversation], replies: Sequence[list[dict[str, Any]]]
) -> dict[str, Any]:
    judged = [(each, reply) for each, reply in zip(conversations, replies, strict=True) if each.target is not None]
    if not judged:
        return {}
    samples = [_sample(recommender, each) for each, _ in judged]
    own = [[each["id"] for each in reply if each["fate"] == "kept"] for _, reply in judged]
    found = {recommender.name: judge(samples, own), "copy of what was mentioned": judge(samples, copied(samples))}
    figures = {
        name: {condition: {metric: asdict(mean) for metric, mean in means.items()} for condition, means in each.items()}
        for name, each in found.items()
    }
    return {"judged": figures, "table": table(found)}


def _sample(recommender: ZeroShotCRS, conversation: Conversation) -> Sample:
    assert conversation.target is not None, "only those with a target are judged"
    mentioned = conversation.mentioned
    if mentioned is None:
        text = " ".join(turn.text for turn in conversation.turns)
        mentioned = tuple(recommender.shown.item_ids[row] for row in recommender.catalogue.mentioned(text))
    return Sample(conversation.turns, conversation.target, mentioned)


def _line(each: dict[str, Any]) -> str:
    if each["fate"] != "kept":
        return f"  -  {each['said']}  ({'not in the catalogue' if each['fate'] == 'unknown' else each['fate']})"
    said = "" if each["said"] == each["title"] else f', said as "{each["said"]}"'
    return f"  {each['id']}  {each['title']}  ({each['status']}{said})"
