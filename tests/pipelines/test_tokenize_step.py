"""`tokenize` night after night: every item coded, old codes unchanged, new items without a refit, models with codes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.store import DeltaStore
from pipelines.checks import check_run
from pipelines.job import run_night
from pipelines.model_inputs import codes_hash, feature_tables
from pipelines.night import open_night
from pipelines.steps import STEPS
from schemas.errors import ConfigError
from schemas.run import load_run
from schemas.sections import Features, Model
from tests.support.small_world import BOOKS, DAY, READERS, RUN

HEAD = RUN.split("[[recipes]]")[0].replace('path = "data"', 'path = "data"\nitems_from = "first_event"')
HEAD = HEAD.replace('baseline = "lightgcn"', 'baseline = "popularity"')
MODEL = '[[models]]\nname = "popularity"\nrecommender = "popularity"\n'
CODES = '[[semantic_ids]]\nname = "codes"\nitem = "title"\noptions = { levels = 2, size = 4 }\n'
ORDER = '[[semantic_ids]]\nname = "order"\ntokenizer = "p5_sequential"\noptions = { size = 10 }\n'
FIRST, NEXT, LAST = "2023-11-17", "2023-11-20", "2023-11-24"  # of ten days of events, from 14 November on
BEFORE = ("ingest", "split", "encode", "materialize")


def readings() -> list[tuple[str, str, int]]:
    """Readers of two communities read one book a day: those of the first half for five days, then the others."""
    start, half = 1_700_000_000, BOOKS // 4
    return [
        (f"r{r:02}", f"b{2 * (half * (day // 5) + (r + day) % half) + r % 2:02}", start + day * DAY + r)
        for r in range(READERS)
        for day in range(10)
    ]


@pytest.fixture
def tokenized(world) -> Callable[..., tuple[Path, list[dict]]]:
    """Run a night up to its codes; returns the run file and what the step recorded of each entry."""

    def run(ds: str, entries: str = CODES, rows: list[tuple[str, str, int]] | None = None) -> tuple[Path, list[dict]]:
        file = world(rows or readings(), run=HEAD + entries + MODEL)
        for step in (*BEFORE, "tokenize"):
            folder = run_night(file, step=step, ds=ds)["folder"]
        return file, json.loads((Path(folder) / "steps" / "tokenize.json").read_text())["semantic_ids"]

    return run


def codes(file: Path, ds: str, name: str = "codes") -> dict[str, tuple[int, ...]]:
    rows = DeltaStore(str(file.parent / "lake")).read("semantic_ids", ds=ds).filter(pl.col("name") == name)
    return dict(zip(rows["id"].to_list(), map(tuple, rows["codes"].to_list()), strict=True))


def fit(file: Path, ds: str) -> set[str]:
    return set(DeltaStore(str(file.parent / "lake")).read("semantic_ids", ds=ds)["fit"])


def test_every_item_is_coded_and_the_report_is_recorded(tokenized) -> None:
    file, (about,) = tokenized(LAST)
    found = codes(file, LAST)
    assert len(found) == about["items"] == about["new"] == len(set(found.values()))
    assert about["items"] == BOOKS
    assert about["kept"] == 0
    assert about["fitted_because"] == "no earlier night has semantic ids"
    assert (about["levels"], about["collisions"]) == (3, about["report"]["collisions"])
    assert about["report"]["used"] == [1.0, 1.0]
    assert about["report"]["purity"][0] > 0.3
    assert about["report"]["collaborative"][0] is not None


def test_later_nights_keep_codes_and_encode_what_is_new(tokenized) -> None:
    file, (first,) = tokenized(FIRST)
    before, fitted = codes(file, FIRST), fit(file, FIRST)
    known = dict(before)
    for ds in (NEXT, LAST):
        _, (about,) = tokenized(ds)
        now = codes(file, ds)
        assert fit(file, ds) == fitted
        assert about["fitted_because"] is None
        assert (about["kept"], about["new"]) == (len(known), len(now) - len(known))
        assert {id: now[id] for id in known} == known
        assert len(set(now.values())) == len(now)
        known = now
    assert len(known) > len(before) == first["items"]


def test_the_same_night_again_changes_nothing_also_after_a_later_one(tokenized) -> None:
    file, _ = tokenized(FIRST)
    tokenized(NEXT)
    lake = DeltaStore(str(file.parent / "lake"))
    version, rows = lake.version("semantic_ids"), lake.read("semantic_ids")
    for ds in (FIRST, NEXT):
        tokenized(ds)
    assert lake.version("semantic_ids") == version
    assert lake.read("semantic_ids").equals(rows)


def test_refit_other_settings_and_a_lost_tokenizer_fit_anew_and_say_why(tokenized, capsys) -> None:
    file, _ = tokenized(FIRST)
    other = CODES.replace("size = 4", "size = 5")
    assert tokenized(NEXT, other)[1][0]["fitted_because"] == f"other settings than on {FIRST}"
    assert tokenized(NEXT, CODES + "refit = true\n")[1][0]["fitted_because"] == "refit = true"
    assert fit(file, NEXT) != fit(file, FIRST)
    named = CODES.replace('"codes"', '"others"')
    assert tokenized(NEXT, named)[1][0]["fitted_because"] == f"{FIRST} has no codes of this name"
    tokenized(FIRST)
    shutil.rmtree(file.parent / "lake" / "_work" / "tokenizers")
    assert "is no longer in" in tokenized(NEXT)[1][0]["fitted_because"]
    assert "tokenize: codes (rq_kmeans): " in capsys.readouterr().err


def test_codes_made_from_train_pairs_that_are_gone_are_not_kept(tokenized) -> None:
    both = CODES + ORDER
    tokenized(FIRST, both)
    kept, walked = tokenized(NEXT, both, [row for row in readings() if row[0] != "r00"])[1]
    assert kept["fitted_because"] is None, "texts alone know nothing of users"
    assert "pairs that tonight's must not" in walked["fitted_because"]
    tokenized(FIRST, both)
    assert [each["fitted_because"] for each in tokenized(NEXT, both)[1]] == [None, None]


def test_sequential_ids_know_nothing_of_what_is_held_out(tokenized) -> None:
    """Readers swap their last two items, which are valid and test: numbers by train order stay as they are."""
    rows, moved = readings(), dict[tuple[str, str], int]()
    for reader in {row[0] for row in rows}:
        (_, second, at), (_, last, then) = sorted((row for row in rows if row[0] == reader), key=lambda r: r[2])[-2:]
        moved |= {(reader, second): then, (reader, last): at}
    file, _ = tokenized(LAST, ORDER)
    plain = codes(file, LAST, "order")
    tokenized(LAST, ORDER, [(user, item, moved.get((user, item), at)) for user, item, at in rows])
    assert codes(file, LAST, "order") == plain
    tokenized(LAST, ORDER, [(user, item, -at + 2 * 1_700_400_000) for user, item, at in rows])
    assert codes(file, LAST, "order") != plain, "the order of train does matter"
    assert len(set(plain.values())) == len(plain)


def test_letter_gets_collaborative_vectors_of_train(tokenized) -> None:
    options = "{ levels = 2, size = 4, dim = 4, hidden = [8], epochs = 2 }"
    letter = f'[[semantic_ids]]\nname = "codes"\ntokenizer = "letter"\nitem = "title"\noptions = {options}\n'
    file, (about,) = tokenized(LAST, letter)
    assert len(set(codes(file, LAST).values())) == about["items"]
    assert about["levels"] == 2


def test_models_read_codes_and_controls_hand_them_round(tokenized) -> None:
    file, _ = tokenized(LAST)
    night = open_night(load_run(file), LAST)
    corpus, published = night.corpus(), codes(file, LAST)

    def read(control: str):
        model = Model(name="a", features=Features(semantic_ids="codes"), control=control)
        return feature_tables(night, model, corpus, seed=1).codes

    plain = read("none")
    assert list(map(tuple, plain.codes.tolist())) == [published[id] for id in corpus.ids("item")]
    for control in ("shuffled", "shuffled_items", "random"):
        permuted = read(control)
        assert sorted(map(tuple, permuted.codes.tolist())) == sorted(map(tuple, plain.codes.tolist()))
        assert (permuted.codes != plain.codes).any(axis=1).mean() > 0.7
        assert permuted.hash != plain.hash
    np.testing.assert_array_equal(read("shuffled_users").codes, plain.codes)
    assert feature_tables(night, Model(name="a"), corpus, seed=1).codes is None


def test_a_fitted_model_is_known_by_its_codes_and_tells_them(tokenized) -> None:
    model = MODEL + 'features = { semantic_ids = "codes" }\n'
    hashes, origin = [], {}
    for size in (4, 5):
        file, _ = tokenized(LAST, CODES.replace("size = 4", f"size = {size}"))
        text = file.read_text().replace(MODEL, model)
        file.write_text(text)
        run_night(file, step="train", ds=LAST)
        (result,) = (file.parent / "lake" / "_work" / "models" / "popularity").glob("*/result.json")
        fitted = json.loads(result.read_text())
        hashes.append(fitted["config_hash"])
        origin = {source["table"]: source["parts"] for source in fitted["origin"]["sources"]}
        shutil.rmtree(result.parent)
    assert hashes[0] != hashes[1]
    assert origin["semantic_ids"] == ["codes"]
    night = open_night(load_run(file), LAST)
    assert codes_hash(night, None, night.corpus()) == {}
    assert set(codes_hash(night, Features(semantic_ids="codes"), night.corpus())) == {"semantic_ids"}


def test_without_entries_the_step_does_nothing(world) -> None:
    file = world(run=HEAD + MODEL)
    counts = STEPS["tokenize"](load_run(file), LAST)  # before there is any table
    assert counts["semantic_ids"] == []
    assert not DeltaStore(str(file.parent / "lake")).exists("semantic_ids")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('item = "title"', 'tokenizer = "rq_kmean"\nitem = "title"'), "codes.tokenizer: rq_kmean: .*rq_kmeans"),
        (("size = 4", "sise = 4"), "codes.options: sise: .*size"),
        (("size = 4", 'size = "4"'), "codes.options.size: .*'4'"),
        (('item = "title"\n', ""), "codes.item: rq_kmeans quantises texts, found none"),
        (('"title"', '"kar.item/facts"'), "codes.item: recipe of this run: kar.item"),
        (("levels = 2", 'ties = "none"'), "codes.options.ties: "),
    ],
)
def test_what_is_wrong_with_an_entry_is_said_before_anything_runs(world, change, message) -> None:
    file = world(run=HEAD + CODES.replace(*change) + MODEL)
    with pytest.raises(ConfigError, match=f"run.toml: semantic_ids.{message}"):
        check_run(load_run(file))
