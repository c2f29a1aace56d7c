"""Which process drives a batch: one at a time, and the next one as soon as that one has ended, however it ended."""

from __future__ import annotations

from language_models.ledger import Ledger

DRIVER = "driver of batch {id}"


def claim(ledger: Ledger, batch_id: str) -> bool:
    """Make this process the one that drives the batch; false while another one that lives does."""
    name = DRIVER.format(id=batch_id)
    with ledger.transaction():
        ledger._database.join()
        before = ledger.recall(name)
        if before not in (None, ledger.worker) and ledger._lives(str(before)):
            return False
        if before != ledger.worker:
            ledger.remember(name, ledger.worker)
    return True
