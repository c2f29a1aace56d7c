"""Downloads from a real local server: good and bad archives, checksums, and addresses that do not answer."""

from __future__ import annotations

import gzip
import hashlib
import io
import socket
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from features.readers import read_source
from features.readers.archives import SLACK
from schemas.errors import ConfigError, DataError
from schemas.sections import Data

CSV = b"user_id,item_id\nu1,i1\nu2,i2\n"


def zipped(**files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def tarred(*members):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, kind, data in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = kind, len(data) if kind == tarfile.REGTYPE else 0, "/etc/passwd"
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


GOOD = zipped(**{"set/interactions.csv": CSV, "set/more/readme.txt": b"hello"})
FILES = {
    "/good.zip": GOOD,
    "/flat.zip": zipped(**{"interactions.csv": CSV, "items.csv": b"id,title\ni1,One\ni2,Two\n"}),
    "/good.tar.gz": tarred(("set/interactions.csv", tarfile.REGTYPE, CSV)),
    "/interactions.csv.gz": gzip.compress(CSV),
    "/page.zip": b"<html>log in first</html>",
    "/escape.zip": zipped(**{"interactions.csv": CSV, "../escaped.txt": b"x"}),
    "/absolute.zip": zipped(**{"/tmp/loregraph-escaped.txt": b"x"}),
    "/backslash.zip": zipped(**{"..\\escaped.txt": b"x"}),
    "/link.tar.gz": tarred(("interactions.csv", tarfile.SYMTYPE, b"")),
    "/escape.tar.gz": tarred(("../../escaped.txt", tarfile.REGTYPE, b"x")),
    "/bomb.zip": zipped(**{"interactions.csv": bytes(SLACK + 50 * 2**20)}),
    "/other.zip": zipped(**{"notes.txt": b"nothing to read"}),
    "/cut.zip": GOOD[: len(GOOD) // 2],
}


class Files(BaseHTTPRequestHandler):
    """Serves FILES; `/short/...` promises more bytes than it sends."""

    def do_GET(self):
        content = FILES.get(self.path.removeprefix("/short").split("?")[0])
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) + (100 if self.path.startswith("/short") else 0)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        """Keeps the test's output clean."""


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def ignored(what, done, total):
    """Progress that nobody looks at."""


def data_of(tmp_path, url, **more):
    return Data(path=str(tmp_path / "raw" / "data"), url=url, **more)


def fails(tmp_path, data, *parts, error=DataError):
    """The parts are in the message, and nothing is left of the download."""
    with pytest.raises(error) as caught:
        read_source(data, ignored)
    for part in parts:
        assert part in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["good.zip", "flat.zip", "good.tar.gz", "interactions.csv.gz", "good.zip?token=1"])
def test_download_and_read(tmp_path, server, name):
    digest = hashlib.sha256(FILES[f"/{name.split('?')[0]}"]).hexdigest()
    source = read_source(data_of(tmp_path, f"{server}/{name}", sha256=digest.upper()), ignored)
    assert source.interactions.rows() == [("u1", "i1"), ("u2", "i2")]
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["data"]  # no temporary folder stays


def test_progress_reaches_the_end(tmp_path, server):
    calls = []
    read_source(data_of(tmp_path, f"{server}/good.zip"), lambda *call: calls.append(call))
    assert ("good.zip", len(GOOD), len(GOOD)) in calls


def test_without_progress_a_bar_is_drawn_on_stderr(tmp_path, server, capsys):
    read_source(data_of(tmp_path, f"{server}/good.zip"))
    output = capsys.readouterr()
    assert "good.zip" in output.err
    assert output.out == ""


def test_data_that_are_there_are_not_downloaded(tmp_path):
    folder = tmp_path / "raw" / "data"
    folder.mkdir(parents=True)
    (folder / "interactions.csv").write_bytes(CSV)
    assert read_source(data_of(tmp_path, "http://127.0.0.1:9/x.zip")).interactions.height == 2


def test_other_files_of_the_folder_stay(tmp_path, server):
    folder = tmp_path / "raw" / "data"
    folder.mkdir(parents=True)
    (folder / "README").write_text("put the data here")
    read_source(data_of(tmp_path, f"{server}/good.zip"), ignored)
    assert sorted(path.name for path in folder.iterdir()) == ["README", "interactions.csv", "more"]


def test_wrong_checksum(tmp_path, server):
    data = data_of(tmp_path, f"{server}/good.zip", sha256="0" * 64)
    fails(tmp_path, data, "good.zip: sha256: expected 000", hashlib.sha256(GOOD).hexdigest(), "Nothing was kept")


def test_not_found(tmp_path, server):
    url = f"{server}/missing.zip"
    fails(tmp_path, data_of(tmp_path, url), url, "404", str(tmp_path / "raw" / "data"), "interactions.{parquet")


def test_connection_refused(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can answer there
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/good.zip"
        data = data_of(tmp_path, url)
        fails(tmp_path, data, url, "cannot be reached", str(tmp_path / "raw" / "data"), "interactions.{parquet")


def test_connection_that_ends_early(tmp_path, server):
    fails(tmp_path, data_of(tmp_path, f"{server}/short/good.zip"), f"expected {len(GOOD) + 100} bytes")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x.zip", "good.zip"])
def test_other_schemes(tmp_path, url):
    fails(tmp_path, data_of(tmp_path, url), "http://", error=ConfigError)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("escape.zip", "'../escaped.txt' is a link or leads out"),
        ("absolute.zip", "leads out of the folder"),
        ("backslash.zip", "leads out of the folder"),
        ("link.tar.gz", "is a link"),
        ("escape.tar.gz", "leads out of the folder"),
        ("bomb.zip", "more than 200 times"),
        ("page.zip", "page.zip: not an archive"),
        ("cut.zip", "cut.zip: not an archive"),
    ],
)
def test_hostile_and_broken_archives(tmp_path, server, name, found):
    fails(tmp_path, data_of(tmp_path, f"{server}/{name}"), name, found)


def test_an_archive_of_something_else(tmp_path, server):
    with pytest.raises(DataError, match=r"other.zip: unpacked into .*, but expected interactions"):
        read_source(data_of(tmp_path, f"{server}/other.zip"), ignored)
