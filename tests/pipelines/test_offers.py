"""Candidates of choosing recipes: as last published while the shown history is the same."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from features.store import DeltaStore
from pipelines.job import run_night
from tests.support.small_world import DAY, RUN, books, events

HEAD, SETTINGS = RUN.split("[[recipes]]")[0], "[gates]" + RUN.split("[gates]")[1].split("[[models]]")[0]
CHOOSING = '[[recipes]]\nname = "llmrec.edges"\noptions = { noun = "book", max_items = 2, candidates = 4 }\n'
FIRST, NEXT = "2023-11-23", "2023-12-23"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A first night; nobody writes into it."""
    home = tmp_path_factory.mktemp("offers")
    (home / "data").mkdir()
    books().write_parquet(home / "data" / "items.parquet")
    write(home / "run.toml", events())
    night(home / "run.toml", FIRST)
    return home


@pytest.fixture
def file(whole: Path, tmp_path: Path) -> Path:
    """The same night in a folder of one's own."""
    return Path(shutil.copytree(whole, tmp_path / "world")) / "run.toml"


def write(file: Path, rows: list[tuple[str, str, int]], run: str = HEAD + CHOOSING + SETTINGS) -> None:
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    frame.write_csv(file.parent / "data" / "interactions.csv")
    file.write_text(run)


def night(file: Path, ds: str, lake: str | None = None) -> dict:
    steps = ("ingest", "split", "generate")
    folder = [run_night(file, step=step, ds=ds, lake=lake)["folder"] for step in steps][-1]
    return json.loads((Path(folder) / "steps" / "generate.json").read_text())["recipes"][0]


def read(file: Path, table: str, ds: str, lake: str = "lake") -> pl.DataFrame:
    return DeltaStore(str(file.parent / lake)).read(table, ds=ds).sort("recipe", pl.nth(0))


def prompts(file: Path, ds: str, lake: str = "lake") -> dict[str, dict]:
    rows = DeltaStore(str(file.parent / lake)).read("prompts", ds=ds)
    return {row["id"]: row for row in rows.to_dicts()}


def later(chosen: dict[str, str]) -> list[tuple[str, str, int]]:
    """A month later readers choose a book, and two more, which are held out."""
    rows = [(reader, book, 1_700_000_000 + 30 * DAY) for reader, book in chosen.items()]
    for reader in chosen:
        known = {book for user, book, _ in events() if user == reader} | {chosen[reader]}
        free = [f"b{number:02}" for number in range(40) if f"b{number:02}" not in known][:2]
        rows += [(reader, book, 1_700_000_100 + 31 * DAY + place) for place, book in enumerate(free)]
    return rows


def test_a_reader_is_offered_the_same_as_long_as_the_prompt_shows_the_same_history(file):
    """Half of the readers choose the book that was proposed to them; all base models change with it."""
    before, edges = prompts(file, FIRST), read(file, "llm_edges", FIRST)
    assert {len(row["candidate_ids"]) for row in before.values()} == {4}
    assert {row["candidates_by"] for row in before.values()} == {"pure_svd, 4"}
    liked = dict(edges.filter(pl.col("label") == 1).select("user_id", "item_id").rows())
    chosen = {reader: liked[reader] for reader in sorted(liked)[:19]}
    write(file, [*events(), *later(chosen)])
    counts, now = night(file, NEXT), prompts(file, NEXT)

    same = [reader for reader in now if now[reader]["source_ids"] == before[reader]["source_ids"]]
    hidden = [reader for reader in same if reader in chosen]
    assert hidden, "some have chosen a book that is not among the two that are shown"
    assert len(same) < 38
    for reader in same:
        assert now[reader]["key"] == before[reader]["key"], reader
        assert now[reader]["candidate_ids"] == before[reader]["candidate_ids"]
    assert (counts["changed"], counts["unchanged"]) == (38 - len(same), len(same))
    assert counts["asked"] == 38 - len(same)

    edges, train = read(file, "llm_edges", NEXT), DeltaStore(str(file.parent / "lake")).read("splits", ds=NEXT)
    pairs = train.filter(pl.col("part") == "train").select("user_id", "item_id")
    assert edges.join(pairs, on=["user_id", "item_id"], how="semi").is_empty()
    gone = {(reader, chosen[reader]) for reader in hidden}
    assert gone <= set(pairs.rows()), "what was proposed has been chosen, so it is no edge any more"
    assert set(edges.filter(pl.col("user_id").is_in(hidden))["label"]) == {-1}
    night(file, NEXT)
    assert prompts(file, NEXT) == now, "the same night again offers the same"


def test_without_last_nights_prompts_the_same_readers_are_offered_other_books(file):
    """The control: what a fresh base model would offer."""
    before, edges = prompts(file, FIRST), read(file, "llm_edges", FIRST)
    liked = dict(edges.filter(pl.col("label") == 1).select("user_id", "item_id").rows())
    write(file, [*events(), *later({reader: liked[reader] for reader in sorted(liked)[:19]})])
    night(file, NEXT, lake=str(file.parent / "alone"))
    alone = prompts(file, NEXT, "alone")
    same = [reader for reader in alone if alone[reader]["source_ids"] == before[reader]["source_ids"]]
    assert sum(alone[reader]["key"] != before[reader]["key"] for reader in same) > len(same) / 2


def test_others_draw_other_candidates(file):
    """A base model that the run file names anew is asked at once."""
    other = CHOOSING.replace("max_items = 2", 'max_items = 2, base = "popularity"')
    write(file, events(), HEAD + other + SETTINGS)
    counts = night(file, NEXT)
    assert {row["candidates_by"] for row in prompts(file, NEXT).values()} == {"popularity, 4"}
    assert counts["changed"] > 19


def test_a_book_that_is_gone_is_not_offered(file):
    before = prompts(file, FIRST)
    gone = before["r00"]["candidate_ids"][0]
    write(file, [row for row in events() if row[1] != gone])
    items = file.parent / "data" / "items.parquet"
    pl.read_parquet(items).filter(pl.col("id") != gone).write_parquet(items)
    night(file, NEXT)
    now = prompts(file, NEXT)
    assert gone not in {book for row in now.values() for book in row["candidate_ids"]}
    assert {len(row["candidate_ids"]) for row in now.values()} == {4}


def test_a_past_night_offers_nothing_of_later_ones(file):
    night(file, "2023-11-19")
    night(file, "2023-11-19", lake=str(file.parent / "alone"))
    assert prompts(file, "2023-11-19") == prompts(file, "2023-11-19", "alone")


def test_prompts_of_a_lake_that_knows_no_candidates_yet_are_read(file):
    store = DeltaStore(str(file.parent / "lake"))
    old = store.read("prompts", ds=FIRST).drop("candidate_ids", "candidates_by")
    DeltaStore(str(file.parent / "old")).overwrite("prompts", old, FIRST)
    assert night(file, NEXT, lake=str(file.parent / "old"))["unchanged"] == 38  # the same events, so the same offers
