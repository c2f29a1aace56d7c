"""The Batch API: files of requests at half the price, answered within a day; what is kept is what came, whenever.

A file's intent is in the ledger before it is uploaded, and a batch is created once for each file: after a crash at any
point the next run finds out how far it came (`desk.py`), and every line is joined to its call by `custom_id`.
"""

from language_models.batch.driver import answer_batches

__all__ = ["answer_batches"]
