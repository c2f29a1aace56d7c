"""Fill a data folder from `data.url`: download, checksum, unpack in a temporary folder, and one rename at the end."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from features.readers.archives import is_archive, unpack
from features.readers.source import Progress, Reader
from schemas.errors import ConfigError, DataError
from schemas.sections import Data

BLOCK = 2**20
TIMEOUT_S = 30.0


def ensure_data(data: Data, reader: Reader, progress: Progress | None = None) -> Path:
    """The folder that holds the reader's files; when there are none and `data.url` is set, they are downloaded first.

    Raises DataError naming the URL, the folder to fill and the files expected there.
    """
    if "://" in data.path:
        raise ConfigError(f"data.path = {data.path}: expected a local folder, found a URL; copy the source files first")
    folder = Path(data.path)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: expected a folder with {reader.expects}, found a file")
    if found := reader.locate(folder, data):
        return found
    if data.url is None:
        state = "found none of them" if folder.exists() else "found no such folder"
        named = f"data.files.interactions = {data.files['interactions']}" if "interactions" in data.files else None
        raise DataError(
            f"{folder}: expected {named or reader.expects}; {state}. Put the files there, or set data.url; files with "
            f"other names are named in data.files, and `loregraph init {folder}` writes a run file that fits them"
        )
    download(data.url, folder, data.sha256, reader.expects, progress)
    if found := reader.locate(folder, data):
        return found
    raise DataError(f"{data.url}: unpacked into {folder}, but expected {reader.expects} in it")


def download(url: str, folder: Path, sha256: str | None, expects: str, progress: Progress | None = None) -> None:
    """Download `url` into `folder`, unpacking zip and tar. Nothing is left behind in the folder when it fails."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(f"data.url = {url}: expected an address that starts with http:// or https://")
    with _reported(url, folder, expects):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder.parent) as temporary:
            archive = Path(temporary) / _file_name(url)
            _check(url, _fetch(url, archive, progress), sha256)
            content = Path(temporary) / "content"
            content.mkdir()
            if is_archive(archive):
                unpack(archive, content)
            else:
                archive.rename(content / archive.name)
            _publish(content, folder)


@contextmanager
def _reported(url: str, folder: Path, expects: str) -> Iterator[None]:
    """Turns what the network and the disk can raise into a DataError that says what to do by hand."""
    by_hand = f"put these files into {folder} yourself: {expects}"
    try:
        yield
    except urllib.error.HTTPError as error:
        raise DataError(f"{url}: the server answered {error.code} {error.reason}; {by_hand}") from None
    except urllib.error.URLError as error:
        raise DataError(f"{url}: cannot be reached ({error.reason}); {by_hand}") from None
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{url}: download failed ({error}); {by_hand}") from None


def _fetch(url: str, file: Path, progress: Progress | None) -> str:
    """Stream into `file`; returns the sha256 of what came."""
    digest, done = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, file.open("wb") as out, _bar(progress) as report:
        total = int(answer.headers.get("Content-Length") or 0)
        while block := answer.read(BLOCK):
            out.write(block)
            digest.update(block)
            done += len(block)
            report(file.name, done, total)
    if done < total:
        raise DataError(f"{url}: expected {total} bytes, the connection ended after {done}; run the command again")
    return digest.hexdigest()


@contextmanager
def _bar(progress: Progress | None) -> Iterator[Progress]:
    """The caller's progress, or a bar on stderr."""
    if progress is not None:
        yield progress
        return
    from rich import progress as bars  # only when something is downloaded
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("download", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total or None)


def _check(url: str, found: str, expected: str | None) -> None:
    if expected is not None and found != expected.strip().lower():
        raise DataError(
            f"{url}: sha256: expected {expected}, found {found}; the file is damaged or has changed. "
            "Nothing was kept. Compare with the publisher's checksum, then set data.sha256"
        )


def _file_name(url: str) -> str:
    return unquote(urlsplit(url).path).replace("\\", "/").rsplit("/", 1)[-1].lstrip(".") or "download"


def _publish(content: Path, folder: Path) -> None:
    """Rename the whole folder into place; into a folder that holds other files, entry by entry."""
    entries = list(content.iterdir())
    if len(entries) == 1 and entries[0].is_dir():
        content, entries = entries[0], list(entries[0].iterdir())  # the archive brought a folder of its own
    if not folder.exists() or not any(folder.iterdir()):
        content.replace(folder)
        return
    for entry in entries:
        if (folder / entry.name).exists():
            raise DataError(f"{folder / entry.name}: is in the way of the download; move it, and run the command again")
    for entry in entries:
        shutil.move(entry, folder / entry.name)
