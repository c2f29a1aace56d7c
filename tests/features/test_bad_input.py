"""Bad input: every case is a clear error that names the place and the next step, or a documented rule with a count."""

from __future__ import annotations

import gzip

import polars as pl
import pytest

from features.readers import read_source
from features.readers.lines import BLOCK
from schemas.errors import ConfigError, DataError
from schemas.sections import Data

GOOD = [f"u{n % 10},i{n // 10},{1 + n % 5},{1_600_000_000 + n}" for n in range(100)]
HEADER = "user_id,item_id,rating,timestamp"
ITEMS = "id,title\n" + "".join(f"i{n},Title {n}\n" for n in range(10))


def folder_of(tmp_path, rows=GOOD, header=HEADER, items=ITEMS, users=None):
    (tmp_path / "interactions.csv").write_text("\n".join([header, *rows]) + "\n")
    for name, text in (("items", items), ("users", users)):
        if text is not None:
            (tmp_path / f"{name}.csv").write_text(text)
    return Data(path=str(tmp_path))


def fails(data, *parts, error=DataError):
    """The message of the error that reading raises; every part must be in it."""
    with pytest.raises(error) as caught:
        read_source(data)
    for part in parts:
        assert part in str(caught.value)
    return str(caught.value)


def test_good_data_have_nothing_to_report(tmp_path):
    source = read_source(folder_of(tmp_path))
    assert (source.interactions.height, source.rejects.height, source.notes) == (100, 0, ())


# missing and empty


def test_missing_folder(tmp_path):
    fails(Data(path=str(tmp_path / "none")), "none", "interactions.{parquet", "no such folder", "data.url")


def test_missing_interactions(tmp_path):
    (tmp_path / "items.csv").write_text(ITEMS)
    fails(Data(path=str(tmp_path)), "interactions.{parquet", "found none of them")


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "x.csv").write_text(HEADER)
    fails(Data(path=str(tmp_path / "x.csv")), "x.csv", "expected a folder")


def test_an_object_store_is_refused(tmp_path):
    fails(Data(path="s3://bucket/data"), "s3://bucket/data", "expected a local folder", error=ConfigError)


@pytest.mark.parametrize("content", ["", HEADER, HEADER + "\n"])
def test_empty_interactions(tmp_path, content):
    (tmp_path / "interactions.csv").write_text(content)
    fails(Data(path=str(tmp_path)), "interactions.csv", "expected rows")


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_empty_json_lines(tmp_path, content):
    (tmp_path / "interactions.jsonl").write_text(content)
    fails(Data(path=str(tmp_path)), "interactions.jsonl", "expected rows")


def test_empty_items(tmp_path):
    fails(folder_of(tmp_path, items="id,title\n"), "items.csv", "expected rows, found none")


def test_not_a_parquet_file(tmp_path):
    (tmp_path / "interactions.parquet").write_bytes(b"hello")
    fails(Data(path=str(tmp_path)), "interactions.parquet", "not a Parquet file")


def test_truncated_gzip(tmp_path):
    whole = gzip.compress("\n".join([HEADER, *GOOD]).encode())
    (tmp_path / "interactions.csv.gz").write_bytes(whole[: len(whole) // 2])
    fails(Data(path=str(tmp_path)), "interactions.csv.gz", "not a whole gzip file")


def test_not_gzip_at_all(tmp_path):
    (tmp_path / "interactions.jsonl.gz").write_text("{}\n")
    fails(Data(path=str(tmp_path)), "interactions.jsonl.gz", "not a whole gzip file")


# columns


def test_unknown_column_names_file_wanted_there_and_nearest(tmp_path):
    data = folder_of(tmp_path, header="userid,item_id,rating,timestamp")
    message = fails(data, "interactions.csv", "user_id: unknown", "did you mean userid?")
    assert "known: item_id, rating, timestamp, userid" in message
    assert "set data.columns.user_id" in message


def test_unknown_mapped_column(tmp_path):
    data = folder_of(tmp_path).model_copy(update={"columns": {"rating": "ratings"}})
    fails(data, "interactions.csv", "ratings: unknown", "did you mean rating?", "data.columns.rating")


def test_unknown_name_of_ours(tmp_path):
    data = folder_of(tmp_path).model_copy(update={"columns": {"userid": "user_id"}})
    fails(data, "data.columns: userid: unknown, did you mean user_id?", error=ConfigError)


def test_items_without_id(tmp_path):
    fails(folder_of(tmp_path, items="item_id,title\ni1,x\n"), "items.csv", "id: unknown", "data.item_columns.id")


def test_the_same_column_twice(tmp_path):
    fails(folder_of(tmp_path, header="user_id,item_id,rating,rating"), "column rating", "several times")


def test_rows_with_too_many_fields(tmp_path):
    fails(folder_of(tmp_path, rows=[*GOOD, "u1,i1,2,1600000000,what"]), "interactions.csv", "not a table")


def test_min_rating_without_ratings(tmp_path):
    data = folder_of(tmp_path, rows=["u1,i1", "u2,i2"], header="user_id,item_id", items=None)
    fails(data.model_copy(update={"min_rating": 4.0}), "data.min_rating", "no ratings", error=ConfigError)


# ids


@pytest.mark.parametrize("row", ["i3,Other title", "i3,Title 3"])
def test_duplicate_item_ids_equal_rows_too(tmp_path, row):
    fails(folder_of(tmp_path, items=ITEMS + row + "\n"), "items.csv", "'i3'", "row 4", "one row per id")


def test_duplicate_user_ids(tmp_path):
    users = "id\n" + "".join(f"u{n}\n" for n in range(10)) + "u7\n"
    fails(folder_of(tmp_path, users=users), "users.csv", "'u7'", "expected once")


def test_empty_ids_become_rejects(tmp_path):
    source = read_source(folder_of(tmp_path, rows=[*GOOD, ",i1,3,1600000000", "u1,  ,3,1600000000"]))
    assert source.rejects.select("row", "id", "reason").rows() == [(101, "/i1", "empty_id"), (102, "u1/", "empty_id")]
    assert source.rejects["file"][0].endswith("interactions.csv")
    assert source.interactions.height == 100


def test_empty_item_ids_become_rejects(tmp_path):
    source = read_source(folder_of(tmp_path, items=ITEMS + ",Nameless\n"))
    assert source.rejects.select("row", "reason").rows() == [(11, "empty_id")]
    assert source.items.height == 10


def write_frames(tmp_path, interactions, items):
    interactions.write_parquet(tmp_path / "interactions.parquet")
    items.write_parquet(tmp_path / "items.parquet")
    return Data(path=str(tmp_path))


@pytest.mark.parametrize("dtype", [pl.Int64, pl.Int32, pl.UInt64, pl.Float64, pl.Float32, pl.String, pl.Categorical])
def test_numbers_in_one_file_and_text_in_the_other(tmp_path, dtype):
    ids = pl.Series([1, 2, 10])
    column = ids.cast(pl.String).cast(dtype) if dtype in (pl.String, pl.Categorical) else ids.cast(dtype)
    data = write_frames(
        tmp_path, pl.DataFrame({"user_id": column, "item_id": column}), pl.DataFrame({"id": ["1", "2", "10"]})
    )
    source = read_source(data)
    assert source.interactions["item_id"].to_list() == ["1", "2", "10"]
    assert source.items.height == 3
    assert source.notes == ()


def test_whole_numbers_that_a_tool_wrote_as_floats(tmp_path):
    data = folder_of(tmp_path, rows=["1.0,7.0", "2.0,8.0"], header="user_id,item_id", items="id\n7\n8\n")
    assert read_source(data).interactions.rows() == [("1", "7"), ("2", "8")]


def test_fractions_are_no_ids(tmp_path):
    frame = pl.DataFrame({"user_id": [1.5, 2.0], "item_id": ["a", "b"]})
    fails(write_frames(tmp_path, frame, pl.DataFrame({"id": ["a", "b"]})), "user_id", "found 1.5", "write ids as text")


def test_floats_too_large_to_be_exact_are_no_ids(tmp_path):
    frame = pl.DataFrame({"user_id": [2.0**60, 2.0], "item_id": ["a", "b"]})
    fails(write_frames(tmp_path, frame, pl.DataFrame({"id": ["a", "b"]})), "user_id", "write ids as text")


def test_lists_are_no_ids(tmp_path):
    frame = pl.DataFrame({"user_id": [["a"], ["b"]], "item_id": ["a", "b"]})
    fails(write_frames(tmp_path, frame, pl.DataFrame({"id": ["a", "b"]})), "user_id", "found List(String)")


def test_leading_zeros_are_kept(tmp_path):
    data = folder_of(tmp_path, rows=["u1,007", "u2,7"], header="user_id,item_id", items="id\n007\n7\n")
    assert read_source(data).items["id"].to_list() == ["007", "7"]


def test_leading_zeros_in_one_file_only(tmp_path):
    data = folder_of(tmp_path, rows=["u1,7", "u2,8"], header="user_id,item_id", items="id\n007\n008\n")
    fails(data, "interactions.csv", "items.csv", "'7' here and '007' there", "leading zeros")


def test_other_ids_altogether(tmp_path):
    data = folder_of(tmp_path, rows=["u1,a", "u2,b", "u3,c"], header="user_id,item_id", items="id\nx\ny\na\n")
    fails(data, "item_id", "2 are not there", "'b' here and 'x' there")


def test_a_few_unknown_ids_are_added(tmp_path):
    source = read_source(folder_of(tmp_path, rows=[*GOOD, "u1,new,3,1600000000"]))
    assert source.items.filter(pl.col("id") == "new").rows() == [("new", None)]
    assert len(source.notes) == 1
    assert source.notes[0].startswith("1 item ids of ")
    assert source.notes[0].endswith("items.csv: added without attributes")


# values


@pytest.mark.parametrize("rating", ["", "NaN", "inf", "-inf", "good"])
def test_bad_ratings_become_rejects(tmp_path, rating):
    source = read_source(folder_of(tmp_path, rows=[*GOOD, f"u1,i9,{rating},1600000000"]))
    assert source.rejects.select("row", "id", "reason").rows() == [(101, "u1/i9", "bad_rating")]
    assert source.rejects["detail"][0] == f"rating: expected a finite number, found {rating or 'nothing'}"
    assert source.interactions.height == 100


def test_nan_in_a_float_column(tmp_path):
    frame = pl.DataFrame({"user_id": ["a", "b"] * 20, "item_id": [f"i{n}" for n in range(40)]})
    frame = frame.with_columns(rating=pl.Series([float("nan")] + [4.0] * 39))
    source = read_source(write_frames(tmp_path, frame, pl.DataFrame({"id": [f"i{n}" for n in range(40)]})))
    assert source.rejects["reason"].to_list() == ["bad_rating"]
    assert source.interactions["rating"].to_list() == [4.0] * 39


@pytest.mark.parametrize("time", ["", "-5", "yesterday", "4200000000"])
def test_bad_timestamps_become_rejects(tmp_path, time):
    source = read_source(folder_of(tmp_path, rows=[*GOOD, f"u1,i9,3,{time}"]))
    assert source.rejects.select("row", "reason").rows() == [(101, "bad_timestamp")]
    assert source.rejects["detail"][0].endswith(f"found {time or 'nothing'}")


def test_more_than_a_twentieth_of_rejects(tmp_path):
    rows = [*GOOD[:94], *["u1,i9,NaN,1600000000"] * 4, *["u1,i9,3,-1"] * 2]
    message = fails(folder_of(tmp_path, rows=rows), "interactions.csv: 6 of 100 interaction rows (6.0 %)")
    assert "bad_rating 4 (first: row 95, 'u1/i9', rating: expected a finite number, found NaN)" in message
    assert "bad_timestamp 2" in message
    assert read_source(folder_of(tmp_path, rows=rows[:95] + GOOD[95:])).rejects.height == 1


@pytest.mark.parametrize(
    ("factor", "unit", "fix"),
    [
        (1_000, "s", "ms"),
        (1_000_000, "s", "us"),
        (1, "ms", "s"),
        (1, "us", "s"),
        (1_000, "us", "ms"),
        (1_000_000, "ms", "us"),
    ],
)
def test_times_in_another_unit(tmp_path, factor, unit, fix):
    rows = [f"u{n},i{n},{(1_600_000_000 + n) * factor}" for n in range(10)]
    data = folder_of(tmp_path, rows=rows, header="user_id,item_id,timestamp").model_copy(update={"time_unit": unit})
    fails(data, "interactions.csv: timestamp", f'set data.time_unit = "{fix}"')


def test_times_in_nanoseconds(tmp_path):
    rows = [f"u{n},i{n},{1_600_000_000_000_000_000 + n}" for n in range(10)]
    fails(folder_of(tmp_path, rows=rows, header="user_id,item_id,timestamp"), "write them as seconds")


def test_an_empty_column_is_left_out(tmp_path):
    rows = [f"u{n},i{n},," for n in range(10)]
    source = read_source(folder_of(tmp_path, rows=rows))
    assert source.interactions.columns == ["user_id", "item_id"]
    assert [note.split(":")[0] for note in source.notes] == ["rating", "timestamp"]


@pytest.mark.parametrize(("value", "hint"), [("validation", "did you mean valid?"), ("", "(empty)")])
def test_unknown_parts(tmp_path, value, hint):
    rows = ["u1,i1,train", f"u2,i2,{value}"]
    data = folder_of(tmp_path, rows=rows, header="user_id,item_id,split")
    fails(data, "interactions.csv: row 2: split", hint, "test, train, valid")


# encoding and syntax


def test_csv_that_is_not_utf8(tmp_path):
    data = folder_of(tmp_path)
    (tmp_path / "items.csv").write_bytes("id,title\ni1,One\ni2,Café\n".encode("latin-1"))
    fails(data, "items.csv: line 3, byte 22", "expected UTF-8, found 0xe9", "iconv -f latin1 -t utf-8 items.csv")


def test_utf16_csv(tmp_path):
    data = folder_of(tmp_path)
    (tmp_path / "items.csv").write_bytes("id,title\ni1,One\n".encode("utf-16"))
    fails(data, "items.csv: line 1, byte 0", "found 0xff")


def test_json_lines_that_are_not_utf8(tmp_path):
    data = folder_of(tmp_path, items=None)
    (tmp_path / "items.jsonl").write_bytes('{"id": "i1"}\n{"id": "i2", "title": "Café"}\n'.encode("latin-1"))
    fails(data, "items.jsonl: line 2, byte 39", "expected UTF-8")


def test_a_bad_byte_after_the_first_block(tmp_path):
    data = folder_of(tmp_path, items=None)
    first = b'{"id": "' + b"x" * BLOCK + b'"}\n'
    (tmp_path / "items.jsonl").write_bytes(first + b'{"id": "\xe9"}\n')
    fails(data, f"items.jsonl: line 2, byte {len(first) + 8}")


def test_byte_order_mark_is_passed_over(tmp_path):
    data = folder_of(tmp_path, items=None)
    (tmp_path / "items.jsonl").write_bytes(
        b'\xef\xbb\xbf{"id": "i1"}\n' + b"".join(b'{"id": "i%d"}\n' % n for n in range(2, 10))
    )
    assert read_source(data).items.columns == ["id"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"id": "i2"', "not valid JSON"),
        ('["i2"]', "expected a JSON object"),
        ('{"id": NaN}', "NaN is not a JSON value"),
    ],
)
def test_invalid_json_line(tmp_path, line, found):
    data = folder_of(tmp_path, items=None)
    (tmp_path / "items.jsonl").write_text('{"id": "i1"}\n\n' + line + '\n{"id": "i3"}\n')
    fails(data, "items.jsonl: line 3", found)


# what is left


def test_repeated_pairs_keep_the_first_in_time(tmp_path):
    data = folder_of(tmp_path, rows=["a,x,1,300", "b,y,2,100", "a,x,5,200", "a,x,4,250"], items=None)
    source = read_source(data)
    assert source.interactions.rows() == [("b", "y", 2.0, 100), ("a", "x", 5.0, 200)]
    assert "2 repeated (user, item) pairs: the first was kept" in source.notes


def test_repeated_pairs_prefer_train_where_there_is_no_time(tmp_path):
    data = folder_of(tmp_path, rows=["a,x,test", "b,y,train", "a,x,train"], header="user_id,item_id,split", items=None)
    assert read_source(data).interactions.rows() == [("b", "y", "train"), ("a", "x", "train")]


def test_low_ratings_are_dropped_before_repeats(tmp_path):
    data = folder_of(tmp_path, rows=["a,x,1,100", "a,x,5,200", "b,y,5,100"], items=None)
    source = read_source(data.model_copy(update={"min_rating": 4.0}))
    assert source.interactions.rows() == [("a", "x", 5.0, 200), ("b", "y", 5.0, 100)]


def test_min_rating_that_leaves_nothing(tmp_path):
    data = folder_of(tmp_path).model_copy(update={"min_rating": 9.0})
    fails(data, "data.min_rating = 9.0 leaves no row", "highest rating is 5")


def test_k_core_that_leaves_nothing(tmp_path):
    data = folder_of(tmp_path).model_copy(update={"k_core": 50})
    fails(data, "user_id: expected at least 2 different ids, found 0", "lower data.k_core = 50")


@pytest.mark.parametrize(("rows", "side"), [(["u,a", "u,b"], "user_id"), (["u,a", "v,a"], "item_id")])
def test_fewer_than_two_users_or_items(tmp_path, rows, side):
    data = folder_of(tmp_path, rows=rows, header="user_id,item_id", items=None)
    fails(data, "interactions.csv", f"{side}: expected at least 2 different ids, found 1")
