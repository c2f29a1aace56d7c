"""`loregraph init`: it recognises files under other names, says why, and the night runs without an edit."""

from __future__ import annotations

import json
import subprocess
import sys

import polars as pl
import pytest

from pipelines.starting.init import init, lines
from pipelines.starting.wording import quoted, shown
from schemas.errors import ConfigError, DataError
from schemas.run import load_run
from tests.support.own_files import books_folder, shop_folder

ROWS = [(f"u{n % 40}", f"i{n % 23}", 1_700_000_000 + 60 * n) for n in range(1200)]


def events(folder, header, rows=ROWS, name="log.csv"):
    folder.mkdir(exist_ok=True)
    body = (",".join(map(str, row)) for row in rows)
    (folder / name).write_text("\n".join([header, *body]) + "\n", encoding="utf-8")
    return folder


def test_books_with_other_names_semicolons_and_dates(tmp_path) -> None:
    found = init(books_folder(tmp_path / "My Books"), tmp_path / "books.toml", "books")
    run = load_run(tmp_path / "books.toml")
    assert run.data.files == {"interactions": "ratings.csv", "items": "books.csv"}
    assert run.data.separator == ";"
    assert run.data.columns == {"user_id": "Reader", "item_id": "ISBN", "rating": "Stars", "timestamp": "Read At"}
    assert run.data.item_columns == {"id": "ISBN", "title": "Book Title"}
    assert (run.data.time_unit, run.data.min_rating, run.split.rule) == ("iso", 4.0, "time")
    assert run.recipes[0].options["noun"] == "book"
    assert found["texts"] == ["title", "Subjects", "Author", "Year"]
    assert any("Average Rating" in each for each in found["left_out"])  # it knows the test's stars
    assert "notes.csv: not used" in found["notes"]
    assert any(line.startswith("  loregraph night --run ") for line in lines(found))


def test_a_shop_with_a_name_and_milliseconds(tmp_path) -> None:
    init(shop_folder(tmp_path / "shop"), tmp_path / "shop.toml")
    run = load_run(tmp_path / "shop.toml")
    assert run.data.columns == {"user_id": "customerId", "item_id": "sku", "timestamp": "orderedAt"}
    assert (run.data.time_unit, run.data.min_rating) == ("ms", None)
    assert run.recipes[0].options == {"noun": "product", "columns": ["title"]}


def test_events_alone_make_a_run_without_a_language_model(tmp_path) -> None:
    found = init(
        events(tmp_path / "log", "who,what,when"),
        tmp_path / "log.toml",
        None,
        False,
        {"user_id": "who", "item_id": "what"},
    )
    run = load_run(tmp_path / "log.toml")
    assert not run.recipes
    assert [model.name for model in run.models] == ["popularity", "item_knn", "ease", "lightgcn"]
    assert found["columns"] == {"user_id": "who", "item_id": "what", "timestamp": "when"}


def test_the_usual_names_need_no_mapping(tmp_path) -> None:
    events(tmp_path / "usual", "user_id,item_id,timestamp", name="interactions.csv")
    init(tmp_path / "usual", tmp_path / "usual.toml")
    run = load_run(tmp_path / "usual.toml")
    assert (run.data.files, run.data.columns) == ({}, {})


def test_movielens_is_known_by_its_files(tmp_path) -> None:
    rows = [(n % 40, n % 23, 1 + n % 5, 1_700_000_000 + n) for n in range(1200)]
    folder = events(tmp_path / "ml", "userId,movieId,rating,timestamp", rows, "ratings.csv")
    movies = ["movieId,title,genres", *(f'{n},"Film {n} (19{n + 50})",Drama|War' for n in range(23))]
    (folder / "movies.csv").write_text("\n".join(movies))
    init(folder, tmp_path / "ml.toml")
    run = load_run(tmp_path / "ml.toml")
    assert (run.data.format, run.data.columns, run.recipes[0].options["noun"]) == ("movielens", {}, "film")


def test_amazon_is_known_by_its_columns(tmp_path) -> None:
    folder = tmp_path / "beauty"
    folder.mkdir()
    reviews = [
        {
            "user_id": f"u{n % 40}",
            "parent_asin": f"B{n % 23}",
            "rating": 5.0,
            "timestamp": 1_700_000_000_000 + n,
            "text": "x",
        }
        for n in range(1200)
    ]
    (folder / "All_Beauty.jsonl").write_text("\n".join(map(json.dumps, reviews)))
    init(folder, tmp_path / "beauty.toml")
    assert load_run(tmp_path / "beauty.toml").data.format == "amazon"


def test_a_time_that_cannot_be_read_is_left_out_and_said(tmp_path) -> None:
    rows = [(user, item, f"{1 + n % 28}/11/2026") for n, (user, item, _) in enumerate(ROWS)]
    found = init(events(tmp_path / "log", "user,item,timestamp", rows), tmp_path / "log.toml")
    run = load_run(tmp_path / "log.toml")
    assert (run.split.rule, run.data.columns["timestamp"]) == ("ratio", "")
    assert any("1/11/2026" in note and "2026-11-22T10:00:00Z" in note for note in found["notes"])


def test_what_cannot_be_told_is_asked_for(tmp_path) -> None:
    with pytest.raises(DataError, match=r"log.csv: who, what, when.*--column user_id=THEIRS"):
        init(events(tmp_path / "log", "who,what,when"), tmp_path / "log.toml")
    with pytest.raises(ConfigError, match="did you mean user_id"):
        init(tmp_path / "log", tmp_path / "log.toml", None, False, {"userid": "who"})
    assert not (tmp_path / "log.toml").exists()


def test_items_that_stand_there_twice_are_named(tmp_path) -> None:
    folder = events(tmp_path / "log", "user,item,ts")
    (folder / "things.csv").write_text("\n".join(["item,name", *(f"i{n % 23},Thing {n}" for n in range(46))]))
    found = init(folder, tmp_path / "log.toml")
    assert any("things.csv: item" in note and "one row per id" in note for note in found["notes"])


def test_a_broken_file_beside_the_others_is_named(tmp_path) -> None:
    folder = events(tmp_path / "log", "user,item,ts")
    (folder / "old.csv").write_bytes("id,naïve\n".encode("latin-1"))
    assert any("old.csv: line 1" in note for note in init(folder, tmp_path / "log.toml")["notes"])


def test_nothing_is_replaced_without_force(tmp_path) -> None:
    folder, out = events(tmp_path / "log", "user,item,ts"), tmp_path / "log.toml"
    out.write_text("mine")
    with pytest.raises(ConfigError, match="--force"):
        init(folder, out)
    assert out.read_text() == "mine"
    init(folder, out, force=True)
    assert load_run(out).name == "log"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log", "log.toml"]


@pytest.mark.parametrize("place", ["file", "none", "empty"])
def test_folders_that_are_none(tmp_path, place) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=str(tmp_path / place)):
        init(tmp_path / place, tmp_path / "run.toml")


def test_hostile_names_stay_names(tmp_path) -> None:
    hostile = 'id"]\n[llm]\nengine = "openai" # \N{RIGHT-TO-LEFT OVERRIDE}\x1b[2J'
    folder = tmp_path / "data\n[llm]"
    folder.mkdir()
    frame = pl.DataFrame(ROWS, schema=["user_id", hostile, "ts"], orient="row")
    frame.write_parquet(folder / 'a"b.parquet')
    found = init(folder, tmp_path / "run.toml", "safe", False, {"item_id": hostile})
    run = load_run(tmp_path / "run.toml")
    assert run.data.columns["item_id"] == hostile
    assert run.llm.engine == "offline"
    text = (tmp_path / "run.toml").read_text(encoding="utf-8") + "\n".join(lines(found))
    assert text.replace("\n", "").isprintable()


def test_words_for_terminal_and_file() -> None:
    assert shown("a\x1b\N{RIGHT-TO-LEFT OVERRIDE}b") == "a\\x1b\\u202eb"
    assert quoted('a"\\\x7f') == '"a\\"\\\\\\U0000007f"'


@pytest.mark.slow
def test_the_night_runs_as_it_is_written(tmp_path) -> None:
    """From a stranger's files to a report: two commands."""
    shop_folder(tmp_path / "shop", 4000)
    command = [sys.executable, "-m", "pipelines.cli"]
    done = subprocess.run(
        [*command, "init", str(tmp_path / "shop"), "--out", str(tmp_path / "shop.toml")], text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    night = [*command, "night", "--run", str(tmp_path / "shop.toml"), "--ds", "2026-01-01", "--json"]
    done = subprocess.run(night, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (tmp_path / "lake" / "shop") in list((tmp_path / "lake").iterdir())
    assert summary["report"].endswith("report.html")
    assert set(summary["models"]) >= {"item_knn", "lore_filter", "lore_filter.columns", "lore_filter.shuffled"}
