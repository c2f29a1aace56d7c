"""R13: a full disk, a read-only folder, a damaged ledger, a clock set back: a clean stop, and no half-published table.

The disk that is full or read-only is a mount in a namespace of its own (`unshare`, Linux); where the system does not
allow that, those figures are left out and the reason is printed.
"""

from __future__ import annotations

import shlex
import shutil
import time
from pathlib import Path

from benchmarks.figures import Figure, at_most, exactly, stated
from benchmarks.llm_engine.small_night import (
    FIRST,
    IN_FLIGHT,
    SECOND,
    Ended,
    night,
    perform,
    rows_of,
    write_world,
)
from benchmarks.llm_engine.worker import RECIPE, books, settings
from features.generation import questions
from language_models.answering import answer_all
from language_models.engines import make_engine
from language_models.ledger import Ledger
from language_models.simulator.process import Simulator, simulator

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
TIGHT = 1_500  # bytes of disk per book: room for the tables, not for the ledger
HOUR_S = 3600


def breakage(folder: Path, rows: int) -> list[Figure]:
    """R13 with a night of `rows` books for each kind of breakage."""
    folder.mkdir(parents=True, exist_ok=True)
    with simulator("--answers", "offline") as endpoint:
        run = write_world(folder / "world", endpoint.url, rows)
        whole = folder / "whole"
        if (ended := perform(night(run, whole, FIRST))).code:
            return [Figure("R13", "a night on a sound disk", ended.message, "exit code 0", passed=False)]
        figures = [*read_only(run, whole), *damaged(run, whole, folder / "damaged")]
        endpoint.reset()
        figures += full_disk(run, folder / "disk", rows, endpoint)
    return [*figures, *clock_back(folder / "clock", rows)]


def full_disk(run: Path, disk: Path, rows: int, endpoint: Simulator) -> list[Figure]:
    """The ledger, then a table, meets the end of a small disk; with more room the same command goes on."""
    out = disk.with_name("full-disk")
    for made in (disk, out):
        made.mkdir(parents=True)
    first, second = (shlex.join(night(run, disk / "lake", ds)) for ds in (FIRST, SECOND))
    script = f"""
    mount -t tmpfs -o size={TIGHT * rows} tmpfs {disk} || exit 99
    {first} 2>{out}/ledger.err; echo $? >{out}/ledger.code; cp -r {disk}/lake {out}/ledger
    mount -o remount,size=1g {disk}
    {first} 2>{out}/again.err; echo $? >{out}/again.code
    mount -o remount,size=$(($(df -k --output=used {disk} | tail -1) + 16))k {disk}
    {second} 2>{out}/table.err; echo $? >{out}/table.code; cp -r {disk}/lake {out}/table
    """
    if (ended := perform([*NAMESPACE, script])).code:
        return [_skipped("full disk", ended)]
    again = endpoint.stats()["paid_twice"]
    with Ledger(out / "ledger" / "_work" / "ledger.sqlite") as ledger:
        unsettled = len(ledger.orphans())
    whole, unfinished = (rows_of(out / "table", ds) for ds in (FIRST, SECOND))
    torn = [name for name in unfinished if unfinished[name] != whole[name]]
    return [
        _clean("disk full while the ledger grows", _ended(out, "ledger"), "ledger.sqlite"),
        exactly("R13", "rows of profiles shown after it", rows_of(out / "ledger", FIRST).get("profiles", 0), 0),
        exactly("R13", "exit code of the same command with room on the disk", _ended(out, "again").code, 0),
        _clean("disk full while a table is written", _ended(out, "table"), str(disk)),
        exactly("R13", f"tables that show a part of that night, of {len(unfinished)} that show it", len(torn), 0),
        exactly("R13", "rows of profiles shown of the night before it", whole["profiles"], 2 * rows),
        at_most("R13", "calls paid again (at most those whose answers found no room)", again, unsettled),
    ]


def read_only(run: Path, lake: Path) -> list[Figure]:
    """The next night in a lake that cannot be written to."""
    before = rows_of(lake, FIRST)
    script = f"mount --bind {lake} {lake} && mount -o remount,ro,bind {lake} || exit 99\n"
    ended = perform([*NAMESPACE, script + shlex.join(night(run, lake, SECOND))])
    if ended.code in (99, 127) or "unshare" in ended.said:
        return [_skipped("read-only folder", ended)]
    return [
        _clean("read-only folder", ended, str(lake)),
        exactly("R13", "tables that show that night", len(rows_of(lake, SECOND)), 0),
        exactly("R13", "tables that changed", rows_of(lake, FIRST) != before, False),
    ]


def damaged(run: Path, whole: Path, lake: Path) -> list[Figure]:
    """A page in the middle of the ledger is overwritten; the next night needs what stood there."""
    shutil.copytree(whole, lake)
    ledger = lake / "_work" / "ledger.sqlite"
    _damage(ledger)
    ended = perform(night(run, lake, SECOND))
    return [
        _clean("damaged page in the ledger", ended, "ledger.sqlite"),
        exactly("R13", "rows of profiles shown of that night", rows_of(lake, SECOND).get("profiles", 0), 0),
    ]


def clock_back(folder: Path, rows: int) -> list[Figure]:
    """The clock goes back by an hour while calls are in flight."""
    began = time.time()
    with simulator("--answers", "brief", "--latency", "0.05") as endpoint:
        llm = settings(endpoint.url, concurrency=IN_FLIGHT)
        engine = make_engine(llm)

        def clock() -> float:
            return time.time() - (HOUR_S if time.time() > began + 0.3 else 0)

        with Ledger(folder / "ledger.sqlite", clock=clock) as ledger:
            asked = answer_all(questions(RECIPE, books(rows), engine), engine, ledger, llm).asked
        with Ledger(folder / "ledger.sqlite") as ledger:
            again = answer_all(questions(RECIPE, books(rows), engine), engine, ledger, llm).asked
        stats = endpoint.stats()
    return [
        exactly("R13", f"answers of {rows:,} while the clock goes back 1 h", asked, rows),
        exactly("R13", "calls made beyond them, by that run and the next", stats["requests"] - rows + again, 0),
    ]


def _clean(what: str, ended: Ended, named: str) -> Figure:
    """Whether a command ended with exit code 1 and one message that names the place and says what to do."""
    passed = ended.code == 1 and named in ended.message and ";" in ended.message and "Traceback" not in ended.said
    found = f"exit code {ended.code}, {ended.message or ended.said[-300:]!r}"
    return Figure("R13", what, found, f"exit code 1, one message naming {named} and the next step", passed)


def _skipped(what: str, ended: Ended) -> Figure:
    return stated("R13", what, f"skipped: no mount namespace here: {ended.said.strip()[-200:]}")


def _ended(folder: Path, name: str) -> Ended:
    code = int((folder / f"{name}.code").read_text(encoding="ascii"))
    return Ended(code, (folder / f"{name}.err").read_text(encoding="utf-8"))


def _damage(ledger: Path) -> None:
    """Overwrite the pages that hold the key of the middle call."""
    import sqlite3

    with sqlite3.connect(ledger) as database:
        page_size = database.execute("PRAGMA page_size").fetchone()[0]
        keys = [row[0] for row in database.execute("SELECT key FROM states ORDER BY number")]
    database.close()
    content, key = bytearray(ledger.read_bytes()), keys[len(keys) // 2].encode()
    start = content.find(key)
    while start >= 0:
        page = start // page_size * page_size
        content[page : page + page_size] = b"\xa5" * page_size
        start = content.find(key, page + page_size)
    ledger.write_bytes(content)
