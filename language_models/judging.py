"""What is to be done about a call, from the answers it has brought so far: use one, ask once more, or give it up.

An answer that was cut off is asked for once more with twice the room; one that cannot be read is asked for once more
with what was wrong with it. Both follow-ups are turns of the same call: they share its key, and are paid once each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from language_models.ledger.types import Verdict
from schemas.errors import AnswerError
from schemas.records import Completion, Prompt

NOT_ANSWERS = ("missing", "refusal", "content_filter")  # the model had its say: asking again would bring the same
FINAL_REASONS = ("none",)  # a readable answer that says that there is none
ROOM = 2  # how many times the output limit the follow-up to a cut-off answer has
CORRECTION = (
    "The answer before could not be used: {error}. Answer the question above again, with one JSON object and nothing "
    "outside it."
)
ONE_WORD = "The answer before could not be used: {error}. Answer the question above again, with nothing but the answer."


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, and how its answer is read: `check` raises AnswerError for a text that cannot be used."""

    prompt: Prompt
    check: Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Exactly one of both: the verdict on a call that needs nothing more, or the follow-up to ask."""

    verdict: Verdict | None = None
    follow_up: Prompt | None = None


def judge(key: str, question: Question, answers: Sequence[Completion]) -> Judgement:
    """Judge a call by its paid answers, oldest first; there is at least one. Pure: a restart comes to the same."""
    problems = [problem_of(answer, question.check) for answer in answers]
    if None in problems:
        return Judgement(Verdict(key, "parsed"))
    last = problems[-1]
    assert last is not None
    if last.reason == "truncated" and _count(problems, "truncated") == 1:
        return Judgement(follow_up=replace(question.prompt, turn=len(answers), room=ROOM))
    if _correctable(last) and sum(map(_correctable, filter(None, problems))) == 1:
        room = ROOM if _count(problems, "truncated") else 1
        asked = ONE_WORD if question.prompt.first_token else CORRECTION
        correction = asked.format(error=json.dumps(str(last)[:300], ensure_ascii=False))
        return Judgement(follow_up=replace(question.prompt, turn=len(answers), correction=correction, room=room))
    return Judgement(Verdict(key, "rejected", last.reason))


def problem_of(answer: Completion, check: Callable[[str], object]) -> AnswerError | None:
    """What keeps an answer from being used; None when it can be."""
    try:
        check(answer_text(answer))
    except AnswerError as error:
        return error
    return None


def answer_text(answer: Completion | None) -> str:
    """The text to read. Raises AnswerError where the call brought none, with the finish reason as the class."""
    if answer is None:
        raise AnswerError("not_asked", "no answer in the ledger")
    reason = answer.finish_reason
    if reason == "length":
        raise AnswerError("truncated", f"cut off at {answer.output_tokens} tokens; raise llm.max_output_tokens")
    if reason in NOT_ANSWERS or answer.failed or answer.unknown:
        raise AnswerError(reason, answer.text or reason)
    return answer.text


def _correctable(problem: AnswerError) -> bool:
    return problem.reason not in (*NOT_ANSWERS, *FINAL_REASONS, "truncated")


def _count(problems: Sequence[AnswerError | None], reason: str) -> int:
    return sum(problem is not None and problem.reason == reason for problem in problems)
