"""Signs of life: there while a step runs, gone when it ends, left behind by one that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from pipelines.progress import Progress
from pipelines.watching import pulse
from pipelines.watching.pulse import LOST_AFTER_S, MISSED_S, Sign, beating, signs

STEP = """
import sys, time
from pathlib import Path
from pipelines.progress import Progress
from pipelines.watching.pulse import beating
progress = Progress(shown=False)
with beating(Path(sys.argv[1]), "train", "train", 2, progress), progress.track("train", 9) as advance:
    advance(4, "lightgcn")
    time.sleep(60)
"""


def until(folder: Path, done: int) -> Sign:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if (found := signs(folder)) and found[0].done == done:
            return found[0]
        time.sleep(0.01)
    raise AssertionError(f"no sign of {done} in {folder}")


def test_a_step_that_runs_says_how_far_it_is_and_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(pulse, "EVERY_S", 0.01)
    progress = Progress(shown=False)
    with beating(tmp_path, "generate", "generate--a--0", 1, progress):
        with progress.track("ask a", 10) as advance:
            advance(3, "1.0/s")
            sign = until(tmp_path, 3)
            with progress.track("inside"):
                assert progress.now is not None
                assert progress.now.label == "inside"
        assert progress.now is None
        assert (sign.label, sign.total, sign.note, sign.pid) == ("ask a", 10, "1.0/s", os.getpid())
        assert sign.lives(time.time())
    assert signs(tmp_path) == []


def test_a_killed_process_leaves_a_sign_that_is_soon_known_to_be_its_last(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", STEP, str(tmp_path)])
    try:
        sign = until(tmp_path, 4)
        assert sign.lives(time.time())
        assert sign.attempt == 2
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = signs(tmp_path)[0]
    assert left.lives(left.at + MISSED_S - 0.1)
    assert not left.lives(left.at + MISSED_S + 0.1)


def test_a_process_of_another_machine_is_known_by_its_silence_alone(tmp_path: Path) -> None:
    far = Sign("train", "train", 1, 2**22, "another-host", began=0.0, at=100.0)
    assert far.lives(100.0 + LOST_AFTER_S - 0.1)
    assert not far.lives(100.0 + LOST_AFTER_S + 0.1)


def test_time_left_is_told_where_there_is_something_to_go_by() -> None:
    about = Sign("train", "train", 1, 1, "host", began=0.0, at=30.0, since=10.0)
    assert Sign(**{**vars(about), "done": 5, "total": 20}).seconds_left() == 60.0
    assert Sign(**{**vars(about), "done": 5}).seconds_left() is None
    assert Sign(**{**vars(about), "done": 1, "total": 20}).seconds_left() is None


def test_a_folder_that_cannot_be_written_ends_no_night(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with beating(tmp_path / "file", "train", "train", 1, Progress(shown=False)):
        pass
    assert signs(tmp_path / "file") == []
