"""What a step says of a disk that is full, read-only or broken, wherever in the step it met that."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import LoregraphError, StoreError

NEXT_STEPS = {
    errno.ENOSPC: "free some room there",
    errno.EDQUOT: "free some room there, or have the quota raised",
    errno.EFBIG: "have the limit on the size of files raised",
    errno.EROFS: "make it writable, or choose another `work` in the run file",
    errno.EACCES: "make it writable, or choose another `work` in the run file",
    errno.EPERM: "make it writable, or choose another `work` in the run file",
    errno.EIO: "the disk cannot be read or written; check it, or choose another `work` in the run file",
}


@contextmanager
def disk_errors(work: Path) -> Iterator[None]:
    """Raise StoreError in the place of what the disk raised; it names the file, or the work folder where none is known.

    Libraries in Rust raise errors of their own, and say the system's number in the text.
    """
    try:
        yield
    except LoregraphError:
        raise
    except Exception as error:
        number = _number(error)
        if number not in NEXT_STEPS:
            raise
        named = error.filename if isinstance(error, OSError) else None
        raise StoreError(
            f"{named or work}: {os.strerror(number)}; {NEXT_STEPS[number]}, and run the same command again: what is "
            "finished is kept"
        ) from error


def _number(error: Exception) -> int:
    """The system's number of an error; 0 where it has none."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    said = re.search(r"\(os error (\d+)\)", str(error))
    return int(said[1]) if said else 0
