"""What a prompted recommender says of its questions: how many, how they were answered, and what 1,000 users cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from features.grounding import STATUSES


@dataclass
class Tally:
    """Counts of one ranking. A user is counted once for each time that he was ranked."""

    users: int = 0
    fallback_users: int = 0  # those whose answers were all of no use: they have the candidates' order
    questions: int = 0
    asked: int = 0  # calls that were made
    cached: int = 0  # questions that needed none
    follow_ups: int = 0
    unanswered: int = 0  # questions without an answer: refused, filtered, or no call succeeded
    unparsable: int = 0  # questions with answers that cannot be read
    cost_usd: float = 0.0  # paid for this ranking
    expected_usd: float = 0.0  # estimated for all questions, as though none were in the ledger
    worth_usd: float = 0.0  # paid for the answers that were read, whenever that was
    reasons: Counter[str] = field(default_factory=Counter)  # of unusable answers
    grounding: Counter[str] = field(default_factory=Counter)  # how the entries of answers were found
    flags: Counter[str] = field(default_factory=Counter)  # answers that a rule of need was applied to

    def expect(self, questions: int, usd: float) -> None:
        self.questions += questions
        self.expected_usd += usd

    def pay(self, asked: float, cached: float, follow_ups: float, usd: float) -> None:
        self.asked += int(asked)
        self.cached += int(cached)
        self.follow_ups += int(follow_ups)
        self.cost_usd += usd

    def worth(self, usd: float) -> None:
        self.worth_usd += usd

    def miss(self, reason: str, unanswered: bool) -> None:
        self.reasons[reason] += 1
        self.unanswered += unanswered
        self.unparsable += not unanswered

    def to_json(self) -> dict[str, Any]:
        """Flat but for the histograms; dollars per 1,000 users before asking (expected) and after (paid)."""
        per = 1000 / max(self.users, 1)
        names = ("users", "fallback_users", "questions", "asked", "cached", "follow_ups", "unanswered", "unparsable")
        return {
            **{name: getattr(self, name) for name in names},
            "cost_usd": self.cost_usd,
            "expected_cost_per_1000_users": self.expected_usd * per,
            "cost_per_1000_users": self.worth_usd * per,
            "reasons": dict(self.reasons),
            "grounding": {status: self.grounding[status] for status in STATUSES if self.grounding[status]},
            **dict(self.flags),
        }
