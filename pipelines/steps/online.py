"""The live release is brought to where services read it: `feed`."""

from __future__ import annotations

from pipelines.night import Counts, Night, step
from pipelines.online import feed as feed_release


@step
def feed(night: Night) -> Counts:
    """Feed the online store with what is live now; without `[online]`, or where readers see it already, do nothing.

    What is live is not always tonight's: where `promote` has kept the release before, that one is fed.
    """
    return feed_release(night.run)
