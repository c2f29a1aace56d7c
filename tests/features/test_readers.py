"""Readers: the neutral layout in every format, MovieLens and Amazon as they are published."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from features.readers import READERS, read_source
from features.readers.lines import BLOCK, read_json_lines
from schemas.errors import ConfigError, DataError
from schemas.sections import Data

ROWS = [("u1", "i1", 5.0, 100), ("u1", "i2", 3.0, 200), ("u2", "i1", 4.0, 150), ("u3", "i3", 1.0, 50)]
INTERACTIONS = pl.DataFrame(ROWS, schema=["user_id", "item_id", "rating", "timestamp"], orient="row")
ITEMS = pl.DataFrame({"id": ["i1", "i2", "i3", "i4"], "title": ["One", "Two", "Três", "Four"]})
USERS = pl.DataFrame({"id": ["u1", "u2", "u3"], "city": ["Oslo", None, "Łódź"]})


def write(folder, name, frame):
    """Write a frame in the format of the file's name."""
    file = folder / name
    plain = frame.write_ndjson() if "json" in name else frame.write_csv() if "csv" in name else None
    if plain is None:
        frame.write_parquet(file)
    else:
        file.write_bytes(gzip.compress(plain.encode()) if name.endswith(".gz") else plain.encode())


def fill(folder, interactions=INTERACTIONS, items=ITEMS, users=USERS, ending="csv"):
    for name, frame in (("interactions", interactions), ("items", items), ("users", users)):
        if frame is not None:
            write(folder, f"{name}.{ending}", frame)
    return Data(path=str(folder))


@pytest.mark.parametrize("ending", ["parquet", "csv", "csv.gz", "jsonl", "jsonl.gz", "ndjson"])
def test_neutral_is_the_same_in_every_format(tmp_path, ending):
    source = read_source(fill(tmp_path, ending=ending))
    assert source.interactions.schema == {
        "user_id": pl.String, "item_id": pl.String, "rating": pl.Float32, "timestamp": pl.Int64,
    }  # fmt: skip
    assert source.interactions.rows() == ROWS
    assert source.items.equals(ITEMS)
    assert source.users.rows() == [("u1", "Oslo"), ("u2", None), ("u3", "Łódź")]
    assert source.rejects.columns == ["file", "row", "id", "reason", "detail"]
    assert source.rejects.is_empty()
    assert source.notes == ()


def test_formats_may_differ_per_file(tmp_path):
    write(tmp_path, "interactions.jsonl.gz", INTERACTIONS)
    write(tmp_path, "items.csv", ITEMS)
    write(tmp_path, "users.parquet", USERS)
    assert read_source(Data(path=str(tmp_path))).items["title"].to_list() == ["One", "Two", "Três", "Four"]


def test_two_formats_of_one_table(tmp_path):
    write(tmp_path, "interactions.csv", INTERACTIONS)
    write(tmp_path, "interactions.parquet", INTERACTIONS)
    with pytest.raises(
        DataError, match=r"one interactions file, found interactions.parquet, interactions.csv; keep one"
    ):
        read_source(Data(path=str(tmp_path)))


def test_without_items_and_users(tmp_path):
    source = read_source(fill(tmp_path, items=None, users=None))
    assert source.items.to_dict(as_series=False) == {"id": ["i1", "i2", "i3"]}
    assert source.users.to_dict(as_series=False) == {"id": ["u1", "u2", "u3"]}
    assert len(source.notes) == 1
    assert source.notes[0].startswith("no items file: 3 items made from")


def test_column_mapping(tmp_path):
    renamed = INTERACTIONS.rename({"user_id": "reader", "item_id": "book", "timestamp": "when"})
    write(tmp_path, "interactions.csv", renamed.with_columns(position=pl.int_range(4), shelf=pl.lit("a")))
    write(tmp_path, "items.csv", ITEMS.rename({"id": "book", "title": "name"}))
    write(tmp_path, "users.csv", USERS.rename({"id": "reader"}))
    data = Data(
        path=str(tmp_path),
        columns={"user_id": "reader", "item_id": "book", "timestamp": "when"},
        item_columns={"id": "book", "title": "name"},
        user_columns={"id": "reader"},
    )
    source = read_source(data)
    assert source.interactions.columns == ["user_id", "item_id", "rating", "timestamp", "position"]
    assert source.items.columns == ["id", "title"]
    assert source.users["city"].to_list() == ["Oslo", None, "Łódź"]


def test_a_mapped_column_wins_over_one_of_the_same_name(tmp_path):
    items = ITEMS.with_columns(pl.col("title").str.to_uppercase().alias("long_title"))
    data = fill(tmp_path, items=items).model_copy(update={"item_columns": {"title": "long_title"}})
    source = read_source(data)
    assert source.items["title"].to_list() == ["ONE", "TWO", "TRÊS", "FOUR"]
    assert source.items.columns == ["id", "title"]


def test_mapping_belongs_to_the_neutral_layout():
    with pytest.raises(ConfigError, match=r"data.columns: only for format = neutral"):
        read_source(Data(format="amazon", path="x", columns={"user_id": "u"}))


def test_registry_has_every_format_of_the_run_file():
    assert set(READERS) == set(Data.model_fields["format"].annotation.__args__)


def test_attributes_become_text(tmp_path):
    items = pl.DataFrame(
        {
            "id": ["i1", "i2", "i3"],
            "year": [1999.0, None, 2001.0],
            "price": [1.5, float("nan"), 2.0],
            "tags": [["a", "b"], [], None],
            "maker": [{"name": "x"}, {"name": "y"}, None],
            "title": [" One ", "", None],
            "ds": ["2024-01-01"] * 3,
        }
    )
    source = read_source(fill(tmp_path, items=items, ending="parquet"))
    assert source.items.rows() == [
        ("i1", "1999", "1.5", "a; b", '{"name":"x"}', "One"),
        ("i2", None, None, None, '{"name":"y"}', None),
        ("i3", "2001", "2.0", None, None, None),
    ]
    assert any(note.startswith("ds: column of") for note in source.notes)


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1_000), ("us", 1_000_000)])
def test_time_units(tmp_path, unit, factor):
    seconds = [1_600_000_000 + n for n in range(4)]
    frame = INTERACTIONS.with_columns(timestamp=pl.Series([value * factor for value in seconds]))
    data = fill(tmp_path, frame).model_copy(update={"time_unit": unit})
    assert read_source(data).interactions["timestamp"].to_list() == seconds


def test_dates_know_their_unit(tmp_path):
    moments = [datetime(2020, 1, 1, hour, tzinfo=UTC) for hour in range(4)]
    source = read_source(fill(tmp_path, INTERACTIONS.with_columns(timestamp=pl.Series(moments)), ending="parquet"))
    assert source.interactions["timestamp"].to_list() == [int(moment.timestamp()) for moment in moments]


def test_split_position_and_review_are_read(tmp_path):
    more = INTERACTIONS.with_columns(
        position=pl.Series([0, 1, 0, 0]), split=pl.Series(["train", "test", "train", "valid"]), review=pl.lit("fine")
    )
    source = read_source(fill(tmp_path, more))
    assert source.interactions.columns == [
        "user_id", "item_id", "rating", "timestamp", "position", "split", "review",
    ]  # fmt: skip
    assert source.interactions["position"].dtype == pl.Int64


def test_min_rating(tmp_path):
    source = read_source(fill(tmp_path).model_copy(update={"min_rating": 3.0}))
    assert source.interactions.rows() == ROWS[:3]
    assert source.notes == ("1 interactions with a rating below 3.0 were dropped",)
    assert source.users.height == 3  # u3 is still a user, without interactions


def test_k_core_drops_from_the_tables_too(tmp_path):
    rows = [(u, i) for u in ("a", "b") for i in ("x", "y")] + [("a", "z"), ("c", "x")]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")
    items = pl.DataFrame({"id": ["x", "y", "z", "never"]})
    source = read_source(fill(tmp_path, frame, items, None).model_copy(update={"k_core": 2}))
    assert source.interactions.rows() == rows[:4]
    assert source.items["id"].to_list() == ["x", "y"]
    assert source.users["id"].to_list() == ["a", "b"]
    assert "2 interactions outside the 2-core were dropped" in source.notes
    assert "2 items outside the 2-core were dropped" in source.notes


def test_a_subfolder_is_found(tmp_path):
    inner = tmp_path / "ml"
    inner.mkdir()
    fill(inner)
    assert read_source(Data(path=str(tmp_path))).interactions.height == 4


def test_progress_is_reported(tmp_path):
    calls = []
    read_source(fill(tmp_path), progress=lambda what, done, total: calls.append((what, done, total)))
    sizes = {name: (tmp_path / name).stat().st_size for name in ("interactions.csv", "items.csv", "users.csv")}
    assert calls == [(name, size, size) for name, size in sizes.items()]


def test_json_lines_longer_than_a_block(tmp_path):
    """Blocks end at line ends, and types that differ between blocks find a common one."""
    long = "x" * (BLOCK // 3)
    lines = [{"id": n if n < 4 else f"item {n}", "text": long} for n in range(6)]
    (tmp_path / "items.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    frame = read_json_lines(tmp_path / "items.jsonl", None, None)
    assert frame["id"].to_list() == ["0", "1", "2", "3", "item 4", "item 5"]
    assert frame["_row"].to_list() == [1, 2, 3, 4, 5, 6]
    assert frame["text"].str.len_bytes().unique().to_list() == [len(long)]


def movielens_100k(folder):
    genres = ["unknown", "Action", "Drama"]
    (folder / "u.genre").write_text("".join(f"{name}|{code}\n" for code, name in enumerate(genres)) + "\n")
    (folder / "u.item").write_bytes(
        (
            "1|Usual Suspects, The (1995)|14-Aug-1995||http://us.imdb.com/M/x|0|1|1\n"
            "2|Cité des enfants perdus, La (1995)|01-Jan-1995||http://us.imdb.com/M/y|0|0|1\n"
            "3|Land Before Time III (1995) (V)|01-Jan-1995||http://us.imdb.com/M/z|0|1|0\n"
            "267|unknown||||1|0|0\n"
        ).encode("latin-1")
    )
    (folder / "u.user").write_text("1|24|M|technician|85711\n2|53|F|other|94043\n")
    (folder / "u.data").write_text("1\t1\t5\t881250949\n1\t2\t3\t891717742\n2\t3\t1\t878887116\n2\t267\t2\t880606923\n")


def test_movielens_100k(tmp_path):
    movielens_100k(tmp_path)
    source = read_source(Data(format="movielens", path=str(tmp_path)))
    assert source.items.columns == ["id", "title", "year", "genres"]
    assert source.items.rows() == [
        ("1", "The Usual Suspects", "1995", "Action; Drama"),
        ("2", "La Cité des enfants perdus", "1995", "Drama"),
        ("3", "Land Before Time III", "1995", "Action"),
        ("267", "unknown", None, "unknown"),
    ]
    assert source.users.rows() == [("1", "24", "M", "technician"), ("2", "53", "F", "other")]
    assert source.interactions.rows()[1] == ("1", "2", 3.0, 891717742)


def test_movielens_1m(tmp_path):
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    (folder / "movies.dat").write_bytes(
        '1::Matrix, The (1999)::Action|Sci-Fi\r\n2::Leçon, "Une" (1998)::Drama\r\n'.encode("latin-1")
    )
    (folder / "users.dat").write_text("1::F::1::10::48067\n6040::M::25::20::11106\n")
    (folder / "ratings.dat").write_text("1::1::5::978300760\n6040::2::4::956704746\n6040::1::4::956704747\n")
    source = read_source(Data(format="movielens", path=str(tmp_path)))
    assert source.items.rows() == [
        ("1", "The Matrix", "1999", "Action; Sci-Fi"),
        ("2", 'Leçon, "Une"', "1998", "Drama"),
    ]
    assert source.users.columns == ["id", "gender", "age", "occupation"]
    assert source.users.rows() == [("1", "F", "under 18", "K-12 student"), ("6040", "M", "25-34", "writer")]
    assert source.interactions["timestamp"].to_list() == [978300760, 956704746, 956704747]


def test_movielens_latest(tmp_path):
    (tmp_path / "movies.csv").write_text(
        "movieId,title,genres\n"
        '1,"City of Lost Children, The (Cité des enfants perdus, La) (1995)",Adventure|Drama\n'
        '2,"Appartement, L\' (1996)",(no genres listed)\n'
        '3,"Good, the Bad and the Ugly, The (Buono, il brutto, il cattivo, Il) (1966)",Western\n'
        "4,Friends (1994–2004),Comedy\n"
        "5,Babylon 5,Sci-Fi\n"
    )
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4.0,964982703\n2,3,4.5,964982931\n")
    (tmp_path / "tags.csv").write_text("userId,movieId,tag,timestamp\n1,1,odd,1\n")
    source = read_source(Data(format="movielens", path=str(tmp_path)))
    assert source.items.rows() == [
        ("1", "The City of Lost Children (La Cité des enfants perdus)", "1995", "Adventure; Drama"),
        ("2", "L'Appartement", "1996", None),
        ("3", "The Good, the Bad and the Ugly (Il Buono, il brutto, il cattivo)", "1966", "Western"),
        ("4", "Friends", "1994", "Comedy"),
        ("5", "Babylon 5", None, "Sci-Fi"),
    ]
    assert source.interactions["rating"].to_list() == [4.0, 4.5]
    assert source.users["id"].to_list() == ["1", "2"]


def test_movielens_with_a_missing_file(tmp_path):
    movielens_100k(tmp_path)
    (tmp_path / "u.item").unlink()
    with pytest.raises(DataError, match=r"u\.item: no such file"):
        read_source(Data(format="movielens", path=str(tmp_path)))


def review(user, item, time, **more):
    base = {"rating": 5.0, "title": "Good", "text": "Works.", "images": [{"small": "x"}], "asin": "other"}
    return {**base, "user_id": user, "parent_asin": item, "timestamp": time, "helpful_vote": 0, **more}


def meta(item, **more):
    base = {"main_category": "All Beauty", "title": "A brush", "average_rating": 4.8, "rating_number": 10}
    lists = {"features": ["soft", "", "red"], "description": ["One.", "Two."], "categories": ["Beauty", "Tools"]}
    rest = {"price": None, "store": "Brush & Co", "images": [], "details": {"Brand": "B"}, "bought_together": None}
    return {**base, **lists, **rest, "parent_asin": item, **more}


def amazon(folder):
    first = [review("AF1", "B1", 1588687728923), review("AF2", "B1", 1588615855070, title=None)]
    second = [review("AF1", "B2", 1589665266052), review("AF1", "B2", 1589665266999)]
    with gzip.open(folder / "All_Beauty.jsonl.gz", "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(line) + "\n" for line in first)
    (folder / "Gift_Cards.jsonl").write_text("".join(json.dumps(line) + "\n" for line in second))
    with gzip.open(folder / "meta_All_Beauty.jsonl.gz", "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(meta("B1", price=price)) + "\n" for price in ["from 3.99"])
    (folder / "meta_Gift_Cards.jsonl").write_text(json.dumps(meta("B2", price=12.5, features=[], description=[])))


def test_amazon(tmp_path):
    amazon(tmp_path)
    source = read_source(Data(format="amazon", path=str(tmp_path)))
    assert source.items.columns == ["id", "title", "store", "price", "categories", "features", "description"]
    assert source.items.rows() == [
        ("B1", "A brush", "Brush & Co", "from 3.99", "Beauty; Tools", "soft; red", "One. Two."),
        ("B2", "A brush", "Brush & Co", "12.5", "Beauty; Tools", None, None),
    ]
    assert source.interactions.rows() == [
        ("AF1", "B1", 5.0, 1588687728, "Good\nWorks."),
        ("AF2", "B1", 5.0, 1588615855, "Works."),
        ("AF1", "B2", 5.0, 1589665266, "Good\nWorks."),
    ]
    assert source.users["id"].to_list() == ["AF1", "AF2"]
    assert source.notes == ("1 repeated (user, item) pairs: the first was kept",)


def test_amazon_takes_nothing_that_is_made_from_all_reviews(tmp_path):
    amazon(tmp_path)
    source = read_source(Data(format="amazon", path=str(tmp_path)))
    assert not {"average_rating", "rating_number"} & set(source.items.columns)


def test_amazon_names_the_bad_line(tmp_path):
    amazon(tmp_path)
    with (tmp_path / "Gift_Cards.jsonl").open("a") as out:
        out.write('{"user_id": "AF9", "parent_asin"\n')
    with pytest.raises(DataError, match=r"Gift_Cards.jsonl: line 3: not valid JSON"):
        read_source(Data(format="amazon", path=str(tmp_path)))


def test_amazon_of_another_layout(tmp_path):
    (tmp_path / "reviews.jsonl").write_text('{"reviewerID": "A", "asin": "B", "overall": 5.0}\n')
    with pytest.raises(DataError, match=r"user_id: expected in every line, found in none"):
        read_source(Data(format="amazon", path=str(tmp_path)))


def test_real_folders_are_read():
    root = os.environ.get("LOREGRAPH_DATA")
    if not root or not (Path(root) / "ml-100k").is_dir():
        pytest.skip("LOREGRAPH_DATA is not set to a folder with ml-100k")
    source = read_source(Data(path=str(Path(root) / "ml-100k")))
    assert (source.users.height, source.items.height, source.interactions.height) == (943, 1682, 100_000)
    assert source.rejects.is_empty()
    assert source.notes == ()
