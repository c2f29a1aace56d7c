"""The whole night on a small world: what it publishes, and that the same night again does nothing."""

import json
from pathlib import Path

import polars as pl
import pytest

from features.store import DeltaStore
from pipelines.job import run_night
from pipelines.steps import STEPS
from schemas.errors import BudgetError, ConfigError, DataError, GateError, StoreError
from schemas.records import sha256
from tests.support.faulty_endpoint import chat, endpoint
from tests.support.small_world import RUN, events

DS = "2026-01-01"


@pytest.fixture
def night(world):
    file = world()
    return file, run_night(file, ds=DS), DeltaStore(str(file.parent / "lake"))


def test_a_night_publishes_every_table_and_the_second_one_changes_none(night) -> None:
    file, first, lake = night
    assert first["asked"] + first["cached"] == 78  # a prompt that equals another one is asked once
    assert first["asked"] >= 70
    assert (first["rejected"], first["cost_usd"]) == (0, 0.0)
    assert first["encoded"] > 0
    assert set(first["seconds"]) == set(STEPS)
    before = {name: (lake.version(name), lake.read(name)) for name in lake.names()}
    assert {"users", "items", "interactions", "splits", "prompts", "profiles", "rejects"} <= set(before)
    assert {"embeddings", "models", "metrics", "user_metrics", "recommendations"} <= set(before)

    second = run_night(file, ds=DS)
    assert (second["asked"], second["cached"], second["encoded"]) == (0, 78, 0)
    assert second["models"] == first["models"]
    for name, (version, frame) in before.items():
        assert lake.version(name) == version, name
        assert lake.read(name).equals(frame), name


def test_the_summary_names_models_with_seed_valid_and_test(night) -> None:
    _, summary, _ = night
    assert [model["name"] for model in summary["models"]] == ["popularity", "lightgcn", "aligned", "aligned.shuffled"]
    for model in summary["models"]:
        assert model["seed"] == 1
        assert 0 <= model["valid"]["recall@20"] <= 1
        assert 0 <= model["test"]["ndcg@20"] <= 1


def test_the_report_holds_what_the_tables_hold(night) -> None:
    _, summary, lake = night
    report = json.loads(Path(summary["report"]).with_suffix(".json").read_text())
    assert report["asked"] == summary["asked"]
    assert report["selected"] in {"popularity", "lightgcn", "aligned"}
    assert {row["name"] for row in report["intervals"]} == {"popularity", "aligned", "aligned.shuffled"}
    assert all(gate["success"] for gate in report["gates"])
    tables = ["users", "items", "interactions", "splits", "profiles", "answer_quality", "embeddings", "recommendations"]
    assert [gate["table"] for gate in report["gates"]] == tables
    metrics = lake.read("metrics", ds=DS).filter(
        (pl.col("part") == "test") & (pl.col("slice") == "all") & (pl.col("metric") == "recall@20")
    )
    shown = {model["name"]: model["test"]["recall@20"] for model in report["models"]}
    assert dict(metrics.select("model", "value").rows()) == shown
    page = Path(summary["report"]).read_text()
    assert "The Crypt of Number" in page


def test_recommendations_are_new_items_of_every_reader(night) -> None:
    _, _, lake = night
    found = lake.read("recommendations", ds=DS)
    assert found["user_id"].n_unique() == 38
    known = pl.DataFrame(events(), schema=["user_id", "item_id", "time"], orient="row")
    assert found.join(known, on=["user_id", "item_id"], how="semi").height == 0


def test_another_night_keeps_the_first_and_asks_nothing(night) -> None:
    file, _, lake = night
    again = run_night(file, ds="2026-01-02")
    assert (again["asked"], again["encoded"]) == (0, 0)
    assert lake.partitions("profiles") == [DS, "2026-01-02"]


def test_a_changed_title_is_asked_again_with_the_readers_whose_prompt_has_it(night) -> None:
    file, _, _ = night
    items = pl.read_parquet(file.parent / "data" / "items.parquet")
    changed = items.with_columns(
        pl.when(pl.col("id") == "b00").then(pl.lit("A New Name")).otherwise("title").alias("title")
    )
    changed.write_parquet(file.parent / "data" / "items.parquet")
    again = run_night(file, ds="2026-01-02")
    assert 1 <= again["asked"] <= 21  # the book, and some readers of its community
    assert again["asked"] + again["cached"] == 78


def test_a_failing_gate_leaves_the_version_before_live(night) -> None:
    file, _, lake = night
    live = lake.version("profiles")
    items = pl.read_parquet(file.parent / "data" / "items.parquet")
    items.with_columns(pl.lit("The same text").alias("title"), pl.lit("one").alias("subjects")).write_parquet(
        file.parent / "data" / "items.parquet"
    )
    file.write_text(RUN.replace("duplicates = 1.0", "duplicates = 0.01"))
    with pytest.raises(GateError) as raised:
        run_night(file, ds="2026-01-02")
    assert raised.value.exit_code == 3
    assert lake.version("profiles") == live
    assert lake.partitions("profiles") == [DS]
    assert list((file.parent / "lake" / "_work" / "nights" / "2026-01-02").rglob("index.html"))


def test_users_without_train_interactions_do_not_fail_the_coverage_gate(world) -> None:
    late = [(f"late{n:02}", "b00", 1_900_000_000 + n) for n in range(38)]  # as many as the others, in test only
    file = world([*events(), *late], run=RUN.replace('rule = "leave_one_out"', 'rule = "time"'))
    for step in ("ingest", "split", "generate"):
        run_night(file, step=step, ds="2031-01-01")
    lake = DeltaStore(str(file.parent / "lake"))
    assert lake.read("rejects", ds="2031-01-01")["reason"].to_list() == ["nothing_to_ask"] * 38
    assert lake.read("profiles", ds="2031-01-01").filter(pl.col("kind") == "user")["id"].n_unique() == 38


def test_a_budget_stops_before_the_first_call_that_could_pass_it_and_a_higher_one_goes_on(world) -> None:
    with endpoint(lambda body, attempt: chat(answer_to(body))) as server:
        paid = f'[llm]\nengine = "openai"\nmodel = "m"\nbase_url = "{server.url}"\nusd_per_million_output = 1000.0\n'
        file = world(run=RUN + paid + "max_output_tokens = 100\n")  # at most $0.10 a call, really $0.02
        with pytest.raises(BudgetError) as raised:
            run_night(file, ds=DS, max_cost_usd=0.5)
        assert raised.value.exit_code == 4
        asked = sum(server.attempts.values())
        assert 5 <= asked <= 25
        summary = run_night(file, ds=DS, max_cost_usd=10.0)
        assert summary["asked"] + asked == sum(server.attempts.values())
        assert set(server.attempts.values()) == {1}
        assert summary["cost_usd"] == pytest.approx(0.02 * summary["asked"])


def answer_to(body: dict) -> str:
    """An answer of its own to every message, so that the gate sees no copies."""
    return json.dumps({"summarization": f"Those who like {sha256(body['messages'][-1]['content'])[:12]}."})


def test_no_time_before_the_first_event(world) -> None:
    with pytest.raises(DataError, match="before 2001-01-02"):
        run_night(world(), ds="2001-01-01")


def test_events_after_the_night_do_not_exist_for_it(world) -> None:
    file = world()
    run_night(file, step="ingest", ds="2023-11-17")
    counts = run_night(file, step="split", ds="2023-11-17")["folder"]
    split = json.loads((Path(counts) / "steps" / "split.json").read_text())
    assert split["train"] + split["valid"] + split["test"] == 38 * 4  # 22:13 on 2023-11-14 and the three days after


def test_a_lake_that_cannot_be_written_says_so(world, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="cannot write there"):
        run_night(world(), ds=DS, lake=str(tmp_path / "file" / "lake"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "rlmrec.user"', 'name = "rlmrec.usr"', "did you mean rlmrec.user"),
        ('backbone = { name = "lightgcn", options = { dim = 8 } }', 'backbone = { name = "lightgnc" }', "lightgcn"),
        ("options = { dim = 8 }", "options = { dimm = 8 }", "did you mean dim"),
        ("objectives = [{ name = ", "objectives = [{ name = 'x', weight = 0 }, { name = ", "greater than 0, found 0"),
        ('item = "rlmrec.item/summarization"', 'item = "rlmrec.itm/summarization"', "rlmrec.item"),
        ('item = "rlmrec.item/summarization"', 'item = "rlmrec.user/summarization"', "writes user profiles"),
    ],
)
def test_a_wrong_name_is_found_before_anything_is_read(world, old: str, new: str, said: str) -> None:
    file = world(run=RUN.replace(old, new))
    with pytest.raises(ConfigError) as raised:
        run_night(file, ds=DS)
    assert said in str(raised.value)
    assert str(file) in str(raised.value)
    assert not (file.parent / "lake").exists()


def test_a_recipe_needs_its_upstream_before_it(world) -> None:
    run = RUN.replace('[[recipes]]\nname = "rlmrec.item"\noptions = { noun = "book" }\n', "")
    with pytest.raises(ConfigError, match=r"put rlmrec\.item before it"):
        run_night(world(run=run), ds=DS)


def test_a_run_without_recipes_and_models_still_makes_its_tables_and_a_report(world) -> None:
    file = world(run=RUN.split("[[recipes]]")[0])
    summary = run_night(file, ds=DS)
    assert (summary["asked"], summary["encoded"], summary["models"]) == (0, 0, [])
    assert DeltaStore(str(file.parent / "lake")).names() == [
        "interactions",
        "items",
        "lineage",
        "rejects",
        "releases",
        "splits",
        "users",
    ]
    assert DS in Path(summary["report"]).read_text()


def test_a_file_url_is_the_folder(world, tmp_path: Path) -> None:
    run_night(world(), step="ingest", ds=DS, lake=f"file://{tmp_path}/elsewhere")
    assert DeltaStore(str(tmp_path / "elsewhere")).exists("items", DS)
    assert (tmp_path / "elsewhere" / "_work").is_dir()


def test_a_date_that_is_none_is_a_usage_error(world) -> None:
    with pytest.raises(ConfigError, match="expected a date"):
        run_night(world(), ds="yesterday")
