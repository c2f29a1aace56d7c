"""When the next call may go: quotas, window and breaker taken together, fed with what comes back."""

from __future__ import annotations

from language_models.breaker import PATIENCE_S, Breaker
from language_models.call_queue import Call
from language_models.faults import Fault
from language_models.limiter import Limiter
from language_models.protocols import Reply
from language_models.tokens import prompt_tokens
from language_models.window import Window
from schemas.errors import EngineError
from schemas.sections import Llm


class Pace:
    """The pace of one run. Times are those of the event loop."""

    def __init__(self, llm: Llm, now: float) -> None:
        self._attempts = llm.attempts
        self.window, self.limiter, self.breaker = Window(llm.concurrency), Limiter(llm, now), Breaker()

    def ready_at(self, now: float, call: Call, in_flight: int) -> float:
        """When the call may go: now, later, or `inf` where something has to come back first."""
        if self.limiter.counts_tokens and not call.tokens:
            call.tokens = prompt_tokens(call.prompt)
        ready = max(self.breaker.ready_at(now), self.limiter.ready_at(now, call.tokens))
        return ready if ready > now else self.window.ready_at(now, in_flight)

    def free(self, now: float, in_flight: int) -> int:
        """How many calls more could go at once."""
        if self.limiter.ready_at(now, 0) > now:
            return 0
        return self.window.free(now, in_flight)

    def sent(self, now: float, call: Call) -> None:
        call.ticket, call.probe = self.limiter.reserve(now, call.tokens), self.breaker.sent()

    def answered(self, now: float, call: Call, reply: Reply) -> None:
        completion = reply.completion
        self.limiter.answered(now, call.ticket, completion.input_tokens, completion.output_tokens)
        self.limiter.observe(now, call.ticket, reply.headers)
        self.window.returned(now)
        self.breaker.answered()

    def failed(self, now: float, call: Call, fault: Fault) -> None:
        """Learn from a failed attempt. Raises EngineError where the run has no prospect any more."""
        if fault.action != "unknown":
            self.limiter.failed(now, call.ticket)
        self.limiter.observe(now, call.ticket, fault.headers)
        if fault.action == "wait":
            self.window.limited(now)
        else:
            self.window.returned(now)
        self._judge(now, call, fault)

    def _judge(self, now: float, call: Call, fault: Fault) -> None:
        if fault.outage:
            self.breaker.failed(now, call.probe, reached=not fault.unreachable)
        elif fault.action in ("drop", "again") or self.breaker.open:
            self.breaker.answered()
        if fault.action == "wait":
            call.limited += 1
            self.limiter.limited(now, fault.wait_s)
        elif fault.action in ("retry", "unknown"):
            call.failures += 1
            call.tries += not self.breaker.open  # else the endpoint is at fault, not the call
        if fault.outage:
            self._judge_outage(now, call, fault)

    def _judge_outage(self, now: float, call: Call, fault: Fault) -> None:
        if not self.breaker.reached and max(call.tries, self.breaker.probes + self.breaker.open) >= self._attempts:
            raise EngineError(
                f"cannot be reached: {fault.detail}; is llm.base_url right and the endpoint up? "
                "`loregraph doctor --run FILE` asks it"
            )
        if self.breaker.exhausted(now):
            raise EngineError(
                f"no call has succeeded for {PATIENCE_S:.0f} s, the last one ended in {fault.reason}: {fault.detail}; "
                "is the endpoint up? `loregraph doctor --run FILE` asks it"
            )
