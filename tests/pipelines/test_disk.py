"""What the disk raises, in our own words; everything else is raised as it came."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pipelines.disk import disk_errors
from schemas.errors import StoreError

WORK = Path("/work-folder")


def test_a_file_is_named_with_the_cause_and_the_next_step():
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/work-folder/models/x")
    with (
        pytest.raises(StoreError, match=r"^/work-folder/models/x: No space left on device; free some room there, and"),
        disk_errors(WORK),
    ):
        raise error


@pytest.mark.parametrize("error", [OSError(errno.EROFS, "read-only"), ValueError("I/O error: ... (os error 30)")])
def test_where_no_file_is_named_it_is_the_work_folder(error):
    with (
        pytest.raises(StoreError, match=r"^/work-folder: Read-only file system; make it writable, or choose another"),
        disk_errors(WORK),
    ):
        raise error


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "no such file", "x"), ValueError("28"), OSError("?")]
)
def test_what_is_no_error_of_the_disk_is_raised_as_it_came(error):
    with pytest.raises(type(error)) as raised, disk_errors(WORK):
        raise error
    assert raised.value is error


def test_an_error_of_ours_is_raised_as_it_came():
    ours = StoreError("table x: No space left on device (os error 28); ...")
    with pytest.raises(StoreError) as raised, disk_errors(WORK):
        raise ours
    assert raised.value is ours
