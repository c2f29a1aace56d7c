"""From subjects to validated rows: ask what the ledger does not know, read what it does; a dropped answer is data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import polars as pl

from features.corpus import Corpus
from features.recipes.base import Recipe, Row
from language_models.answering import GROUP, Counts, Progress, answer_all
from language_models.ledger import Ledger, State, chunks
from language_models.prices import prompt_tokens, reserve_usd
from language_models.protocols import ChatEngine
from schemas.errors import AnswerError, LeakError
from schemas.records import Completion, Kind, Prompt, Reject, Subject
from schemas.run import Llm

CHUNK = 1000  # subjects read back, or source pairs checked, at a time
DETAIL = 300  # characters kept of why a row was rejected
NOT_ANSWERS = ("missing", "refusal", "content_filter")


@dataclass(frozen=True, slots=True)
class Lineage:
    """Which call a subject's rows come from, and whose train interactions its prompt showed."""

    recipe: str
    version: str
    kind: Kind
    id: str
    key: str
    source_ids: tuple[str, ...]


@dataclass
class Generation:
    """What a recipe's subjects came to, in the order of the subjects. `counts` is of the calls of this run."""

    rows: list[Row] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    lineage: list[Lineage] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    @property
    def reasons(self) -> dict[str, int]:
        """Rejects per reason, most frequent first."""
        return dict(Counter(reject.reason for reject in self.rejects).most_common())


@dataclass(frozen=True)
class Plan:
    """What a run would do, before the first call. Cost and tokens are estimates; `max_cost_usd` is an upper bound."""

    subjects: int
    nothing_to_ask: int
    cached: int
    to_ask: int
    input_tokens: int
    max_cost_usd: float


def generate(
    recipe: Recipe,
    subjects: Iterable[Subject],
    engine: ChatEngine,
    ledger: Ledger,
    llm: Llm,
    progress: Progress | None = None,
) -> Generation:
    """Ask about every subject that the ledger does not know, and read all answers.

    Raises BudgetError and EngineError; everything answered until then is kept, and a later run continues.
    """
    total = Generation()
    for chunk in chunks(subjects, max(CHUNK, GROUP * llm.concurrency)):
        _ask(_prompts(recipe, chunk), engine, ledger, llm, total.counts, progress)
        _read_chunk(recipe, chunk, engine, ledger, total)
    return total


def ask_shard(
    recipe: Recipe,
    subjects: Iterable[Subject],
    engine: ChatEngine,
    ledger: Ledger,
    llm: Llm,
    shard: int,
    shards: int,
    progress: Progress | None = None,
) -> Counts:
    """Ask those prompts whose key falls into the shard; answers go to the ledger. Equal prompts share a shard."""
    counts = Counts()
    prompts = (prompt for prompt in _prompts(recipe, subjects) if int(engine.key(prompt)[:8], 16) % shards == shard)
    _ask(prompts, engine, ledger, llm, counts, progress)
    return counts


def read_all(recipe: Recipe, subjects: Iterable[Subject], engine: ChatEngine, ledger: Ledger) -> Generation:
    """Read every subject's answer from the ledger; nothing is asked, and what was not asked is a reject `not_asked`."""
    total = Generation()
    for chunk in chunks(subjects, CHUNK):
        _read_chunk(recipe, chunk, engine, ledger, total)
    return total


def plan(recipe: Recipe, subjects: Iterable[Subject], engine: ChatEngine, ledger: Ledger, llm: Llm) -> Plan:
    """What `generate` would ask and what it could cost at most; asks nothing and writes nothing.

    Of a recipe that shows another one's texts this is an estimate until those texts are there.
    """
    total, asked, new, tokens, cost = 0, 0, set[str](), 0, 0.0
    for chunk in chunks(subjects, CHUNK):
        prompts = [(engine.key(prompt), prompt) for prompt in _prompts(recipe, chunk)]
        known = ledger.known(key for key, _ in prompts)
        total, asked = total + len(chunk), asked + len(prompts)
        for key, prompt in prompts:
            if key not in known and key not in new:
                new.add(key)
                tokens += prompt_tokens(prompt)
                cost += reserve_usd(prompt, llm)
    return Plan(total, total - asked, asked - len(new), len(new), tokens, cost)


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


def _prompts(recipe: Recipe, subjects: Iterable[Subject]) -> Iterator[Prompt]:
    """The prompts of those subjects about whom there is something to ask."""
    for subject in subjects:
        asked = _try_ask(recipe, subject)
        if isinstance(asked, Prompt):
            yield asked


def _try_ask(recipe: Recipe, subject: Subject) -> Prompt | Reject:
    try:
        return recipe.ask(subject)
    except AnswerError as error:
        return Reject("", subject.id, error.reason, error.detail[:DETAIL])


def _ask(
    prompts: Iterable[Prompt],
    engine: ChatEngine,
    ledger: Ledger,
    llm: Llm,
    counts: Counts,
    progress: Progress | None,
) -> None:
    with closing(answer_all(prompts, engine, ledger, llm, counts, progress)) as answers:
        for _ in answers:
            pass  # the ledger has it, and everything is read from there


def _read_chunk(
    recipe: Recipe, subjects: Sequence[Subject], engine: ChatEngine, ledger: Ledger, total: Generation
) -> None:
    asked = [(subject, _try_ask(recipe, subject)) for subject in subjects]
    keys = {prompt.id: engine.key(prompt) for _, prompt in asked if isinstance(prompt, Prompt)}
    answers = ledger.responses(set(keys.values()))
    states: dict[State, list[str]] = {"parsed": [], "rejected": []}
    for subject, prompt in asked:
        if isinstance(prompt, Reject):
            total.rejects.append(prompt)
            continue
        key = keys[subject.id]
        about = (prompt.recipe, prompt.version, prompt.kind, prompt.id)
        total.lineage.append(Lineage(*about, key, prompt.source_ids))
        try:
            total.rows.extend(recipe.read(subject, _answer_text(answers.get(key)), key))
            states["parsed"].append(key)
        except AnswerError as error:
            total.rejects.append(Reject(key, subject.id, error.reason, error.detail[:DETAIL]))
            states["rejected"].append(key)
    for state, marked in states.items():
        ledger.mark([key for key in marked if key in answers], state)


def _answer_text(completion: Completion | None) -> str:
    """The text to read. Raises AnswerError where the call brought none, with the finish reason as the code."""
    if completion is None:
        raise AnswerError("not_asked", "no answer in the ledger")
    reason = completion.finish_reason
    if reason == "length":
        raise AnswerError("truncated", f"cut off at {completion.output_tokens} tokens; raise llm.max_output_tokens")
    if reason in NOT_ANSWERS or reason.startswith("error:"):
        raise AnswerError(reason, completion.text or reason)
    return completion.text
