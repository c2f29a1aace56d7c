"""Models that ask, in a whole night at a simulated endpoint: one ledger, one cap, and nothing is asked twice."""

import json

import pytest
from typer.testing import CliRunner

from features.store import DeltaStore
from pipelines.cli import app
from pipelines.conversing import Conversation, converse, lines, read_conversations, spoken
from pipelines.fitted import read_fitted
from pipelines.job import run_night
from pipelines.lookup import top
from pipelines.night import open_night
from schemas.errors import BudgetError, ConfigError, DataError
from schemas.run import load_run
from tests.support.simulator import simulator
from tests.support.small_world import READERS, RUN

DS = "2026-11-22"
ASKING = (
    RUN[: RUN.index("[[recipes]]")]
    + """
[llm]
engine = "openai"
model = "simulated"
base_url = "URL"
usd_per_million_input = 2.0
usd_per_million_output = 8.0
[evaluation]
bootstrap = 50
selection = "ndcg@10"
[[models]]
name = "popularity"
recommender = "popularity"
[[models]]
name = "neighbours"
recommender = "item_knn"
[[models]]
name = "ranked"
recommender = "llmrank"
options = { retriever = "neighbours", candidates = 8, noun = "book" }
[[models]]
name = "judged"
recommender = "llm_pointwise"
options = { retriever = "ranked", candidates = 3, noun = "book" }
llm = { max_output_tokens = 40 }
[[models]]
name = "talked"
recommender = "zero_shot_crs"
options = { retriever = "neighbours", noun = "book" }
[recommend]
model = "ranked"
"""
).replace('baseline = "lightgcn"', 'baseline = "popularity"')


@pytest.fixture(scope="module")
def endpoint():
    with simulator("--price-input", "2", "--price-output", "8") as sim:
        yield sim


@pytest.fixture
def night(world, endpoint, monkeypatch):
    """A run file at the endpoint, whose counts begin at none."""
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    endpoint.reset()
    return world(run=ASKING.replace("URL", endpoint.url))


def test_a_night_asks_each_question_once_and_a_second_night_nothing(night, endpoint):
    run_night(night, ds=DS)
    stats, run = endpoint.stats(), load_run(night)
    evaluated = open_night(run, DS).records("evaluate")[0]
    told = {each["name"]: each for each in evaluated["told"]}
    assert set(told) == {"ranked", "judged", "talked"}
    assert told["ranked"]["valid"]["asked"] == told["ranked"]["test"]["asked"] == READERS
    assert told["judged"]["valid"]["questions"] == 3 * READERS
    runs = DeltaStore(run.lake).read("llm_runs", ds=DS)
    assert set(runs["recipe"]) == {"ranked", "judged", "talked"}
    assert runs["asked"].sum() == stats["paid"]
    assert stats["paid_twice"] == 0
    assert runs["cost_usd"].sum() == pytest.approx(stats["cost_usd"])
    endpoint.reset()
    run_night(night, ds=DS)
    assert endpoint.stats()["paid"] == 0
    assert open_night(run, DS).records("evaluate")[0]["results"] == evaluated["results"]
    assert top(night, "r03", 5, "ranked", DS)["items"]
    assert endpoint.stats()["paid"] == 0  # what was recommended is known


def test_the_cap_ends_training_and_a_higher_one_goes_on(night, endpoint):
    for step in ("ingest", "split"):
        run_night(night, step=step, ds=DS)
    with pytest.raises(BudgetError) as caught:
        run_night(night, step="train", ds=DS, max_cost_usd=0.02)
    assert caught.value.exit_code == 4
    paid = endpoint.stats()["paid"]
    assert 0 < paid < READERS
    run_night(night, step="train", ds=DS, max_cost_usd=1.0)
    assert endpoint.stats()["paid_twice"] == 0
    run = load_run(night)
    fitted = read_fitted(open_night(run, DS), run.models[2], 1, open_night(run, DS).corpus())
    assert fitted.told["asked"] == READERS - paid


def test_another_model_behind_the_name_is_another_fit(night):
    for step in ("ingest", "split", "train"):
        run_night(night, step=step, ds=DS)
    text = night.read_text()
    night.write_text(text.replace('model = "simulated"', 'model = "other"'))
    run_night(night, step="train", ds=DS)
    counts = open_night(load_run(night), DS).records("train")[0]
    assert (counts["fitted"], counts["reused"]) == (3, 2)


def test_a_conversation_at_the_nights_ledger(night, endpoint, tmp_path):
    for step in ("ingest", "split", "train"):
        run_night(night, step=step, ds=DS)
    endpoint.reset()
    found = converse(night, [spoken(["Hi!", "I read The Crypt of Number 4. What next?"])], ds=DS)
    [reply] = found["replies"]
    assert endpoint.stats()["paid"] == 1
    assert {each["fate"] for each in reply} <= {"kept", "unknown", "mentioned", "repeated"}
    assert all(each["id"] != "b04" for each in reply if each["fate"] == "kept")
    assert lines(found)[0] == f"talked, night {DS}"
    converse(night, [spoken(["Hi!", "I read The Crypt of Number 4. What next?"])], ds=DS)
    assert endpoint.stats()["paid"] == 1
    turns = [{"speaker": "seeker", "text": "The Crypt of Number 4, or The Voyage of Number 7?"}]
    judged = converse(
        night,
        [
            Conversation.model_validate({"turns": turns, "target": "b04"}),
            Conversation.model_validate({"turns": turns, "target": "b09"}),
        ],
        ds=DS,
    )["judged"]
    copies = judged["copy of what was mentioned"]
    assert copies["discussion"]["recall@5"]["value"] == 1
    assert copies["recommendation"]["recall@20"]["value"] == 0
    assert judged["zero_shot_crs"]["discussion"]["recall@20"]["value"] == 0  # what was named is not recommended


def test_conversations_that_cannot_be_read_are_refused_by_line_and_field(tmp_path, night):
    file = tmp_path / "talk.jsonl"
    file.write_text('{"turns": [{"speaker": "seeker", "text": "hello"}]}\n{"turns": [{"speaker": "me", "text": ""}]}\n')
    with pytest.raises(DataError, match=r"line 2: turns.0.speaker"):
        read_conversations(file)
    file.write_text("\n")
    with pytest.raises(DataError, match="found none"):
        read_conversations(file)
    with pytest.raises(ConfigError, match="ranked"):
        converse(night, [spoken(["hello"])], model="ranked")
    with pytest.raises(DataError, match="a word"):
        converse(night, [spoken([" "])])
    assert [turn.speaker for turn in spoken(["a", "b", "c"]).turns] == ["seeker", "recommender", "seeker"]


def test_the_command(night):
    for step in ("ingest", "split", "train"):
        run_night(night, step=step, ds=DS)
    told = CliRunner().invoke(app, ["converse", "--run", str(night), "--json", "I read The Crypt of Number 4."])
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout.splitlines()[-1])
    assert found["model"] == "talked"
    assert told.stdout.splitlines()[0] == f"talked, night {DS}"
    neither = CliRunner().invoke(app, ["converse", "--run", str(night)])
    assert isinstance(neither.exception, ConfigError)
