"""From subjects to validated rows: ask what the ledger does not know, read what it does; a dropped answer is data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from features.corpus import Corpus
from features.recipes.base import Recipe
from features.recipes.choosing import Choosing
from language_models.judging import Question, answer_text
from language_models.ledger import Ledger, State, Verdict
from language_models.protocols import ChatEngine
from schemas.chunks import chunks
from schemas.errors import AnswerError, LeakError
from schemas.records import Completion, Kind, Prompt, Reject, Row, Subject

CHUNK = 1000  # subjects read back, or source pairs checked, at a time
DETAIL = 300  # characters kept of why a row was rejected


@dataclass(frozen=True, slots=True)
class Lineage:
    """Which call a subject's rows come from, whose train interactions its prompt showed, and which candidates."""

    recipe: str
    version: str
    kind: Kind
    id: str
    key: str
    source_ids: tuple[str, ...]
    part: int = 0
    candidate_ids: tuple[str, ...] = ()  # shown to choose from, best first
    candidates_by: str = ""


@dataclass
class Generation:
    """What a recipe's subjects came to, in the order of the subjects."""

    rows: list[Row] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    lineage: list[Lineage] = field(default_factory=list)

    @property
    def reasons(self) -> dict[str, int]:
        """Rejects per reason, most frequent first."""
        return dict(Counter(reject.reason for reject in self.rejects).most_common())

    def add(self, other: Generation) -> None:
        """Take in what further subjects came to."""
        self.rows += other.rows
        self.rejects += other.rejects
        self.lineage += other.lineage


def questions(
    recipe: Recipe, subjects: Iterable[Subject], engine: ChatEngine, shard: int = 0, shards: int = 1
) -> Iterator[Question]:
    """The questions of those subjects about whom there is something to ask, or of those whose key is in the shard.

    Equal prompts share a shard. Partitions are shared out by user before they come here, because each shows what was
    said of the one before.
    """
    for subject in subjects:
        prompt = try_ask(recipe, subject)
        if not isinstance(prompt, Prompt):
            continue
        if recipe.partitioned or in_shard(engine.key(prompt), shard, shards):
            yield Question(prompt, partial(_check, recipe, subject))


def in_shard(digest: str, shard: int, shards: int) -> bool:
    """Whether a hexadecimal digest falls into the shard."""
    return shards == 1 or int(digest[:8], 16) % shards == shard


def read_all(recipe: Recipe, subjects: Iterable[Subject], engine: ChatEngine, ledger: Ledger) -> Generation:
    """Read every subject's answer from the ledger; nothing is asked, and what was not asked is a reject `not_asked`."""
    total = Generation()
    for chunk in chunks(subjects, CHUNK):
        _read_chunk(recipe, chunk, engine, ledger, total)
    return total


def check_sources(lineage: Iterable[Lineage | Prompt], corpus: Corpus) -> None:
    """Prove that every interaction shown in a prompt is a train edge. Raises LeakError naming the first that is not."""
    users, items = corpus.users["id"], corpus.items["id"]
    edges = corpus.train.edges
    train = pl.DataFrame({"user": users.gather(edges[0]), "item": items.gather(edges[1])}).unique()
    for chunk in chunks(lineage, CHUNK):
        pairs = [_pair(line, source) for line in chunk for source in line.source_ids]
        shown = pl.DataFrame(pairs, schema=dict.fromkeys(["user", "item", "recipe"], pl.String), orient="row")
        leaked = shown.join(train, on=["user", "item"], how="anti", maintain_order="left")
        if leaked.height:
            user, item, recipe = leaked.row(0)
            raise LeakError(
                f"{recipe}: a prompt shows the interaction of user {user} with item {item}, which is not in train; "
                "nothing was published"
            )


def _pair(line: Lineage | Prompt, source: str) -> tuple[str, str, str]:
    return (line.id, source, line.recipe) if line.kind == "user" else (source, line.id, line.recipe)


def try_ask(recipe: Recipe, subject: Subject) -> Prompt | Reject:
    """The prompt of a subject, or why there is nothing to ask."""
    try:
        return recipe.ask(subject)
    except AnswerError as error:
        return Reject("", subject.id, error.reason, error.detail[:DETAIL])


def _check(recipe: Recipe, subject: Subject, text: str) -> None:
    recipe.read(subject, text, "")


def _read_chunk(
    recipe: Recipe, subjects: Sequence[Subject], engine: ChatEngine, ledger: Ledger, total: Generation
) -> None:
    asked = [(subject, try_ask(recipe, subject)) for subject in subjects]
    keys = [engine.key(prompt) if isinstance(prompt, Prompt) else "" for _, prompt in asked]
    known = list(filter(None, keys))
    answers, states = ledger.answers(known), ledger.settled(known)
    failures = ledger.failures(key for key in known if key not in answers)
    verdicts: dict[str, Verdict] = {}
    for key, (subject, prompt) in zip(keys, asked, strict=True):
        if isinstance(prompt, Reject):
            total.rejects.append(prompt)
            continue
        total.lineage.append(_lineage(recipe, subject, prompt, key))
        try:
            total.rows.extend(_read(recipe, subject, key, answers.get(key, ()), failures.get(key)))
            verdicts.setdefault(key, Verdict(key, "parsed"))
        except AnswerError as error:
            total.rejects.append(Reject(key, subject.id, error.reason, error.detail[:DETAIL]))
            verdicts.setdefault(key, Verdict(key, "rejected", error.reason))
    # a call that nobody has judged yet may still get a follow-up: only a standing verdict is changed by a new parser
    ledger.settle(verdict for key, verdict in verdicts.items() if key in states and not _stands(verdict, states[key]))


def _lineage(recipe: Recipe, subject: Subject, prompt: Prompt, key: str) -> Lineage:
    about = (prompt.recipe, prompt.version, prompt.kind, prompt.id, key, prompt.source_ids, prompt.part)
    if not isinstance(recipe, Choosing):
        return Lineage(*about)
    return Lineage(*about, tuple(event.id for event in subject.candidates), recipe.drawn_by)


def _read(
    recipe: Recipe, subject: Subject, key: str, answers: Sequence[Completion], failure: Completion | None
) -> Sequence[Row]:
    """The rows of the latest answer that can be read. Raises AnswerError as the latest one does where none can."""
    if not answers:
        answer_text(failure)
    wrong: AnswerError | None = None
    for answer in reversed(answers):
        try:
            return recipe.read(subject, answer_text(answer), key)
        except AnswerError as error:
            wrong = wrong or error
    assert wrong is not None
    raise wrong


def _stands(verdict: Verdict, state: State) -> bool:
    """Whether the ledger says so already; a published answer that can still be read stays published."""
    return state == verdict.state or (state == "published" and verdict.state == "parsed")
