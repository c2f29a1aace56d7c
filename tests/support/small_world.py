"""A small world: two communities of readers, forty books, one run file."""

from __future__ import annotations

import polars as pl

SUBJECTS = ("Gothic horror", "Sea adventure")
READERS, BOOKS, DAY = 38, 40, 86_400
RUN = """
name = "mini"
lake = "lake"
baseline = "lightgcn"
seeds = [1]
[data]
path = "data"
[split]
rule = "leave_one_out"
[[recipes]]
name = "rlmrec.item"
options = { noun = "book" }
[[recipes]]
name = "rlmrec.user"
options = { noun = "book" }
[gates]
duplicates = 1.0
[quality]
near_duplicates = 1
largest_cluster = 1
[training]
max_epochs = 4
evaluate_every = 2
batch_size = 256
learning_rate = 0.01
[evaluation]
bootstrap = 50
[[models]]
name = "popularity"
recommender = "popularity"
[[models]]
name = "lightgcn"
backbone = { name = "lightgcn", options = { dim = 8 } }
[[models]]
name = "aligned"
backbone = { name = "lightgcn", options = { dim = 8 } }
objectives = [{ name = "rlmrec_con", weight = 0.1 }]
features = { item = "rlmrec.item/summarization", user = "rlmrec.user/summarization" }
[[models]]
name = "aligned.shuffled"
backbone = { name = "lightgcn", options = { dim = 8 } }
objectives = [{ name = "rlmrec_con", weight = 0.1 }]
features = { item = "rlmrec.item/summarization", user = "rlmrec.user/summarization" }
control = "shuffled"
control_of = "aligned"
"""


def books() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [f"b{n:02}" for n in range(BOOKS)],
            "title": [f"The {'Crypt' if n % 2 == 0 else 'Voyage'} of Number {n}" for n in range(BOOKS)],
            "subjects": [SUBJECTS[n % 2] for n in range(BOOKS)],
        }
    )


def events() -> list[tuple[str, str, int]]:
    """Readers read the books of their community, ten each, one a day."""
    return [
        (f"r{reader:02}", f"b{(2 * ((reader * 3 + day * 7) % 19) + reader % 2):02}", 1_700_000_000 + day * DAY + reader)
        for reader in range(READERS)
        for day in range(10)
    ]
