"""Hostile files: each is refused with its name and a next step, loses rows by a rule, or is read as it stands.

Every file is read in a process of its own that may take neither more than 3 GiB of addresses beyond what it starts with
nor more than half a minute, so a file that eats memory, hangs or crashes the process fails its test.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import select
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

HEADER = "user_id,item_id,rating,timestamp"
GOOD = [f"u{n % 10},i{n // 10},{1 + n % 5},{1_600_000_000 + n}" for n in range(100)]
ITEMS = "id,title\n" + "".join(f"i{n},Title {n}\n" for n in range(10))
SCRIPT, OVERRIDE = "<script>alert(1)</script>", "\N{RIGHT-TO-LEFT OVERRIDE}"
READER = """
import json, resource, sys
from features.readers import read_source
from schemas.errors import LoregraphError
from schemas.sections import Data
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
for line in sys.stdin:
    resource.setrlimit(resource.RLIMIT_AS, (taken + 3 * 2**30, resource.RLIM_INFINITY))
    try:
        source = read_source(Data(path=line.strip()))
        found = {name: getattr(source, name).to_dicts() for name in ("interactions", "items", "rejects")}
        said = {**found, "notes": source.notes}
    except LoregraphError as error:
        said = {"error": type(error).__name__, "text": str(error)}
    except BaseException as error:
        said = {"crash": type(error).__name__, "text": str(error)[:500]}
    print(json.dumps(said, default=str), flush=True)
"""


class Reader:
    """One process for all tests: starting one for each takes longer than reading."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        settings = {**os.environ, "POLARS_MAX_THREADS": "2", "OMP_NUM_THREADS": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([sys.executable, "-c", READER], **pipes, text=True, env=settings)

    def __call__(self, folder: Path) -> dict:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{folder}\n")
        self.process.stdin.flush()
        line = self._line(30.0)
        if not line:
            self.process.kill()
            self.process.wait()
            self._start()
            pytest.fail("the reader hangs, or its process has died")
        found = json.loads(line)
        assert "crash" not in found, found
        return found

    def _line(self, seconds: float) -> str:
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        return self.process.stdout.readline() if ready else ""

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def read():
    reader = Reader()
    yield reader
    reader.close()


def write(folder: Path, content: str | bytes, name: str = "interactions.csv") -> None:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def events(folder: Path, *rows: str) -> None:
    write(folder, "\n".join([HEADER, *GOOD, *rows]) + "\n")


def refused(found: dict, *parts: str) -> None:
    assert found.get("error") == "DataError", found
    for part in parts:
        assert part in found["text"]


def title_of(found: dict, id: str) -> str:
    return next(item["title"] for item in found["items"] if item["id"] == id)


# read as they stand


def test_a_field_of_five_million_characters(read, tmp_path):
    events(tmp_path)
    write(tmp_path, ITEMS + "i10," + "x" * 5_000_000 + "\n", "items.csv")
    assert len(title_of(read(tmp_path), "i10")) == 5_000_000


def test_a_byte_order_mark_is_no_part_of_a_name(read, tmp_path):
    write(tmp_path, "\ufeff" + "\n".join([HEADER, *GOOD]))
    assert len(read(tmp_path)["interactions"]) == 100


def test_mixed_line_ends(read, tmp_path):
    write(tmp_path, HEADER + "\r\n" + "\r\n".join(GOOD[:50]) + "\n" + "\n".join(GOOD[50:]) + "\r\n")
    found = read(tmp_path)
    assert len(found["interactions"]) == 100
    assert not any("\r" in str(row) for row in found["interactions"])


def test_nul_control_and_direction_characters_stay_data(read, tmp_path):
    events(tmp_path, f"u{OVERRIDE}1,i1,3,1600000000", "u\x001,i1,3,1600000000")
    write(tmp_path, ITEMS.replace("Title 3", "Ti\x1b[31mtle\x07 3"), "items.csv")
    found = read(tmp_path)
    assert {f"u{OVERRIDE}1", "u\x001"} <= {row["user_id"] for row in found["interactions"]}
    assert title_of(found, "i3") == "Ti\x1b[31mtle\x07 3"


def test_scripts_formulas_and_paths_are_ids_like_others(read, tmp_path):
    events(tmp_path, f"{SCRIPT},=cmd|' /C calc'!A0,3,1600000000", "../../etc/passwd,../..,3,1600000000")
    rows = {(row["user_id"], row["item_id"]) for row in read(tmp_path)["interactions"]}
    assert {(SCRIPT, "=cmd|' /C calc'!A0"), ("../../etc/passwd", "../..")} <= rows


def test_columns_that_are_called_as_ours_inside(read, tmp_path):
    write(tmp_path, "\n".join([HEADER + ",_file,_row", *(f"{row},/etc/passwd,7" for row in GOOD)]))
    assert len(read(tmp_path)["interactions"]) == 100


def test_nested_columns_of_items_become_json_and_bytes_are_left_out(read, tmp_path):
    events(tmp_path)
    nested = {"tags": [[["a"], ["b"]]] * 10, "made": [{"x": {"y": [1]}}] * 10, "cover": [b"\xff"] * 10}
    pl.DataFrame({"id": [f"i{n}" for n in range(10)], **nested}).write_parquet(tmp_path / "items.parquet")
    found = read(tmp_path)
    assert found["items"][0] == {"id": "i0", "tags": '["a"]; ["b"]', "made": '{"x":{"y":[1]}}'}
    assert any(note.startswith("cover: ") for note in found["notes"])


def test_a_link_is_followed_as_its_owner_meant_it(read, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    events(tmp_path / "elsewhere")
    (tmp_path / "data" / "interactions.csv").symlink_to(tmp_path / "elsewhere" / "interactions.csv")
    (tmp_path / "data" / "users.csv").symlink_to("nowhere")
    assert len(read(tmp_path / "data")["interactions"]) == 100


def test_a_folder_called_as_a_file_is_no_file(read, tmp_path):
    events(tmp_path)
    (tmp_path / "items.csv").mkdir()
    assert "no items file" in read(tmp_path)["notes"][0]


# rows that are lost by a rule


def test_numbers_that_are_too_large_or_none(read, tmp_path):
    rows = (f"u1,i1,{10**400},1600000000", f"u2,i2,3,{10**30}", "u3,i3,nan,1600000000", "u4,i4,-inf,1600000000")
    events(tmp_path, f"{2**80},i1,3,1600000000", *rows, "u1,i1")
    found = read(tmp_path)
    assert [row["reason"] for row in found["rejects"]] == ["bad_rating", "bad_timestamp", *["bad_rating"] * 3]
    assert str(2**80) in {row["user_id"] for row in found["interactions"]}


# refused


@pytest.mark.parametrize("name", ["/dev/zero", "fifo", "loop"])
def test_devices_pipes_and_loops_are_no_files(read, tmp_path, name):
    place = tmp_path / "interactions.csv"
    if name == "fifo":
        os.mkfifo(place)
    else:
        place.symlink_to(place if name == "loop" else name)
    refused(read(tmp_path), "expected interactions.{parquet", "found none of them")


@pytest.mark.parametrize(("coding", "said"), [("utf-16", "iconv -f utf-16"), ("latin-1", "iconv -f latin1")])
def test_other_codings_are_told_how_to_be_converted(read, tmp_path, coding, said):
    write(tmp_path, "\n".join([HEADER, *GOOD, "é,i1,3,1600000000"]).encode(coding))
    refused(read(tmp_path), "interactions.csv", "expected UTF-8", said)


def test_lines_that_end_in_carriage_returns_alone(read, tmp_path):
    write(tmp_path, "\r".join([HEADER, *GOOD]) + "\r")
    refused(read(tmp_path), "found CR alone", "tr '\\r' '\\n' < interactions.csv")


def test_a_million_columns(read, tmp_path):
    write(tmp_path, ",".join(["user_id", "item_id", *(f"c{n}" for n in range(1_000_000))]) + "\n1,2\n")
    refused(read(tmp_path), "at most 10000 columns, found 1000002")


def test_lines_whose_fields_are_all_different(read, tmp_path):
    lines = (f'{{"user_id":"u{n % 5}","item_id":"i{n % 7}","k{n}":1}}' for n in range(100_000))
    write(tmp_path, "\n".join(lines), "interactions.jsonl")
    refused(read(tmp_path), "line 1999", "at most 2000 fields")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"user_id":"a","item_id":"b","x":' + "[" * 100_000 + "]" * 100_000 + "}", "not valid JSON"),
        ('{"user_id":"a","item_id":"b","rating":NaN}', "NaN is not a JSON value"),
        ('{"user_id":["a"],"item_id":{"b":1}}', "expected text or whole numbers"),
    ],
)
def test_json_that_is_deep_or_none(read, tmp_path, line, said):
    write(tmp_path, f"{line}\n{line}\n", "interactions.jsonl")
    refused(read(tmp_path), "interactions.jsonl", said)


def test_a_gzip_bomb_of_lines(read, tmp_path):
    with gzip.open(tmp_path / "interactions.csv.gz", "wb", 9) as packed:
        for _ in range(200):
            packed.write(b"\n" * 2**20)
    refused(read(tmp_path), "interactions.csv.gz", "unpack to more than 200 times as many")


def test_a_gzip_bomb_of_one_line(read, tmp_path):
    with gzip.open(tmp_path / "interactions.jsonl.gz", "wb", 1) as packed:
        packed.write(b'{"user_id":"')
        for _ in range(200):
            packed.write(b"a" * 2**20)
    refused(read(tmp_path), "line 1", "at most 64 MiB")


def test_a_parquet_bomb_of_rows(read, tmp_path):
    zeros = pa.array(np.zeros(40_000_000, "int8"))
    pq.write_table(
        pa.table({"user_id": zeros, "item_id": zeros}), tmp_path / "interactions.parquet", compression="zstd"
    )
    refused(read(tmp_path), "interactions.parquet", "would become 40000000 rows")


def test_a_parquet_bomb_of_bytes(read, tmp_path):
    wide = pa.table({"user_id": ["a" * 2**20] * 300, "item_id": ["x"] * 300})
    plain = {"use_dictionary": False, "write_statistics": False}
    pq.write_table(wide, tmp_path / "interactions.parquet", compression="zstd", **plain)
    refused(read(tmp_path), "interactions.parquet", "refused")


def test_parquet_with_one_column_twice(read, tmp_path):
    names = ["user_id", "item_id", "item_id"]
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 3, names=names), tmp_path / "interactions.parquet")
    refused(read(tmp_path), "interactions.parquet", "item_id", "more than one occurrence")


def test_parquet_that_is_cut_off_or_lies_about_itself(read, tmp_path):
    """Also where the library below panics instead of raising: some of these bytes make it do so."""
    pl.DataFrame({"user_id": [f"u{n % 9}" for n in range(300)], "item_id": list(range(300))}).write_parquet(
        tmp_path / "whole.parquet"
    )
    whole, draw = (tmp_path / "whole.parquet").read_bytes(), random.Random(0)
    write(tmp_path, whole[: len(whole) // 2], "interactions.parquet")
    refused(read(tmp_path), "interactions.parquet", "not a Parquet file that can be read")
    write(tmp_path, whole[:-8] + (0x7FFFFFFF).to_bytes(4, "little") + b"PAR1", "interactions.parquet")
    refused(read(tmp_path), "interactions.parquet", "not a Parquet file that can be read")
    for _ in range(100):
        changed = bytearray(whole)
        for _ in range(draw.randint(1, 6)):
            changed[draw.randrange(4, len(whole) - 4)] = draw.randrange(256)
        write(tmp_path, bytes(changed), "interactions.parquet")
        read(tmp_path)
