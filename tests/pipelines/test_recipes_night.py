"""A night with every recipe: what it publishes, what the next one asks, and what is never shown or proposed."""

import json
import shutil
import sqlite3
from pathlib import Path

import polars as pl
import pytest

from features.gates import check_table
from features.measures import against_train
from features.recipes import RECIPES
from features.store import DeltaStore
from pipelines.job import run_night
from pipelines.steps import ask, publish
from schemas.errors import ConfigError
from schemas.expectations import edge_suite
from schemas.run import load_run
from tests.support.small_world import DAY, READERS, RUN, books, events
from tests.support.tiny_model import save_tiny_model

DS, NEXT = "2026-01-01", "2026-01-02"
HEAD = RUN.split("[[recipes]]")[0]
SETTINGS = "[gates]" + RUN.split("[gates]")[1].split("[[models]]")[0]
PART = 4  # events of a partition; readers have eight in train
OPTIONS = {
    "kar.item": 'domain = "books"',
    "kar.user": 'domain = "books"',
    "liber.partition": f"max_items = {PART}",
    "once.generate": "cold = 2",
}
ORDER = sorted(RECIPES, key=lambda name: (bool(RECIPES[name].needs), name))
RECORDED = """
llm = { engine = "recorded", answers = "generated.parquet" }
"""
GRAPH = 'backbone = { name = "lightgcn", options = { dim = 8 } }'
MODELS = f"""
[[models]]
name = "lightgcn"
{GRAPH}
[[models]]
name = "edges"
{GRAPH}
objectives = [{{ name = "llmrec_triplets" }}, {{ name = "once" }}]
features = {{ edges = ["llmrec.edges", "once.generate"] }}
[[models]]
name = "texts"
{GRAPH}
objectives = [{{ name = "kar" }}, {{ name = "rlmrec_con", weight = 0.1 }}]
[models.features]
item = ["kar.item/knowledge", "title"]
user = ["kar.user/knowledge", "llmrec.user_profile/profile"]
pca = 6
[[models]]
name = "liber"
{GRAPH}
objectives = [{{ name = "rlmrec_con", weight = 0.1 }}]
[models.features]
item = ["once.item/description", "llmrec.item_attributes/creator"]
user = ["liber.partition/summary", "liber.partition/change", "once.user/interests"]  # nobody has a change tonight
adaptor = {{ name = "gate" }}
"""
COLD = [("r90", "b00", 1_700_000_000), ("r90", "b02", 1_700_000_001), ("r90", "b08", 1_700_000_002)]
COLD += [("r91", "b01", 1_700_000_000), ("r91", "b03", 1_700_000_001)]
GENERATED = {
    "user_id": ["r90", "r90", "r91"],
    "version": ["v1", "v2", "v1"],
    "raw": [
        '{"title": "The Crypt of Number 4", "description": "Eerie."}',
        '{"title": "crypt of number 6 (1897)"}',
        '{"items": [{"title": "The Voyage of Number 1"}, {"title": "The Voyag of Number 7"}, {"title": "Emma"}]}',
    ],
}


def recipe(name: str, more: str = "") -> str:
    options = f'noun = "book", {OPTIONS[name]}' if name in OPTIONS else 'noun = "book"'
    return f'[[recipes]]\nname = "{name}"\noptions = {{ {options} }}\n{more}\n'


def run_of(*names: str, **more: str) -> str:
    """A run file with these recipes and no models; `more` by recipe, with _ for the point."""
    return HEAD + "".join(recipe(name, more.get(name.replace(".", "_"), "")) for name in names) + SETTINGS


def all_recipes(encoder: Path) -> str:
    recipes = run_of(*ORDER, once_generate=RECORDED)
    return f'{recipes}[encoder]\nkind = "hf"\nname = "{encoder}"\n{MODELS}'


def catalogue() -> pl.DataFrame:
    return books().with_columns(author=pl.Series([f"Author {'ABCDE'[number % 5]}" for number in range(40)]))


def write(home: Path, run: str, rows: list[tuple[str, str, int]]) -> Path:
    (home / "data").mkdir(parents=True, exist_ok=True)
    catalogue().write_parquet(home / "data" / "items.parquet")
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    frame.write_csv(home / "data" / "interactions.csv")
    pl.DataFrame(GENERATED).write_parquet(home / "generated.parquet")
    (home / "run.toml").write_text(run, encoding="utf-8")
    return home / "run.toml"


def later(reader: int, count: int, start: int = 10) -> list[tuple[str, str, int]]:
    """Further books of a reader's community that the reader does not have yet, after all others in time."""
    return [
        (f"r{reader:02}", f"b{(2 * ((reader * 3 + day * 7) % 19) + reader % 2):02}", 1_700_000_000 + day * DAY + reader)
        for day in range(start, start + count)
    ]


def lake_of(file: Path) -> DeltaStore:
    return DeltaStore(str(file.parent / "lake"))


def steps(file: Path, *names: str, ds: str = DS) -> dict:
    return [run_night(file, step=name, ds=ds) for name in names][-1]


def calls(file: Path, recipe: str = "%") -> list[tuple[str, str]]:
    """Id and data of every call that the ledger has."""
    with sqlite3.connect(file.parent / "lake" / "_work" / "ledger.sqlite") as ledger:
        query = "SELECT id, user FROM calls WHERE recipe LIKE ? ORDER BY recipe, id, user"
        return ledger.execute(query, [recipe]).fetchall()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """One night with all recipes; nobody writes into it."""
    home = tmp_path_factory.mktemp("whole")
    file = write(home / "world", all_recipes(save_tiny_model(home / "tiny")), [*events(), *COLD])
    return file, run_night(file, ds=DS)


@pytest.fixture
def copied(whole: tuple[Path, dict], tmp_path: Path) -> Path:
    """The same night in a folder of one's own."""
    return Path(shutil.copytree(whole[0].parent, tmp_path / "world")) / "run.toml"


def table(whole: tuple[Path, dict], name: str) -> pl.DataFrame:
    return lake_of(whole[0]).read(name, ds=DS)


def fresh(home: Path, run: str, rows: list[tuple[str, str, int]] | None = None) -> Path:
    """A night that has been ingested and split, with nothing asked yet."""
    file = write(home, run, rows or [*events(), *COLD])
    steps(file, "ingest", "split")
    return file


# ---- what a night publishes


def test_every_recipe_with_texts_has_profiles_of_everybody_in_its_own_fields(whole):
    profiles = table(whole, "profiles")
    for name, recipe in RECIPES.items():
        mine = profiles.filter(pl.col("recipe") == name)
        assert mine.is_empty() == recipe.gives_edges, name
        assert set(mine["field"]) <= set(recipe.writes or recipe.answer.model_fields), name
        assert recipe.gives_edges or mine["id"].n_unique() == (READERS if recipe.partitioned else 40), name
    assert profiles.select("kind", "id", "recipe", "field").is_unique().all()
    assert not [field for field in profiles["field"] if field.startswith("guessed")]


def test_edges_are_one_liked_and_one_disliked_per_user_with_their_provenance_and_none_is_a_train_pair(whole):
    edges, splits = table(whole, "llm_edges"), table(whole, "splits")
    chosen = edges.filter(pl.col("recipe") == "llmrec.edges")
    assert chosen.group_by("user_id").agg(pl.col("label").sort())["label"].to_list() == [[-1, 1]] * 40
    assert set(edges["weight"]) == {1.0}
    assert set(edges["split_id"]) == set(splits["split_id"])
    assert set(chosen["model"]) == {"offline"}
    prompts = table(whole, "prompts").select("recipe", "key", user_id="id")
    assert edges.join(prompts, on=["recipe", "key", "user_id"], how="anti").is_empty()
    train = splits.filter(pl.col("part") == "train")
    assert edges.join(train, on=["user_id", "item_id"], how="semi").is_empty()


def test_generated_items_say_what_the_catalogue_has_of_them_and_the_sure_ones_become_edges(whole):
    rows = table(whole, "generated_items").sort("user_id", "rank")
    assert rows.select("user_id", "rank", "title", "status", "item_id").rows() == [
        ("r90", 1, "The Crypt of Number 4", "exact", "b04"),
        ("r90", 2, "crypt of number 6 (1897)", "normalised", "b06"),
        ("r91", 1, "The Voyage of Number 1", "exact", "b01"),
        ("r91", 2, "The Voyag of Number 7", "fuzzy", "b07"),
        ("r91", 3, "Emma", "none", None),
    ]
    assert rows["text"].to_list() == ["Eerie.", "", "", "", ""]
    assert rows["score"].round(2).to_list() == [1.0, 1.0, 1.0, 0.97, 0.0]
    edges = table(whole, "llm_edges").filter(pl.col("recipe") == "once.generate").sort("item_id")
    assert edges.select("user_id", "item_id", "label").rows() == [("r90", "b04", 1), ("r90", "b06", 1)]
    assert set(edges["model"]) == {"v1+v2"}


def test_generated_items_that_were_held_out_are_said_and_others_are_not(tmp_path, capsys):
    """r90 has b08 in test: whoever generates it has seen it."""
    file = write(tmp_path, run_of("once.generate", once_generate=RECORDED), [*events(), *COLD])
    for title, warned in (("The Crypt of Number 8", True), ("The Crypt of Number 4", False)):
        raw = {"user_id": ["r90"], "version": ["v1"], "raw": [f'{{"title": "{title}"}}']}
        pl.DataFrame(raw).write_parquet(tmp_path / "generated.parquet")
        steps(file, "ingest", "split", "generate")
        assert ("once.generate: 1 of 1 liked edges are held-out interactions" in capsys.readouterr().err) == warned


def test_partitions_are_the_train_histories_of_those_who_fill_one(whole):
    rows = table(whole, "partitions").sort("user_id", "part")
    train = table(whole, "splits").filter(pl.col("part") == "train").sort("order")
    history = dict(train.group_by("user_id").agg("item_id").rows())
    cut = dict(rows.explode("item_ids").group_by("user_id", maintain_order=True).agg("item_ids").rows())
    assert cut == {user: items for user, items in history.items() if len(items) >= PART}
    assert rows["part"].to_list() == [1, 2] * READERS
    assert set(rows["item_ids"].list.len()) == {PART}
    assert not rows["late"].any()
    assert (rows["start_time"] < rows["end_time"]).all()


def test_the_profile_of_a_user_is_the_latest_partition(whole):
    last = table(whole, "partitions").filter(pl.col("part") == 2).select("user_id", pl.col("texts").list.first())
    profiles = table(whole, "profiles").filter((pl.col("recipe") == "liber.partition") & (pl.col("field") == "summary"))
    assert sorted(last.rows()) == sorted(profiles.select("id", "text").rows())


def test_the_second_partition_was_asked_with_the_summary_of_the_first(whole):
    rows = table(whole, "partitions").filter(pl.col("part") == 1)
    prompts = [text for _, text in calls(whole[0], "liber.partition")]
    for summary in rows["texts"].list.first():
        assert sum(json.dumps(summary) in text for text in prompts) == 1


def test_models_read_edges_several_texts_components_adaptors_and_partitions(whole):
    models = {model["name"]: model for model in whole[1]["models"]}
    assert set(models) == {"lightgcn", "edges", "texts", "liber"}
    assert all(0 < model["valid"]["recall@20"] <= 1 for model in models.values())
    assert len({model["valid"]["ndcg@20"] for model in models.values()}) == 4


# ---- the same night, and the next one


def versions(file: Path) -> dict[str, int]:
    lake = lake_of(file)
    return {name: lake.version(name) for name in lake.names()}


def test_the_same_night_again_asks_nothing_and_leaves_every_table(copied):
    before = versions(copied)
    again = run_night(copied, ds=DS)
    assert (again["asked"], again["encoded"]) == (0, 0)
    assert versions(copied) == before


def test_the_next_night_asks_about_the_partitions_that_new_events_fill_and_no_others(copied):
    old = lake_of(copied).read("partitions", ds=DS)
    before = calls(copied, "liber.partition")
    new = [*later(0, 4), *later(1, 3), *later(2, 1), *later(3, 8)]  # r00 one partition, r03 two, the others none
    write(copied.parent, copied.read_text(), [*events(), *COLD, *new])
    steps(copied, "ingest", "split", ds=NEXT)
    plans = {each["recipe"]: each for each in steps(copied, "plan", ds=NEXT)["plan"]["recipes"]}
    assert plans["liber.partition"]["to_ask"] == 3
    steps(copied, "generate", ds=NEXT)

    asked = [call for call in calls(copied, "liber.partition") if call not in before]
    assert [id for id, _ in asked] == ["r00", "r03", "r03"]
    runs = lake_of(copied).read("llm_runs", ds=NEXT).filter(pl.col("recipe") == "liber.partition")
    assert runs["asked"].to_list() == [3]
    now = lake_of(copied).read("partitions", ds=NEXT)
    assert now.filter(pl.col("part") > 2).select("user_id", "part").sort("user_id", "part").rows() == [
        ("r00", 3),
        ("r03", 3),
        ("r03", 4),
    ]
    kept = now.filter(pl.col("part") <= 2).drop("split_id").sort("user_id", "part")
    assert kept.equals(old.drop("split_id").sort("user_id", "part"))
    steps(copied, "generate", ds=NEXT)
    assert len(calls(copied, "liber.partition")) == len(before) + 3


def test_a_late_event_changes_no_closed_partition(tmp_path):
    file = fresh(tmp_path, run_of("liber.partition"))
    steps(file, "generate")
    old, asked = lake_of(file).read("partitions", ds=DS), len(calls(file))
    late = [("r00", "b38", 1_600_000_000), *later(0, 3)]  # before all others of r00
    write(file.parent, file.read_text(), [*events(), *COLD, *late])
    steps(file, "ingest", "split", "generate", ds=NEXT)
    now = lake_of(file).read("partitions", ds=NEXT).sort("user_id", "part")
    kept = now.filter(pl.col("part") <= 2).drop("split_id")
    assert kept.equals(old.drop("split_id").sort("user_id", "part"))
    [added] = now.filter(pl.col("part") == 3).to_dicts()
    assert (added["user_id"], added["late"], added["item_ids"][0]) == ("r00", True, "b38")
    assert len(calls(file)) == asked + 1


def test_an_event_that_is_gone_is_gone_from_the_partitions(tmp_path):
    file = fresh(tmp_path, run_of("liber.partition"))
    steps(file, "generate")
    gone = lake_of(file).read("partitions", ds=DS).filter((pl.col("user_id") == "r00") & (pl.col("part") == 2))
    item = gone["item_ids"][0][0]
    write(file.parent, file.read_text(), [row for row in [*events(), *COLD] if row[:2] != ("r00", item)])
    steps(file, "ingest", "split", "generate", ds=NEXT)
    now = lake_of(file).read("partitions", ds=NEXT).filter(pl.col("user_id") == "r00")
    assert item not in now["item_ids"].explode().to_list()
    assert now["part"].to_list() == [1]
    profile = lake_of(file).read("profiles", ds=NEXT).filter(pl.col("id") == "r00")
    assert profile["key"].unique().to_list() == now["key"].to_list()


def test_a_partition_of_which_nothing_is_known_holds_up_nobody(tmp_path):
    file = fresh(tmp_path, run_of("liber.partition"))
    first = [item for user, item, _ in events() if user == "r00"][:PART]
    bare = catalogue().with_columns(
        pl.when(pl.col("id").is_in(first)).then(None).otherwise(pl.col(name)).alias(name)
        for name in ("title", "subjects", "author")
    )
    bare.write_parquet(file.parent / "data" / "items.parquet")
    steps(file, "ingest", "split", "generate")
    rows = lake_of(file).read("partitions", ds=DS).filter(pl.col("user_id") == "r00").sort("part")
    assert [bool(texts) for texts in rows["texts"].to_list()] == [False, True]
    asked = len(calls(file))
    steps(file, "ingest", "split", "generate", ds=NEXT)
    again = lake_of(file).read("partitions", ds=NEXT).filter(pl.col("user_id") == "r00").sort("part")
    assert again.equals(rows)
    assert len(calls(file)) == asked


# ---- plans and shards


def test_a_plan_says_what_is_then_asked_of_every_recipe(tmp_path):
    file = fresh(tmp_path, run_of(*ORDER))
    plans = {each["recipe"]: each["to_ask"] for each in steps(file, "plan")["plan"]["recipes"]}
    steps(file, "generate")
    runs = lake_of(file).read("llm_runs", ds=DS)
    assert plans == dict(runs.select("recipe", "asked").rows())
    assert sum(plans.values()) == len(calls(file))
    assert plans["liber.partition"] == 2 * READERS


SHARDED = ("llmrec.edges", "liber.partition", "kar.user", "rlmrec.item", "rlmrec.user")


def test_shards_and_a_publication_come_to_what_one_run_comes_to(tmp_path):
    run = run_of(*SHARDED) + "[llm]\nshards = 3\n"
    whole, cut = fresh(tmp_path / "whole", run), fresh(tmp_path / "cut", run)
    steps(whole, "generate")
    config = load_run(cut)
    counts = [ask(config, DS, recipe=name, shard=shard, shards=3) for name in SHARDED for shard in range(3)]
    published = publish(config, DS)
    for name in ("profiles", "llm_edges", "generated_items", "partitions", "prompts"):
        key = [column for column in lake_of(whole).read(name, ds=DS).columns if column not in ("texts", "fields")]
        one, other = (lake_of(file).read(name, ds=DS).sort(key) for file in (whole, cut))
        assert one.equals(other), name
    assert published["asked"] == sum(each["asked"] for each in counts) == len(calls(cut)) == len(calls(whole))
    assert min(each["asked"] for each in counts) > 0, "every shard had something to do"


# ---- settings of one recipe


def test_a_recipe_may_have_a_language_model_of_its_own(whole):
    runs = table(whole, "llm_runs")
    engines = dict(runs.select("recipe", "engine").rows())
    assert engines.pop("once.generate") == "recorded"
    assert set(engines.values()) == {"offline"}
    assert len(engines) == len(RECIPES) - 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("temprature = 0.5", "recipes.kar.user.llm: temprature: unknown, did you mean temperature"),
        ("max_cost_usd = 1.0", "recipes.kar.user.llm.max_cost_usd: one for the whole run"),
        ("shards = 2", "recipes.kar.user.llm.shards: one for the whole run"),
        ('engine = "ofline"', "offline"),
    ],
)
def test_a_wrong_setting_of_a_recipe_is_named(tmp_path, setting, message):
    file = write(tmp_path, run_of("kar.user", kar_user=f"llm = {{ {setting} }}"), events())
    with pytest.raises(ConfigError) as raised:
        run_night(file, ds=DS)
    assert message in str(raised.value)
    assert str(file) in str(raised.value)


def test_an_instruction_of_the_run_file_is_what_the_ledger_has(tmp_path):
    (tmp_path / "kar.txt").write_text("Tell about $noun along $factors.\nAs JSON.\n")
    file = fresh(tmp_path, run_of("kar.item", "once.item", kar_item='prompt = "kar.txt"'))
    steps(file, "generate")
    with sqlite3.connect(file.parent / "lake" / "_work" / "ledger.sqlite") as ledger:
        said = dict(ledger.execute("SELECT DISTINCT recipe, system FROM calls").fetchall())
    assert said["kar.item"].startswith("Tell about book along genre, author, ")
    assert said["kar.item"].endswith("As JSON.")
    assert said["once.item"].startswith("You describe a book")


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "cannot be read"), (" \n", "expected an instruction"), ("About $nuon.", "mean noun"), ("5 $", "$$")],
)
def test_a_wrong_instruction_is_named_with_its_file_before_anything_is_read(tmp_path, text, message):
    if text is not None:
        (tmp_path / "kar.txt").write_text(text)
    file = write(tmp_path, run_of("kar.item", kar_item='prompt = "kar.txt"'), events())
    with pytest.raises(ConfigError) as raised:
        run_night(file, ds=DS)
    assert raised.value.exit_code == 2
    assert message in str(raised.value)
    assert str(tmp_path / "kar.txt") in str(raised.value)
    assert not (tmp_path / "lake").exists()


EDGES = """[[models]]
name = "lightgcn"
backbone = {{ name = "lightgcn", options = {{ dim = 8 }} }}
objectives = [{{ name = "llmrec_triplets" }}]
features = {{ edges = ["{edges}"] }}
"""


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ("kar.user", "models.lightgcn.features.edges: kar.user writes texts, no edges"),
        ("llmrec.edgse", "did you mean llmrec.edges"),
        ("once.generate", "once.generate: unknown (known: kar.user, llmrec.edges)"),
    ],
)
def test_edges_of_a_model_are_those_of_a_recipe_that_gives_some(tmp_path, edges, message):
    file = write(tmp_path, run_of("kar.user", "llmrec.edges") + EDGES.format(edges=edges), events())
    with pytest.raises(ConfigError) as raised:
        run_night(file, ds=DS)
    assert message in str(raised.value)


def test_a_base_that_would_be_trained_is_refused_before_anything_is_read(tmp_path):
    run = run_of("llmrec.edges").replace('noun = "book"', 'noun = "book", base = "graph"')
    file = write(tmp_path, run, events())
    with pytest.raises(ConfigError, match=r"llmrec\.edges\.options\.base: .*popularity, pure_svd"):
        run_night(file, ds=DS)
    assert not (tmp_path / "lake").exists()


# ---- what must never be


def test_a_planted_train_edge_fails_the_gate(whole, tmp_path):
    edges, splits = table(whole, "llm_edges"), table(whole, "splits")
    train = splits.filter(pl.col("part") == "train")
    good = check_table(edge_suite(), against_train(edges, train), tmp_path / "good")
    assert good.success
    user, item = train.row(7)[:2]
    one = edges.filter(pl.col("recipe") == "llmrec.edges").head(1)
    planted = one.with_columns(user_id=pl.lit(user), item_id=pl.lit(item))
    bad = check_table(edge_suite(), against_train(pl.concat([edges, planted]), train), tmp_path / "bad")
    [failed] = [result for result in bad.results if not result.success]
    assert (failed.column, failed.unexpected) == ("observed", 1)
    assert failed.examples == (f"llmrec.edges {user} {item}",)


def with_last_item(item: str, when: int = 1_750_000_000) -> list[tuple[str, str, int]]:
    """The last event of every other pair of readers, which leave-one-out holds out for test, is `item`.

    Readers of both communities have it and readers of both have not: to these it could be offered.
    """
    return [*events(), *((f"r{reader:02}", item, when + reader) for reader in HAVE_IT)]


HAVE_IT = [reader for reader in range(READERS) if reader % 4 < 2]
CANARY, OTHER = "b38", "b39"  # no event of the small world has them
WATCHED = ("kar.user", "liber.partition", "llmrec.edges")


def asked_with(home: Path, rows: list[tuple[str, str, int]]) -> list[tuple[str, str, str]]:
    popular = '"llmrec.edges"\noptions = { base = "popularity", '  # would rank a leaked canary first
    file = fresh(home, run_of(*WATCHED).replace('"llmrec.edges"\noptions = { ', popular), rows)
    assert lake_of(file).read("splits", ds=DS).height == len(rows), "an event after the night would prove nothing"
    steps(file, "generate")
    with sqlite3.connect(file.parent / "lake" / "_work" / "ledger.sqlite") as ledger:
        return ledger.execute("SELECT recipe, id, user FROM calls ORDER BY recipe, id, user").fetchall()


def test_what_is_held_out_changes_no_prompt(tmp_path):
    one, other = (asked_with(tmp_path / item, with_last_item(item)) for item in (CANARY, OTHER))
    assert one == other
    assert {recipe for recipe, _, _ in one} == set(WATCHED)
    title = books().filter(pl.col("id") == CANARY)["title"][0]
    told = [text.split("CANDIDATES:")[0] for _, _, text in one]
    assert not [text for text in told if title in text]


def test_the_canary_is_really_held_out(tmp_path):
    """The other side of the proof: the same event in train reaches the prompts of all three."""
    title = books().filter(pl.col("id") == CANARY)["title"][0]
    asked = asked_with(tmp_path / "early", with_last_item(CANARY, when=1_600_000_000))
    assert {recipe for recipe, _, text in asked if title in text.split("CANDIDATES:")[0]} == set(WATCHED)
    offered = {id for recipe, id, text in asked if recipe == "llmrec.edges" and title in text.split("CANDIDATES:")[1]}
    assert offered
    assert not offered & {f"r{reader:02}" for reader in HAVE_IT}
