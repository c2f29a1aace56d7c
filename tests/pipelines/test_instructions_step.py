"""`instruct` and its export: from a night's tables, from train alone, the same again, one content in three forms."""

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from features.store import DeltaStore
from pipelines import instructions
from pipelines.checks import check_run
from pipelines.cli import app
from pipelines.job import run_night
from schemas.errors import ConfigError, StoreError
from schemas.run import load_run
from tests.support.small_world import RUN, books, events

DS = "2026-01-01"
CANARY = "b38"  # no event of the small world has it
ENTRIES = """
[[semantic_ids]]
name = "codes"
item = "title"
options = { levels = 2, size = 4 }
[[instructions]]
name = "grid"
builder = "instructrec"
noun = "book"
profile = "rlmrec.user/summarization"
intention = "rlmrec.item/summarization"
[[instructions]]
name = "codes.mixed"
builder = "lc_rec"
codes = "codes"
profile = "rlmrec.user/summarization"
intention = "rlmrec.item/summarization"
examples = 150
[[instructions]]
name = "near"
builder = "rella"
vectors = "title"
history = 3
[[instructions]]
name = "pairs"
builder = "s_dpo"
options = { candidates = 6, rejected = 2 }
examples = 50
"""
BEFORE = ("ingest", "split", "generate", "encode", "materialize", "tokenize")
HEAD = RUN.split("[[models]]")[0].replace('baseline = "lightgcn"', 'baseline = "popularity"')
MODEL = '[[models]]\nname = "popularity"\nrecommender = "popularity"\n'


def with_canary() -> list[tuple[str, str, int]]:
    """Every reader's last event, which leave-one-out holds out for test, is the canary."""
    return [*events(), *((f"r{reader:02}", CANARY, 1_750_000_000 + reader) for reader in range(38))]


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Path:
    """The run file of a night that has made its instructions."""
    home = tmp_path_factory.mktemp("told")
    (home / "data").mkdir()
    books().write_parquet(home / "data" / "items.parquet")
    rows = pl.DataFrame(with_canary(), schema=["user_id", "item_id", "timestamp"], orient="row")
    rows.write_csv(home / "data" / "interactions.csv")
    (home / "run.toml").write_text(HEAD + ENTRIES + MODEL, encoding="utf-8")
    for step in (*BEFORE, "instruct"):
        run_night(home / "run.toml", step=step, ds=DS)
    return home / "run.toml"


def store(file: Path) -> DeltaStore:
    return DeltaStore(str(file.parent / "lake"))


def test_every_entry_has_rows_and_the_step_tells_how_many(told) -> None:
    rows = store(told).read("instructions", DS)
    counts = dict(rows["name"].value_counts().iter_rows())
    assert (counts["codes.mixed"], counts["pairs"]) == (150, 50)
    assert counts["near"] == 4 * 38 * 8, "of eleven events two are held out, and the first has nothing before it"
    record = json.loads((told.parent / "lake" / "_work" / "nights" / DS / "steps" / "instruct.json").read_text())
    assert {each["name"]: each["rows"] for each in record["instructions"]} == counts
    assert record["rows"] == rows.height
    said = rows.filter(pl.col("name") == "grid")["messages"].list.get(1).struct.field("content")
    assert said.str.contains("About the user: ").any()
    assert set(rows.filter(pl.col("name") == "codes.mixed")["task"]) >= {"search", "preference", "asymmetric"}
    assert rows.select("name", "row").is_unique().all()


def test_no_held_out_interaction_is_in_any_row(told) -> None:
    lake = store(told)
    rows, splits = lake.read("instructions", DS), lake.read("splits", DS)
    train = set(splits.filter(pl.col("part") == "train").select("user_id", "item_id").rows())
    shown = rows.select("user_id", "source_ids").explode("source_ids").drop_nulls()
    assert set(shown.rows()) <= train
    title = books().filter(pl.col("id") == CANARY)["title"][0]
    content = rows["messages"].list.eval(pl.element().struct.field("content")).list.join("\n")
    assert content.str.contains("of Number 36").any()
    planted = rows.filter(content.str.contains(f'{title}(?:"|$)') | pl.col("rejected").list.contains(title))
    assert set(planted["task"]) <= {"title_to_codes", "codes_to_title"}, "what is said of the catalogue alone"
    assert set(rows["split_id"]) == set(splits["split_id"])


def test_the_same_night_again_writes_nothing_and_lineage_knows_the_sources(told) -> None:
    lake = store(told)
    before = (lake.version("instructions"), lake.version("lineage"))
    run_night(told, step="instruct", ds=DS)
    assert (lake.version("instructions"), lake.version("lineage")) == before
    written = lake.read("lineage", DS).filter(pl.col("table") == "instructions")
    assert set(written["step"]) == {"instruct"}
    assert set(written["source"]) == {"users", "items", "splits", "profiles", "embeddings", "semantic_ids"}


def test_files_and_table_hold_the_same(told, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(instructions, "ROWS_AT_ONCE", 70)  # several blocks
    done = CliRunner().invoke(app, ["instructions", "--run", str(told), "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert "pairs: 50 rows (pick_title 50), median prompt about " in done.stdout
    rows = store(told).read("instructions", DS)
    for each in found["instructions"]:
        mine = rows.filter(pl.col("name") == each["name"]).sort("row")
        assert pl.read_parquet(each["parquet"]).equals(mine.select(pl.read_parquet(each["parquet"]).columns))
        lines = [json.loads(line) for line in Path(each["jsonl"]).read_text(encoding="utf-8").splitlines()]
        assert [line["messages"] for line in lines] == mine["messages"].to_list()
        assert [line.get("rejected", []) for line in lines] == mine["rejected"].to_list()
        assert all(
            set(line) == ({"messages", "rejected"} if each["name"] == "pairs" else {"messages"}) for line in lines
        )
        assert each["rows"] == mine.height == sum(each["tasks"].values())
    assert len(list((tmp_path / "out").iterdir())) == 2 * len(found["instructions"]), "no partial file is left"


def test_a_file_that_cannot_be_finished_leaves_the_one_before(told, tmp_path, monkeypatch) -> None:
    instructions.export(told, tmp_path, DS)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def torn(rows: pl.DataFrame) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(instructions, "chat_lines", torn)
    with pytest.raises(KeyboardInterrupt):
        instructions.export(told, tmp_path, DS)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_what_cannot_be_exported_says_what_to_do(told, world, tmp_path) -> None:
    plain = world(run=HEAD + MODEL)
    with pytest.raises(ConfigError, match=r"add \[\[instructions\]\] and run `loregraph instruct`"):
        instructions.export(plain, tmp_path, DS)
    with pytest.raises(StoreError, match="instructions has nothing of 2026-01-02; run `loregraph instruct --run"):
        instructions.export(told, tmp_path, "2026-01-02")
    later = told.with_name("later.toml")
    later.write_text(told.read_text() + '[[instructions]]\nname = "late"\nbuilder = "bigrec"\n')
    with pytest.raises(StoreError, match="late: the table instructions has no rows of it in 2026-01-01; if the entry"):
        instructions.export(later, tmp_path, DS)


def test_without_an_entry_nothing_is_done_and_no_table_is_made(world) -> None:
    file = world(run=HEAD + MODEL)
    run_night(file, step="instruct", ds=DS)  # before there is any table
    assert not store(file).exists("instructions")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('builder = "tallrek"', "instructions.x.builder: tallrek: unknown, did you mean tallrec"),
        ('builder = "rella"', "instructions.x.vectors: rella needs it, found none"),
        ('builder = "bigrec"\nvectors = "title"', "instructions.x.vectors: bigrec does not read it; leave it out"),
        ('builder = "llamarec"\noptions = { candidates = 27 }', "options.candidates: .*less than or equal to 26"),
        ('builder = "lc_rec"\ncodes = "codex"', "instructions.x.codes: codex: unknown, did you mean codes"),
        ('builder = "lc_rec"\ncodes = "codes"\noptions = { weights = [0, 0, 0, 0, 0, 0] }', "one weight above 0"),
        ('builder = "tallrec"\nprofile = "rlmrec.usr/x"', "x.profile: .*rlmrec.usr: unknown, did you mean"),
        ('builder = "tallrec"\nprofile = "rlmrec.user/sumarization"', "sumarization: unknown, did you mean summ"),
        ('builder = "tallrec"\nprofile = "rlmrec.item/reasoning"', "x.profile: rlmrec.item/reasoning writes item prof"),
        ('builder = "rella"\nvectors = "rlmrec.user/reasoning"', "x.vectors: rlmrec.user/reasoning writes user prof"),
        ('builder = "instructrec"\nintention = "title"', "intention: expected recipe/field, found title"),
        ('builder = "bigrec"\n[[instructions]]\nname = "x"\nbuilder = "bigrec"', "two entries are called x"),
    ],
)
def test_what_is_wrong_with_an_entry_is_named(world, entry, message) -> None:
    codes = '[[semantic_ids]]\nname = "codes"\nitem = "title"\n'
    file = world(run=HEAD + codes + f'[[instructions]]\nname = "x"\n{entry}\n' + MODEL)
    with pytest.raises(ConfigError, match=message):
        check_run(load_run(file))
