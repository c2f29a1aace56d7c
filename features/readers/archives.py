"""Unpack zip and tar archives that may be hostile: no path out of the folder, no links, no bombs."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from schemas.errors import DataError

TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
MAX_GROWTH = 200  # unpacked bytes per packed byte; text of ratings and reviews grows by 3 to 20
SLACK = 64 * 2**20  # bytes that any archive may have unpacked


@dataclass(frozen=True)
class Member:
    """One entry of an archive."""

    name: str
    size: int  # bytes, as the archive declares them; a reader gives no more than that
    is_file: bool  # false for links and devices
    open: Callable[[], IO[bytes]]


def is_archive(file: Path) -> bool:
    """Whether the name promises an archive or the content is a zip file."""
    return file.name.lower().endswith((".zip", *TAR_ENDINGS)) or zipfile.is_zipfile(file)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack into an empty folder.

    Raises DataError on what is not a whole archive, and on paths, links and sizes that we refuse.
    """
    with _members(archive) as members:
        _check_sizes(archive, members, folder)
        for member in members:
            target = folder / _safe(archive, member)
            target.parent.mkdir(parents=True, exist_ok=True)
            with member.open() as source, target.open("xb") as out:
                shutil.copyfileobj(source, out)


@contextmanager
def _members(archive: Path) -> Iterator[list[Member]]:
    try:
        if archive.name.lower().endswith(TAR_ENDINGS):
            with tarfile.open(archive) as tar:
                yield [_of_tar(tar, entry) for entry in tar if not entry.isdir()]
        else:
            with zipfile.ZipFile(archive) as packed:
                yield [_of_zip(packed, entry) for entry in packed.infolist() if not entry.is_dir()]
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{archive.name}: not an archive that can be unpacked: {error}") from None
    except FileExistsError as error:
        raise DataError(f"{archive.name}: holds {Path(error.filename).name} twice") from None


def _of_tar(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> Member:
    def opened() -> IO[bytes]:
        content = tar.extractfile(entry)
        assert content is not None, "only regular files are opened"
        return content

    return Member(entry.name, entry.size, entry.isreg(), opened)


def _of_zip(packed: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    return Member(entry.filename, entry.file_size, kind in (0, stat.S_IFREG), lambda: packed.open(entry))


def _safe(archive: Path, member: Member) -> PurePosixPath:
    path = PurePosixPath(member.name.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or not member.is_file:
        raise DataError(
            f"{archive.name}: refused: {member.name!r} is a link or leads out of the folder; nothing was kept"
        )
    return path


def _check_sizes(archive: Path, members: list[Member], folder: Path) -> None:
    for member in members:
        _safe(archive, member)  # before anything is written
    total, packed = sum(member.size for member in members), archive.stat().st_size
    if total > MAX_GROWTH * packed + SLACK:
        raise DataError(
            f"{archive.name}: refused: {packed} bytes would unpack to {total}, more than {MAX_GROWTH} times"
        )
    if total > (free := shutil.disk_usage(folder).free):
        raise DataError(f"{archive.name}: unpacks to {total} bytes, {folder.parent.parent} has {free} free")
