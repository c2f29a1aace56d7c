"""A process that reads an online store without a pause: `python -m tests.support.online_reader KIND WHERE IDS`.

It says READY after its first read, and when its input is closed how many reads it made, how many were mixed (the ids
told of different releases, or lacked something), and how many releases it has seen.
"""

from __future__ import annotations

import select
import sys
from pathlib import Path

from features.online import ONLINE_STORES, Place


def main(kind: str, where: str, count: int) -> None:
    store = ONLINE_STORES[kind](Place(Path(where), where, "reader"))
    ids, reads, mixed, seen = [f"u{n}" for n in range(count)], 0, 0, set()
    while True:
        found = store.get_many("user", ids)
        said = {each.get("said") for each in found.values()}
        mixed += len(said) != 1 or None in said or any(len(each) != 2 for each in found.values())
        seen |= said
        reads += 1
        if reads == 1:
            say("READY")
        if select.select([sys.stdin], [], [], 0)[0] and not sys.stdin.readline():
            say(f"{reads} {mixed} {len(seen)}")
            return


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
