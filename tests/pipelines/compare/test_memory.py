"""Peak memory of a block: what it held at most, and not what was there before."""

import numpy as np

from pipelines.compare.memory import measured

MIB = 2**20


def test_what_a_block_held_at_most_counts_though_it_is_gone_again() -> None:
    with measured() as peak:
        np.ones(200 * MIB, dtype=np.int8).sum()
    assert 150 < peak.mib < 400


def test_what_was_held_before_does_not_count() -> None:
    before = np.ones(200 * MIB, dtype=np.int8)
    with measured() as peak:
        np.ones(20 * MIB, dtype=np.int8).sum()
    assert before.all()
    assert 5 < peak.mib < 100
