"""The ledger: every call to a language model by content key; see `ledger.py` for its promises."""

from language_models.ledger.ledger import Ledger
from language_models.ledger.types import Asked, Batch, Call, Granted, State, Totals, Verdict

__all__ = ["Asked", "Batch", "Call", "Granted", "Ledger", "State", "Totals", "Verdict"]
