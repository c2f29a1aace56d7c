"""`loregraph why` on a real night: it tells what was stored at the time, whatever has changed since."""

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from features.store import DeltaStore
from pipelines.job import run_night
from pipelines.why import explain
from pipelines.why.text import as_text
from schemas.errors import ConfigError, DataError, StoreError
from schemas.records import sha256
from tests.support.small_world import RUN, books, events

DS, NEXT = "2026-01-01", "2026-01-02"
CHOSEN = RUN + '[recommend]\nmodel = "aligned"\n'
ENCODED = "all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def lived(tmp_path_factory) -> Path:
    """The run file of a night that has been; for reading only."""
    home = tmp_path_factory.mktemp("why") / "world"
    (home / "data").mkdir(parents=True)
    books().write_parquet(home / "data" / "items.parquet")
    frame = pl.DataFrame(events(), schema=["user_id", "item_id", "timestamp"], orient="row")
    frame.write_csv(home / "data" / "interactions.csv")
    (home / "run.toml").write_text(CHOSEN, encoding="utf-8")
    run_night(home / "run.toml", ds=DS)
    return home / "run.toml"


@pytest.fixture
def file(lived, tmp_path) -> Path:
    """The same night in a folder of its own."""
    return Path(shutil.copytree(lived.parent, tmp_path / "world")) / "run.toml"


def lake_of(file: Path) -> DeltaStore:
    return DeltaStore(str(file.parent / "lake"))


def rename_books(file: Path) -> None:
    place = file.parent / "data" / "items.parquet"
    pl.read_parquet(place).with_columns(title=pl.lit("Renamed ") + pl.col("id")).write_parquet(place)


def ledger_row(file: Path, key: str) -> dict:
    with sqlite3.connect(file.parent / "lake" / "_work" / "ledger.sqlite") as ledger:
        ledger.row_factory = sqlite3.Row
        return dict(ledger.execute("SELECT * FROM calls WHERE key = ?", (key,)).fetchone())


def offered(file: Path) -> tuple[str, str]:
    """Some user and the item that is ranked third for it."""
    rows = lake_of(file).read("recommendations", DS).filter(pl.col("rank") == 3).sort("user_id")
    return rows["user_id"][5], rows["item_id"][5]


def table(found: dict, name: str) -> dict:
    [row] = [row for row in found["tables"] if row["table"] == name]
    return row


def test_a_user_is_told_with_prompt_answer_sources_and_the_texts_that_were_shown(lived) -> None:
    found = explain("user", ["r25"], lived)
    [recipe] = found["recipes"]
    call, asked = recipe["call"], ledger_row(lived, recipe["key"])
    assert found["ds"] == DS
    assert (call["system"], call["user"]) == (asked["system"], asked["user"])
    assert json.loads(call["answers"][0])["summarization"] == recipe["fields"]["summarization"]["text"]
    assert (call["engine"], call["model"], call["night"], call["turns"]) == ("offline", "offline", DS, 1)
    assert call["asked_at"] == asked["created"]

    prompts = lake_of(lived).read("prompts", DS).filter(pl.col("id") == "r25")
    times = {item: time for user, item, time in events() if user == "r25"}
    assert [row["id"] for row in recipe["sources"]] == prompts["source_ids"][0].to_list()
    for row in recipe["sources"]:
        assert row == {"id": row["id"], "title": row["title"], "time": times[row["id"]], "part": "train"}
        assert row["title"] in call["user"]

    profiles = lake_of(lived).read("profiles", DS).filter(pl.col("field") == "summarization")
    keys = dict(profiles.filter(pl.col("recipe") == "rlmrec.item").select("id", "key").rows())
    assert {row["id"]: row["key"] for row in recipe["upstream"]} == {
        row["id"]: keys[row["id"]] for row in recipe["sources"]
    }
    assert {row["shown"] for row in recipe["upstream"]} == {"whole"}


def test_an_item_is_told_with_its_attributes_and_tables(lived) -> None:
    found = explain("item", ["b03"], lived)
    assert found["attributes"] == {"id": "b03", "title": "The Voyage of Number 3", "subjects": "Sea adventure"}
    [recipe] = found["recipes"]
    assert json.loads(recipe["call"]["user"])["title"] == "The Voyage of Number 3"
    assert (recipe["sources"], recipe["upstream"], found["rejects"]) == ([], [], [])
    profiles = table(found, "profiles")
    assert (profiles["step"], profiles["version"], profiles["run_file"]) == ("generate", 0, sha256(CHOSEN))
    assert {source["table"]: source["version"] for source in profiles["made_from"]} == {
        "users": 0,
        "items": 0,
        "splits": 0,
    }
    assert profiles["split_id"] == recipe["split_id"]


def test_a_vector_is_told_by_the_text_behind_its_hash(lived) -> None:
    found = explain("vector", ["b03"], lived, kind="item", source="rlmrec.item/summarization")
    [vector] = found["vectors"]
    profile = explain("item", ["b03"], lived)["recipes"][0]
    assert vector["text"] == profile["fields"]["summarization"]["text"]
    assert sha256(vector["text"]) == vector["text_hash"]
    assert (vector["encoder"], vector["dim"], vector["norm"]) == (ENCODED, 384, pytest.approx(1, abs=1e-4))
    assert vector["recipes"][0]["call"] == profile["call"]
    assert {source["table"] for source in table(found, "embeddings")["made_from"]} == {"profiles", "vectors"}


def test_a_recommendation_is_told_down_to_the_tables_that_its_model_was_trained_on(lived) -> None:
    user, item = offered(lived)
    found = explain("recommendation", [user, item], lived)
    fitted = json.loads(
        next((lived.parent / "lake" / "_work" / "models" / "aligned").glob("*/result.json")).read_text()
    )
    model = found["model"]
    assert (found["rank"], model["name"], model["seed"]) == (3, "aligned", 1)
    assert (model["config_hash"], model["row"]["folder"]) == (fitted["config_hash"], fitted["folder"])
    split = lake_of(lived).read("splits", DS)
    assert model["split_id"] == split["split_id"][0]
    train = split.filter((pl.col("user_id") == user) & (pl.col("part") == "train")).sort("order")
    assert [event["id"] for event in found["history"]] == train["item_id"].to_list()
    [text] = found["texts"]["item"]
    assert text["text"] == explain("item", [item], lived)["recipes"][0]["fields"]["summarization"]["text"]
    assert found["texts"]["user"][0]["source"] == f"rlmrec.user/summarization@{ENCODED}"
    trained = {source["table"]: source["version"] for source in table(found, "model:aligned/1")["made_from"]}
    assert trained == {"users": 0, "items": 0, "splits": 0, "embeddings": 0}


def test_another_wording_and_other_titles_change_nothing_of_what_is_told(file) -> None:
    questions = [("user", ["r25"]), ("item", ["b03"]), ("vector", ["b03"]), ("recommendation", list(offered(file)))]
    before = [explain(what, ids, file) for what, ids in questions]
    wording = "options = { noun = 'film' }\nprompt = 'Say something else entirely.'\n"
    file.write_text(CHOSEN.replace('options = { noun = "book" }\n', wording))
    rename_books(file)
    assert [explain(what, ids, file) for what, ids in questions] == before


def test_a_call_that_the_table_lacks_is_not_stored_and_not_made_again(file) -> None:
    key = explain("user", ["r25"], file)["recipes"][0]["key"]
    DeltaTable(str(file.parent / "lake" / "calls")).delete(f"key = '{key}'")
    [recipe] = (found := explain("user", ["r25"], file))["recipes"]
    assert (recipe["call"], recipe["upstream"]) == (None, [])
    assert recipe["fields"]["summarization"]["text"]
    told = as_text(found)
    assert "call: not stored" in told
    assert "PURCHASED ITEMS" not in told


def test_the_versions_told_are_those_that_were_read_when_a_newer_one_is_live(file) -> None:
    rename_books(file)
    run_night(file, step="ingest", ds=DS)
    assert lake_of(file).version("items") == 1
    found = explain("item", ["b03"], file)
    assert found["attributes"]["title"] == "The Voyage of Number 3"
    assert table(found, "items")["version"] == 0
    assert explain("user", ["r25"], file)["recipes"][0]["sources"][0]["title"].startswith("The Voyage")

    for step in ("split", "generate"):
        run_night(file, step=step, ds=DS)
    found = explain("item", ["b03"], file)
    assert found["attributes"]["title"] == "Renamed b03"
    assert {source["table"]: source["version"] for source in table(found, "prompts")["made_from"]}["items"] == 1
    assert "Renamed b03" in found["recipes"][0]["call"]["user"]
    vector = explain("vector", ["b03"], file)["vectors"][0]
    assert "The Voyage of Number 3" in vector["text"], "nothing was materialized since"


def test_the_same_night_twice_leaves_lineage_and_calls_as_they_are(file) -> None:
    lake = lake_of(file)
    before = {name: (lake.version(name), lake.read(name)) for name in ("lineage", "calls")}
    assert before["calls"][1].height == lake.read("prompts", DS)["key"].n_unique()
    run_night(file, ds=DS)
    for name, (version, frame) in before.items():
        assert lake.version(name) == version
        assert lake.read(name).equals(frame)


def test_a_reused_model_shows_the_versions_of_the_night_that_fitted_it(file) -> None:
    run_night(file, ds=NEXT)
    lake = lake_of(file)
    assert lake.read("calls")["night"].unique().to_list() == [DS], "no call is stored twice"
    found = explain("recommendation", list(offered(file)), file)
    assert found["ds"] == NEXT
    sources = table(found, "model:aligned/1")["made_from"]
    assert {(source["table"], source["ds"], source["version"]) for source in sources} == {
        (name, DS, 0) for name in ("users", "items", "splits", "embeddings")
    }
    published = {source["table"]: source["version"] for source in table(found, "recommendations")["made_from"]}
    assert published["items"] == lake.version("items") == 1


def test_a_night_without_lineage_is_told_from_its_own_tables(file) -> None:
    shutil.rmtree(file.parent / "lake" / "lineage")
    found = explain("user", ["r25"], file)
    assert found["recipes"][0]["sources"][0]["part"] == "train"
    assert table(found, "prompts")["written_at"] is None
    assert "lineage not stored" in as_text(found)
    model = explain("recommendation", list(offered(file)), file)["model"]
    assert (model["seed"], model["config_hash"]) == (None, None)


def test_edges_candidates_and_partitions_of_an_earlier_night_are_told(file) -> None:
    recipes = '[[recipes]]\nname = "liber.partition"\noptions = { max_items = 4 }\n[[recipes]]\nname = "llmrec.edges"\n'
    file.write_text(RUN.split("[[recipes]]")[0] + recipes + "[gates]" + RUN.split("[gates]")[1].split("[[models]]")[0])
    for ds in ("2026-02-01", "2026-02-02"):
        for step in ("ingest", "split", "generate"):
            run_night(file, step=step, ds=ds)
    found = explain("user", ["r03"], file)
    by_recipe = {(row["recipe"], row["part"]): row for row in found["recipes"]}
    assert found["ds"] == "2026-02-02"
    assert set(by_recipe) == {("liber.partition", 1), ("liber.partition", 2), ("llmrec.edges", 0)}

    first, second = (by_recipe["liber.partition", part] for part in (1, 2))
    assert second["partitions"][0]["item_ids"] == [row["id"] for row in second["sources"]]
    assert second["upstream"][0]["key"] == first["key"], "the part before is shown"
    assert second["call"]["night"] == "2026-02-01"
    assert second["fields"]["summary"]["text"] == second["partitions"][0]["texts"][0]

    edges = by_recipe["llmrec.edges", 0]
    offered = {row["id"]: row["title"] for row in edges["candidates"]}
    assert len(edges["llm_edges"]) == 2
    for edge in edges["llm_edges"]:
        assert offered[edge["item_id"]] in edges["call"]["user"]
    made_from = table(found, "partitions")["made_from"]
    assert ("partitions", "2026-02-01") in {(source["table"], source["ds"]) for source in made_from}
    assert "candidates shown" in as_text(found)


def test_rejects_say_why_there_is_nothing(file) -> None:
    interactions = file.parent / "data" / "interactions.csv"
    late = [f"late,b0{n},{1_900_000_000 + n}" for n in range(3)]
    interactions.write_text("\n".join([interactions.read_text().strip(), *late]) + "\n")
    file.write_text(CHOSEN.replace('rule = "leave_one_out"', 'rule = "time"'))
    for step in ("ingest", "split", "generate"):
        run_night(file, step=step, ds="2031-01-01")
    found = explain("user", ["late"], file)
    assert found["recipes"] == []
    assert [reject["reason"] for reject in found["rejects"]] == ["nothing_to_ask"]
    assert "REJECT publish: nothing_to_ask" in as_text(found)


@pytest.mark.parametrize(
    ("what", "ids", "options", "error", "said"),
    [
        ("user", ["r255"], {}, DataError, r"user r255: not in table users of 2026-01-01 \(nearest: r25"),
        ("vector", ["b300"], {}, DataError, r"not in table embeddings .* \(nearest: b00"),
        ("vector", ["b03"], {"source": "title"}, DataError, r"no source title .* \(known: rlmrec.item/summarization@"),
        ("recommendation", ["r00", "b00"], {}, DataError, r"item b00: not recommended to user r00 .*offered: b"),
        ("recommendation", ["r0", "b00"], {}, DataError, r"user r0: not in table recommendations .*nearest: r0"),
        ("recommendation", ["r00"], {}, ConfigError, "expected USER ITEM, found r00"),
        ("usr", ["r00"], {}, ConfigError, "did you mean user"),
        ("vector", ["b03"], {"kind": "itm"}, ConfigError, "did you mean item"),
        ("user", ["r00"], {"ds": "2026-01-03"}, StoreError, r"nearest: 2026-01-01"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(lived, what, ids, options, error, said) -> None:
    with pytest.raises(error, match=said):
        explain(what, ids, lived, **options)


def test_the_command_prints_the_whole_account_or_one_json_object(lived) -> None:
    def why(*arguments):
        command = [sys.executable, "-m", "pipelines.cli", "why", *arguments, "--run", str(lived)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    told, found = why("user", "r25").stdout, json.loads(why("user", "r25", "--json").stdout)
    assert found == json.loads(json.dumps(explain("user", ["r25"], lived)))
    words = " ".join(told.split())
    for text in (found["recipes"][0]["call"]["system"], found["recipes"][0]["call"]["answers"][0]):
        assert " ".join(text.split()) in words
    assert "profiles version 0 (2026-01-01): generate on" in told
    missing = why("user", "nobody")
    assert (missing.returncode, missing.stdout) == (1, "")
