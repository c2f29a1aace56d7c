"""Replayed nights: which dates, what is counted, and that they come to what one big night comes to."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from benchmarks.replay import model_differences, table_differences
from features.store import DeltaStore
from pipelines.cli import app
from pipelines.replay import night_dates, replay, table
from schemas.errors import ConfigError, DataError
from schemas.run import load_run
from tests.support.small_world import RUN
from tests.support.tiny_model import save_tiny_model

DATES = ["2023-11-20", "2023-11-23"]


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, dict]:
    """Two nights in one lake, the second alone in another; run file, and what both replays say."""
    from tests.support.small_world import books, events

    home = tmp_path_factory.mktemp("replay")
    (home / "data").mkdir()
    books().write_parquet(home / "data" / "items.parquet")
    frame = pl.DataFrame(events(), schema=["user_id", "item_id", "timestamp"], orient="row")
    frame.write_csv(home / "data" / "interactions.csv")
    models = RUN.split('[[models]]\nname = "aligned.shuffled"')[0].replace("[quality]", "[quality]\nlength_drift = inf")
    (home / "run.toml").write_text(f'{models}[encoder]\nkind = "hf"\nname = "{save_tiny_model(home / "tiny")}"\n')
    file, told = home / "run.toml", list[dict]()
    nights = replay(file, DATES, each=told.append)
    assert told == nights["nights"], "each night is told as soon as it is over"
    return file, nights, replay(file, DATES[-1:], lake=str(home / "once"))


def stores(replayed: tuple[Path, dict, dict]) -> tuple[DeltaStore, DeltaStore]:
    return DeltaStore(str(replayed[0].parent / "lake")), DeltaStore(str(replayed[0].parent / "once"))


def test_nights_come_to_the_tables_of_one_big_night(replayed):
    found = list(table_differences(*stores(replayed), DATES[-1]))
    assert [each.table for each in found] == [
        "users", "items", "interactions", "splits", "prompts", "profiles", "embeddings",
    ]  # fmt: skip
    assert [each for each in found if each.missing or each.extra or not each.rows] == []


def test_a_row_too_many_and_one_too_few_are_found(replayed, tmp_path):
    _, once = stores(replayed)
    other = DeltaStore(str(tmp_path))
    rows = once.read("profiles", ds=DATES[-1])
    other.overwrite("profiles", pl.concat([rows[2:], rows[:1].with_columns(text_hash=pl.lit("x"))]), DATES[-1])
    missing = {each.table: (each.missing, each.extra) for each in table_differences(other, once, DATES[-1])}
    assert missing["profiles"] == (2, 1)
    assert missing["users"] == (38, 0), "a table that is not there at all"


def test_no_more_is_asked_than_has_changed_and_the_sums_are_those_of_the_nights(replayed):
    _, nights, once = replayed
    for told in (nights, once):
        for each in told["nights"]:
            assert each["asked"] <= each["new"] + each["changed"]
        for name in ("new", "changed", "asked", "encoded", "seconds"):
            assert told["sums"][name] == sum(each[name] for each in told["nights"])
    first, second = nights["nights"]
    assert [first["recipes"][0][name] for name in ("new", "changed", "asked")] == [40, 0, 40]
    assert [second["recipes"][0][name] for name in ("new", "changed", "asked")] == [0, 0, 0]
    assert second["recipes"][1]["changed"] == 38
    assert (first["events"], second["events"], second["users"], second["items"]) == (38 * 7, 380, 38, 40)
    assert second["encoded"] < once["nights"][0]["encoded"], "the texts on books have their vectors"
    assert second["model"] in {"popularity", "lightgcn", "aligned"}


def test_models_are_compared_user_by_user(replayed):
    """The same lake on both sides: no difference, and no interval."""
    nights, once = stores(replayed)
    same = list(model_differences(once, once, DATES[-1]))
    assert [each.name for each in same] == ["aligned", "lightgcn", "popularity"]
    assert all((each.interval.low, each.interval.high) == (0, 0) and each.within(0.0) for each in same)
    popularity = list(model_differences(nights, once, DATES[-1]))[-1]
    assert popularity.test[0] == popularity.test[1] == pytest.approx(popularity.test[0])
    recall = once.read("metrics", ds=DATES[-1]).filter(
        (pl.col("model") == "popularity") & (pl.col("part") == "test") & (pl.col("slice") == "all")
    )
    assert dict(recall.select("metric", "value").rows())["recall@20"] == popularity.test[1]


def test_a_replay_that_was_done_asks_nothing_and_tells_the_same(replayed, capsys):
    file, nights, _ = replayed
    again = replay(file, DATES, steps=("ingest", "split", "generate"))
    assert " asked 0 " in capsys.readouterr().err
    for before, now in zip(nights["nights"], again["nights"], strict=True):
        assert {**now, "seconds": 0, "encoded": 0} == {**before, "seconds": 0, "encoded": 0}


def test_the_table_has_a_line_for_every_night_and_one_for_the_sums(replayed):
    _, nights, _ = replayed
    lines = table(nights["nights"], nights["sums"])
    assert len({len(line) for line in lines[1:]}) == 1
    assert lines[1].split()[:6] == ["night", "events", "users", "items", "rlmrec.item", "rlmrec.user"]
    assert [line.split()[0] for line in lines[2:]] == [*DATES, "sum"]
    assert "40 + 0 / 40" in lines[2]
    assert f"{nights['sums']['new']:,} + {nights['sums']['changed']:,} / {nights['sums']['asked']:,}" in lines[-1]


def test_the_command_replays_steps_of_a_range(world):
    file = world()
    arguments = ["replay", "--run", str(file), "--from", "2023-11-18", "--to", "2023-11-20", "--step", "ingest"]
    done = CliRunner().invoke(app, [*arguments, "--step", "split", "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    lake = DeltaStore(str(file.parent / "lake"))
    assert lake.partitions("splits") == ["2023-11-18", "2023-11-19", "2023-11-20"]
    assert '"events": 190,' in done.stdout
    assert not lake.exists("prompts")


@pytest.mark.parametrize(
    ("given", "dates"),
    [
        ({"nights": 3}, ["2023-11-19", "2023-11-21", "2023-11-23"]),
        ({"nights": 1}, ["2023-11-23"]),
        ({"start": "2023-11-20"}, ["2023-11-20", "2023-11-21", "2023-11-22", "2023-11-23"]),
        ({"start": "2026-01-01", "end": "2026-01-07", "every": 3}, ["2026-01-01", "2026-01-04", "2026-01-07"]),
        ({"start": "2026-01-01", "end": "2026-01-08", "nights": 3}, ["2026-01-01", "2026-01-05", "2026-01-08"]),
        ({"start": "2026-01-01", "end": "2026-01-01"}, ["2026-01-01"]),
    ],
)
def test_dates_are_spread_over_the_range_and_the_last_one_is_among_them(world, given, dates):
    """Half of the events have come on the 19th, the last one comes on the 23rd."""
    assert night_dates(load_run(world()), **given) == dates


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"start": "2026-13-01"}, "--from: '2026-13-01': expected a date"),
        ({"start": "2026-01-02", "end": "2026-01-01"}, "--from 2026-01-02: expected a date up to 2026-01-01"),
        (
            {"start": "2026-01-01", "end": "2026-01-03", "nights": 4},
            "--nights 4: from 2026-01-01 to 2026-01-03 there are",
        ),
    ],
)
def test_a_range_that_is_none_is_refused(world, given, message):
    with pytest.raises(ConfigError) as raised:
        night_dates(load_run(world()), **given)
    assert message in str(raised.value)


def test_data_without_times_has_no_nights_to_choose(world):
    file = world()
    interactions = file.parent / "data" / "interactions.csv"
    pl.read_csv(interactions).drop("timestamp").write_csv(interactions)
    with pytest.raises(DataError, match=r"no timestamps.*give --from, --to"):
        night_dates(load_run(file), nights=3)
