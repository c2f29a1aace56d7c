"""What a run file says of a data set, chosen by looking at it: each with its reason, and what else it could be."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from features.readers.source import Source
from features.splits import k_core
from pipelines.starting.names import FROM_EVENTS, NO_TEXT, noun, plain
from pipelines.starting.wording import shown, thousands
from schemas.sections import Data

FEWEST_ROWS = 1_000  # that a choice must leave
TEXT_COLUMNS = 6  # shown in prompts at most
SPARSE = 3.0  # mean events of a user below which a core may be taken
FACTS = ("year", "price")  # numbers that say something to a reader


@dataclass(frozen=True)
class Choice:
    """A value of the run file, why it is this one, and what else it could be."""

    value: str | float | None
    why: str


@dataclass(frozen=True)
class Choices:
    """Everything that was chosen for a data set."""

    min_rating: Choice
    k_core: Choice
    split: Choice
    noun: Choice
    texts: tuple[str, ...]  # attributes of items that can be shown to a language model, the title first
    left_out: tuple[str, ...]  # the others, each with a reason


def choose(source: Source, data: Data, names: list[str]) -> Choices:
    """`names`: of files and columns, which may say what is recommended."""
    min_rating = _min_rating(source.interactions)
    rows = source.interactions
    if min_rating.value is not None:
        rows = rows.filter(pl.col("rating") >= min_rating.value)
    texts, left_out = _texts(source.items)
    fixed = {"movielens": "film", "amazon": "product"}.get(data.format)
    found = fixed or noun(names)
    said = "as files and columns say" if found else "nothing says what it is; write book, film, shoe, ..."
    return Choices(
        min_rating, _k_core(rows), _split(source.interactions), Choice(found or "item", said), texts, left_out
    )


def _min_rating(rows: pl.DataFrame) -> Choice:
    """Four fifths of the scale, where that leaves enough; none where the numbers are no scale."""
    if "rating" not in rows.columns:
        return Choice(None, "there are no ratings: every row counts as liked")
    low, high = rows.select(pl.col("rating").min().alias("low"), pl.col("rating").max().alias("high")).row(0)
    kinds = rows["rating"].n_unique()
    scale = next((top for top in (1, 5, 10, 100) if high <= top), None)
    if kinds < 2 or scale is None or low < -1:
        return Choice(None, f"the numbers go from {low:g} to {high:g}, which is no scale: every row counts as liked")
    limit = 1.0 if scale == 1 else {5: 4.0, 10: 7.0, 100: 70.0}[scale]
    if scale == 1 and kinds > 2:
        limit = 0.7
    kept = rows.filter(pl.col("rating") >= limit).height
    if kept < min(FEWEST_ROWS, rows.height / 4):
        return Choice(None, f"a limit of {limit:g} would keep only {thousands(kept)} rows: every row counts as liked")
    share = 100 * kept / rows.height
    return Choice(
        limit, f"ratings go from {low:g} to {high:g}; {share:.0f} % of the rows stay; without it all count as liked"
    )


def _k_core(rows: pl.DataFrame) -> Choice:
    users = max(rows["user_id"].n_unique(), 1)
    mean = rows.height / users
    if mean >= SPARSE:
        return Choice(0, f"users have {mean:.1f} rows on average, enough to learn from; 5 keeps those with 5 and more")
    for k in (3, 2):
        kept = k_core(rows, k)
        if kept.height >= FEWEST_ROWS and kept.height >= rows.height / 5:
            return Choice(
                k, f"users have {mean:.1f} rows on average: those with fewer than {k} are dropped; 0 keeps all"
            )
    return Choice(0, f"users have only {mean:.1f} rows on average, and a core would drop nearly all of them")


def _split(rows: pl.DataFrame) -> Choice:
    if "split" in rows.columns:
        return Choice("published", "the files have a column that says train, valid or test")
    if "timestamp" in rows.columns and rows["timestamp"].n_unique() >= 10:
        return Choice("time", "events have times: the last tenth is test, the tenth before it valid; or leave_one_out")
    if "position" in rows.columns:
        return Choice("leave_one_out", "events have an order and no times: the last of each user is test; or ratio")
    return Choice(
        "ratio", "events have no times: a tenth of each user's rows, drawn at random, is test; or leave_one_out"
    )


def _texts(items: pl.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Attributes that say what an item is, the title first, then by length; and why the others are left out."""
    kept, left_out = dict[str, float](), list[str]()
    for name in items.columns:
        if name in ("id", "available_from"):
            continue
        if reason := _no_text(name, items[name].drop_nulls()):
            left_out.append(f"{shown(name)} ({reason})")
        else:
            kept[name] = float(items[name].str.len_chars().mean() or 0)  # type: ignore[arg-type]
    order = sorted(kept, key=lambda name: (name != "title", -kept[name]))
    left_out += [f"{shown(name)} (there are enough)" for name in order[TEXT_COLUMNS:]]
    return tuple(order[:TEXT_COLUMNS]), tuple(left_out)


def _no_text(name: str, values: pl.Series) -> str:
    """Why an attribute is not shown; empty where it is."""
    words = plain(name)
    if FROM_EVENTS.fullmatch(words):
        return "may be made from the events that the test holds out"
    if values.is_empty():
        return "empty"
    if name == "title":
        return ""
    if values.n_unique() < 2:
        return "the same everywhere"
    if NO_TEXT.search(words) or (values.str.contains(r"^(https?://|/|data:)").mean() or 0) > 0.5:  # type: ignore[operator]
        return "a link or a number of a thing"
    if (values.str.contains(r"\p{L}{2}").mean() or 0) < 0.5 and not any(fact in words for fact in FACTS):  # type: ignore[operator]
        return "no words"
    return ""
