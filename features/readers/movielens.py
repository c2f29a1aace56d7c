"""MovieLens folders as GroupLens publishes them: 100K, 1M (and 10M), latest (and 20M, 25M, 32M).

https://grouplens.org/datasets/movielens/ (Harper and Konstan, TiiS 5(4), 2015). The years at the end of titles
become the attribute `year`, genres are joined with '; ', articles go back to the front ('Matrix, The (1999)' is 'The
Matrix'), the codes of 1M for age and occupation become the words of its README, and zip codes are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from features.readers.columns import mapped
from features.readers.files import read_delimited, read_table
from features.readers.source import FILE, ROW, Progress, Raw, Reader, folder_with
from schemas.sections import Data

RATING = ["user_id", "item_id", "rating", "timestamp"]
YEAR = r"\s*\((\d{4})(?:[-–]\d{0,4})?\)\s*(?:\(V\))?\s*$"  # '(1999)', '(1995–1998)', '(1996) (V)'
ARTICLES = "The|A|An|La|Le|Les|Il|Lo|Gli|El|Los|Las|Der|Die|Das|Den|Det|De|Het|Un|Une|Una"
AGES = {"1": "under 18", "18": "18-24", "25": "25-34", "35": "35-44", "45": "45-49", "50": "50-55", "56": "56+"}
OCCUPATIONS = [
    "other", "academic/educator", "artist", "clerical/admin", "college/grad student", "customer service",
    "doctor/health care", "executive/managerial", "farmer", "homemaker", "K-12 student", "lawyer", "programmer",
    "retired", "sales/marketing", "scientist", "self-employed", "technician/engineer", "tradesman/craftsman",
    "unemployed", "writer",
]  # fmt: skip


def locate(folder: Path, _data: Data) -> Path | None:
    return folder_with(folder, lambda candidate: any((candidate / name).is_file() for name in _LAYOUTS))


def read(folder: Path, _data: Data, progress: Progress | None) -> Raw:
    """Read the layout that is there; further files (tags, links) are not looked at."""
    layout = next(name for name in _LAYOUTS if (folder / name).is_file())
    return _LAYOUTS[layout](folder, progress)


def _read_100k(folder: Path, progress: Progress | None) -> Raw:
    genres = read_delimited(folder / "u.genre", "|", ["genre"])["genre"].to_list()
    columns = ["id", "title", "release_date", "video_date", "url", *(f"is {genre}" for genre in genres)]
    items = read_delimited(folder / "u.item", "|", columns)
    given = [pl.when(pl.col(f"is {genre}") == "1").then(pl.lit(genre)) for genre in genres]
    return Raw(
        interactions=read_delimited(folder / "u.data", "\t", RATING, progress),
        items=_films(items.with_columns(genres=pl.concat_str(given, separator="|", ignore_nulls=True))),
        users=read_delimited(folder / "u.user", "|", ["id", "age", "gender", "occupation"]),
        time_unit="s",
    )


def _read_1m(folder: Path, progress: Progress | None) -> Raw:
    users = folder / "users.dat"
    return Raw(
        interactions=read_delimited(folder / "ratings.dat", "::", RATING, progress),
        items=_films(read_delimited(folder / "movies.dat", "::", ["id", "title", "genres"])),
        users=_people(read_delimited(users, "::", ["id", "gender", "age", "occupation"])) if users.is_file() else None,
        time_unit="s",
    )


def _read_latest(folder: Path, progress: Progress | None) -> Raw:
    ratings = {"user_id": "userId", "item_id": "movieId"}
    return Raw(
        interactions=mapped(read_table(folder / "ratings.csv", progress), ratings, "column", tuple(RATING)),
        items=_films(mapped(read_table(folder / "movies.csv"), {"id": "movieId"}, "column", ("id", "title", "genres"))),
        users=None,
        time_unit="s",
    )


_LAYOUTS: dict[str, Callable[[Path, Progress | None], Raw]] = {
    "u.data": _read_100k,
    "ratings.dat": _read_1m,
    "ratings.csv": _read_latest,
}


def _films(items: pl.DataFrame) -> pl.DataFrame:
    genres = pl.col("genres").replace("(no genres listed)", None).str.replace_all("|", "; ", literal=True)
    title = pl.col("title").str.replace(YEAR, "")
    year = pl.col("title").str.extract(YEAR)
    return items.select("id", _in_spoken_order(title).alias("title"), year.alias("year"), genres, FILE, ROW)


def _in_spoken_order(title: pl.Expr) -> pl.Expr:
    """'Name, The (Nom, Le)' as 'The Name (Le Nom)'; "Appartement, L'" as "L'Appartement"."""
    front = title.str.replace(rf"^([^(]+), ({ARTICLES})( \(.*)?$", "$2 $1$3").str.replace(
        r"^([^(]+), (L')( \(.*)?$", "$2$1$3"
    )
    return front.str.replace_all(rf"\(([^()]+), ({ARTICLES})\)", "($2 $1)").str.replace_all(
        r"\(([^()]+), (L')\)", "($2$1)"
    )


def _people(users: pl.DataFrame) -> pl.DataFrame:
    occupations = {str(code): name for code, name in enumerate(OCCUPATIONS)}
    return users.with_columns(pl.col("age").replace(AGES), pl.col("occupation").replace(occupations))


READER = Reader(
    "u.data, u.item, u.user, u.genre (100K), ratings.dat, movies.dat, users.dat (1M), or ratings.csv, movies.csv",
    locate,
    read,
)
