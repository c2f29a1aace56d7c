"""Night after night on a small world: who is asked again, what is counted, and that a past night is as it was."""

import json
from pathlib import Path

import polars as pl
import pytest

from benchmarks.replay import table_differences
from features.store import DeltaStore
from pipelines import rows
from pipelines.desk import open_desk
from pipelines.increments import Increments, count
from pipelines.job import run_night
from pipelines.night import open_night
from schemas.run import load_run
from tests.support.small_world import RUN, books, events

HEAD, SETTINGS = RUN.split("[[recipes]]")[0], "[gates]" + RUN.split("[gates]")[1].split("[[models]]")[0]
ITEM = '[[recipes]]\nname = "rlmrec.item"\noptions = { noun = "book" }\n'
USER = '[[recipes]]\nname = "rlmrec.user"\noptions = { noun = "book" }\n'
PARTS = '[[recipes]]\nname = "liber.partition"\noptions = { noun = "book", max_items = 2 }\n'
SETTINGS = SETTINGS.replace("[quality]", "[quality]\nlength_drift = inf\nword_drift = 1.0")  # histories grow here
TEXTS = HEAD + ITEM + USER + SETTINGS
STEPS = ("ingest", "split", "generate")


def night(file: Path, ds: str, lake: str | None = None) -> dict[str, dict]:
    """Run the steps that make texts; what the night counts, by recipe."""
    folder = [run_night(file, step=step, ds=ds, lake=lake)["folder"] for step in STEPS][-1]
    generated = json.loads((Path(folder) / "steps" / "generate.json").read_text())
    return {each["name"]: each for each in generated["recipes"]}


def ungated(file: Path, ds: str, name: str) -> Increments:
    """The same without gates and their pages, which take most of the time: what one recipe of the night comes to."""
    for step in STEPS[:2]:
        run_night(file, step=step, ds=ds)
    with open_desk(open_night(load_run(file), ds)) as desk:
        asked = {each.name: desk.ask(each).asked for each in desk.recipes}
        read = {each.name: desk.read(each) for each in desk.recipes}
        found = rows.increments(desk, desk.recipe(name), read)
        desk.night.publish("prompts", rows.prompt_rows(desk.corpus, read))
        for each in desk.recipes:
            if each.partitioned:
                desk.night.publish("partitions", rows.partition_rows(desk, each, read))
    assert (asked[name] > 0) == (found.new + found.changed > 0)
    assert asked[name] <= found.new + found.changed
    return found


def counts(recipe: dict) -> tuple[int, int, int, int]:
    return recipe["new"], recipe["changed"], recipe["unchanged"], recipe["gone"]


def lake_of(file: Path, name: str = "lake") -> DeltaStore:
    return DeltaStore(str(file.parent / name))


# ---- counts


def test_a_comparison_counts_by_subject_and_key():
    columns = {"id": pl.String, "part": pl.Int64, "key": pl.String}
    before = pl.DataFrame(
        [("a", 0, "k1"), ("b", 0, "k2"), ("c", 0, "k3"), ("d", 1, "k4")], schema=columns, orient="row"
    )
    now = pl.DataFrame([("a", 0, "k1"), ("b", 0, "k9"), ("d", 1, "k4"), ("d", 2, "k5")], schema=columns, orient="row")
    assert count(before, now, "2026-01-01") == Increments(1, 1, 2, 1, "2026-01-01")
    assert count(before.clear(), now, None) == Increments(4, 0, 0, 0, None)
    assert str(count(before, now, "2026-01-01")) == "1 new, 1 changed, 2 unchanged, 1 gone since 2026-01-01"
    assert str(count(before.clear(), now, None)) == "4 new"


def test_only_what_is_new_or_changed_is_asked(world, capsys):
    """All books are asked about in the first night; readers whose sample of three has a new book are asked again."""
    file = world(run=TEXTS.replace(USER, USER.replace(" }", ", max_items = 3 }")))
    asked = {}
    for ds in ("2023-11-17", "2023-11-20", "2023-11-20", "2023-11-23"):
        asked[ds] = night(file, ds)
        for each in asked[ds].values():
            assert each["asked"] <= each["new"] + each["changed"]
    first, last = asked["2023-11-17"], asked["2023-11-23"]
    assert counts(first["rlmrec.item"]) == (40, 0, 0, 0)
    assert counts(first["rlmrec.user"]) == (38, 0, 0, 0)
    assert (first["rlmrec.item"]["since"], first["rlmrec.item"]["asked"]) == (None, 40)
    again = asked["2023-11-20"]  # the second run of that night compares with the first night too, and asks nothing
    assert counts(again["rlmrec.user"]) == (0, 38, 0, 0)
    assert [again[name]["asked"] for name in again] == [0, 0]
    assert again["rlmrec.user"]["since"] == "2023-11-17"
    assert counts(last["rlmrec.item"]) == (0, 0, 40, 0)
    assert last["rlmrec.item"]["asked"] == 0
    new, changed, unchanged, gone = counts(last["rlmrec.user"])
    assert (new, changed + unchanged, gone) == (0, 38, 0)
    prompts = [
        lake_of(file).read("prompts", ds=ds).filter(pl.col("kind") == "user") for ds in ("2023-11-20", "2023-11-23")
    ]
    same = prompts[0].join(prompts[1], on=["recipe", "id", "key"], how="semi").height
    assert 0 < unchanged == same < 38
    shown = [frame.select("id", pl.col("source_ids").list.join(" ")) for frame in prompts]
    assert shown[0].join(shown[1], on=shown[0].columns, how="semi").height == same
    said = f"rlmrec.user: 0 new, {changed} changed, {unchanged} unchanged, 0 gone since 2023-11-20;"
    assert said in capsys.readouterr().err


def test_a_changed_text_is_asked_about_and_with_it_only_the_prompts_that_show_it(world):
    """One title changes, and one reader is gone."""
    file = world(run=TEXTS)
    night(file, "2026-01-01")
    world([row for row in events() if row[0] != "r37"], run=TEXTS)
    title = pl.when(pl.col("id") == "b00").then(pl.lit("A New Name")).otherwise("title").alias("title")
    books().with_columns(title).write_parquet(file.parent / "data" / "items.parquet")
    recipes = night(file, "2026-01-02")
    assert counts(recipes["rlmrec.item"]) == (0, 1, 39, 0)
    assert recipes["rlmrec.item"]["asked"] == 1
    before, now = (lake_of(file).read("prompts", ds=ds) for ds in ("2026-01-01", "2026-01-02"))
    shows = set(now.filter((pl.col("kind") == "user") & pl.col("source_ids").list.contains("b00"))["id"])
    changed = now.join(before, on=["recipe", "id", "key"], how="anti").filter(pl.col("kind") == "user")
    assert set(changed["id"]) == shows
    assert 1 <= len(shows) < 37
    assert counts(recipes["rlmrec.user"]) == (0, len(shows), 37 - len(shows), 1)
    assert 1 <= recipes["rlmrec.user"]["asked"] <= len(shows)


def test_partitions_are_counted_by_partition(world):
    """Two events close a partition: eight events of a reader are in train at last, two of them every two days."""
    file = world(run=HEAD + PARTS + SETTINGS)
    told = [ungated(file, ds, "liber.partition") for ds in ("2023-11-17", "2023-11-19", "2023-11-20", "2023-11-23")]
    assert [(each.new, each.changed, each.unchanged, each.gone) for each in told] == [
        (38, 0, 0, 0), (38, 0, 38, 0), (0, 0, 76, 0), (76, 0, 76, 0),
    ]  # fmt: skip


# ---- the rule of refresh


@pytest.mark.parametrize(("events", "shown"), [(3, {17: 1, 18: 1, 19: 4, 20: 4, 23: 6}), (1, {17: 2, 18: 3, 19: 4})])
def test_readers_are_asked_again_at_their_points_of_refresh(world, events, shown):
    """On the nth a reader has n - 15 events in train; with events = 3 the points are the first, fourth and seventh."""
    file, last = world(run=f"{TEXTS}[refresh]\nevents = {events}\n"), 0
    for day, length in shown.items():
        found = ungated(file, f"2023-11-{day}", "rlmrec.user")
        prompts = lake_of(file).read("prompts", ds=f"2023-11-{day}").filter(pl.col("kind") == "user")
        assert set(prompts["source_ids"].list.len()) == {length}  # six at most, of seven
        assert found.unchanged == (38 if length == last else 0)
        last = length


def test_a_reader_whose_taste_drifts_is_asked_earlier(world):
    """Ten books of the other genre are a drift, as many of the same are none."""
    gothic = [f"b{2 * number:02}" for number in range(20)]
    more = [book for book in gothic if ("r02", book) not in {row[:2] for row in events()}]
    other = {"r00": [f"b{2 * number + 1:02}" for number in range(12)], "r02": more}
    added = [(id, book, 1_700_900_000 + at) for id, books in other.items() for at, book in enumerate(books)]
    file = world([*events(), *added], run=f"{TEXTS}[refresh]\nevents = 40\ndrift = 0.12\n")
    ungated(file, "2023-11-23", "rlmrec.user")
    assert ungated(file, "2023-11-26", "rlmrec.user") == Increments(0, 1, 37, 0, "2023-11-23")
    before, now = (lake_of(file).read("prompts", ds=ds) for ds in ("2023-11-23", "2023-11-26"))
    assert now.join(before, on=["recipe", "id", "key"], how="anti")["id"].to_list() == ["r00"]


# ---- past nights


def test_past_nights_come_out_the_same_whatever_was_run_before(world):
    """Three nights in order, and in another order into another lake: every table of every night is equal."""
    run = f"{HEAD}{ITEM}{USER}{PARTS}{SETTINGS}[refresh]\nevents = 2\n".replace("[data]", "[data]\nk_core = 3")
    file, nights = world(run=run), ("2023-11-17", "2023-11-19", "2023-11-22")
    for ds in nights:
        night(file, ds)
    since = {}
    for ds in (nights[0], nights[2], nights[1]):
        since[ds] = {each["since"] for each in night(file, ds, lake=str(file.parent / "backfilled")).values()}
    assert since == {nights[0]: {None}, nights[2]: {nights[0]}, nights[1]: {nights[0]}}, "never with a later night"
    for ds in nights:
        found = list(table_differences(lake_of(file, "backfilled"), lake_of(file), ds))
        assert len(found) == 7
        assert [each for each in found if each.missing or each.extra or not each.rows] == []
    times = lake_of(file, "backfilled").read("interactions", ds=nights[1])["timestamp"]
    assert times.max() < 1_700_438_400, "midnight after 2023-11-19"
