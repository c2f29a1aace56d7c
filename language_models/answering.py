"""Prompts in, answers out: each distinct call is paid once, kept before anyone reads it, and stays within the cap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

from language_models.ledger import Lease, Ledger, chunks
from language_models.prices import reserve_usd
from language_models.protocols import ChatEngine
from language_models.pump import Pump
from schemas.errors import BudgetError, EngineError
from schemas.records import Completion, Prompt
from schemas.run import Llm

Progress = Callable[["Counts"], None]

CHUNK = 500  # prompts looked up in the ledger at a time
COMMIT = 128  # answers per ledger transaction at most
GROUP = 32  # calls per place in flight that are leased together; the tail of a group idles about 1/32 of the places


@dataclass
class Counts:
    """What a run of prompts came to. `asked` are calls really made; tokens and cost are theirs."""

    asked: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0

    def add(self, completion: Completion) -> None:
        self.asked += 1
        self.input_tokens += completion.input_tokens
        self.output_tokens += completion.output_tokens
        self.cost_usd += completion.cost_usd


def answer_all(
    prompts: Iterable[Prompt],
    engine: ChatEngine,
    ledger: Ledger,
    llm: Llm,
    counts: Counts | None = None,
    progress: Progress | None = None,
) -> Generator[tuple[Prompt, Completion], None, None]:
    """Every prompt with its answer, from the ledger where it has one, in any order and in bounded memory.

    Calls are leased before they are sent, and their answers are in the ledger before they are yielded. A prompt that
    equals another one counts as cached. Raises BudgetError before a call that could pass `llm.max_cost_usd`, and what
    the engine raises; all answers so far are kept either way. Close the iterator when stopping early.
    """
    answering = _Answering(engine, ledger, llm, counts if counts is not None else Counts(), progress)
    waiting: dict[str, list[Prompt]] = defaultdict(list)
    for chunk in chunks(prompts, CHUNK):
        for prompt in chunk:
            waiting[engine.key(prompt)].append(prompt)
        yield from answering.cached(waiting)
        if len(waiting) >= GROUP * llm.concurrency:
            yield from answering.ask(waiting)
    yield from answering.ask(waiting)


class _Answering:
    """One run over `answer_all`. `waiting` holds the prompts of every key without an answer; it is emptied here."""

    def __init__(self, engine: ChatEngine, ledger: Ledger, llm: Llm, counts: Counts, progress: Progress | None) -> None:
        self.engine, self.ledger, self.llm, self.counts, self.progress = engine, ledger, llm, counts, progress
        self.failed: dict[str, Completion] = {}  # not known to the ledger, but not asked twice in one run either

    def cached(self, waiting: dict[str, list[Prompt]]) -> Iterator[tuple[Prompt, Completion]]:
        found = self.ledger.known(waiting)
        found.update((key, self.failed[key]) for key in waiting if key in self.failed)
        for key, completion in found.items():
            same = waiting.pop(key)
            self.counts.cached += len(same)
            yield from ((prompt, completion) for prompt in same)
        self._report()

    def ask(self, waiting: dict[str, list[Prompt]]) -> Iterator[tuple[Prompt, Completion]]:
        while waiting:
            leased = self.ledger.lease(
                [self._lease(key, same[0]) for key, same in waiting.items()], self.llm.max_cost_usd
            )
            if leased:
                yield from self._send(leased, waiting)
            else:
                yield from self.cached(waiting)  # another process may have had them answered
                if waiting:
                    raise self._over_budget(waiting)

    def _send(self, leased: Sequence[str], waiting: dict[str, list[Prompt]]) -> Iterator[tuple[Prompt, Completion]]:
        unanswered = set(leased)
        pump = Pump(self.engine, [waiting[key][0] for key in leased], COMMIT)
        try:
            for group in pump.groups():
                self._keep(group, unanswered)
                for completion in group:
                    yield from self._settle(completion, waiting.pop(completion.key, []))
                self._report()
            if unanswered:
                raise EngineError(f"{self.engine.name}: expected {len(leased)} answers, {len(unanswered)} never came")
        finally:
            self._keep(pump.close(), unanswered)  # paid for, even if the consumer has stopped
            if pump.ended:
                self.ledger.release(unanswered)  # certainly not in flight

    def _keep(self, group: Sequence[Completion], unanswered: set[str]) -> None:
        if group:
            self.ledger.respond(group)
            unanswered.difference_update(completion.key for completion in group)

    def _settle(self, completion: Completion, same: list[Prompt]) -> Iterator[tuple[Prompt, Completion]]:
        self.counts.add(completion)
        self.counts.cached += len(same) - 1
        if completion.finish_reason.startswith("error:"):
            self.failed[completion.key] = completion
        yield from ((prompt, completion) for prompt in same)

    def _lease(self, key: str, prompt: Prompt) -> Lease:
        return Lease(key, prompt, self.engine.name, self.engine.model, reserve_usd(prompt, self.llm))

    def _over_budget(self, waiting: dict[str, list[Prompt]]) -> BudgetError:
        spent, reserved = self.ledger.spent(), self.ledger.reserved()
        call = reserve_usd(next(iter(waiting.values()))[0], self.llm)
        return BudgetError(
            f"{self.ledger.path}: spent ${spent:.4f}, reserved ${reserved:.4f}, and the next call may cost "
            f"${call:.4f}: it could pass the cap of ${self.llm.max_cost_usd}; every answer so far is kept, "
            "and a run with a higher --max-cost (llm.max_cost_usd) continues from them"
        )

    def _report(self) -> None:
        if self.progress is not None:
            self.progress(self.counts)
