"""The ledger: every call to a language model by content key; see `ledger.py` for its promises."""

from language_models.ledger.ledger import Ledger
from language_models.ledger.types import Account, Asked, Batch, Call, Granted, State, Totals, Verdict

__all__ = ["Account", "Asked", "Batch", "Call", "Granted", "Ledger", "State", "Totals", "Verdict"]
