"""The step that encodes: what it reports, what it says of texts that were cut, and what a cap leaves behind."""

import polars as pl
import pytest

from features.store import DeltaStore
from pipelines.job import run_night
from pipelines.steps.vectors import CHUNK
from schemas.errors import BudgetError
from tests.support.simulator import simulator
from tests.support.small_world import RUN, books

DS = "2026-01-01"
ITEMS = RUN.replace('item = "rlmrec.item/summarization", user = "rlmrec.user/summarization"', 'item = "title"')


def encode(file):
    """The counts of the step, after those that it needs."""
    for step in ("ingest", "split", "encode"):
        summary = run_night(file, step=step, ds=DS)
    return summary


def counts(file):
    return pl.read_json(file.parent / "lake" / "_work" / "nights" / DS / "steps" / "encode.json").row(0, named=True)


def test_texts_that_were_cut_are_counted_and_said(world, capsys):
    file = world(run=ITEMS + "[encoder]\nmax_tokens = 5\n")  # three words of a title and two tokens around them
    assert encode(file)["encoded"] == 40
    found = counts(file)
    assert (found["encoder"], found["truncated"], found["truncation_rate"]) == ("all-MiniLM-L6-v2 (5 tokens)", 40, 1.0)
    assert (found["tokens"], found["cost_usd"]) == (200, 0.0)
    assert (
        '100.0 % of the texts were cut at 5 tokens; `encoder.long = "chunk"` reads them whole'
        in capsys.readouterr().err
    )
    encode(file)
    again = counts(file)
    assert (again["encoded"], again["truncated"], again["truncation_rate"], again["tokens"]) == (0, 0, 0.0, 0)


@pytest.mark.parametrize("encoder", ["", 'max_tokens = 5\nlong = "chunk"\n'])
def test_nothing_is_said_where_nothing_was_cut(world, capsys, encoder):
    file = world(run=ITEMS + "[encoder]\n" + encoder)
    encode(file)
    assert (counts(file)["truncated"], counts(file)["truncation_rate"]) == (0, 0.0)
    assert "were cut" not in capsys.readouterr().err


def test_what_was_encoded_before_the_cap_is_kept_and_not_paid_again(world):
    with simulator() as sim:
        paid = (
            f'[encoder]\nkind = "openai"\nname = "e"\nbase_url = "{sim.url}"\ndimensions = 8\nusd_per_million = 1.0\n'
        )
        file = world(run=ITEMS + paid + "max_cost_usd = 0.0055\n")
        many = pl.DataFrame({"id": [f"x{n}" for n in range(2000)], "title": [f"Book {n}" for n in range(2000)]})
        pl.concat([books(), many], how="diagonal").write_parquet(file.parent / "data" / "items.parquet")
        with pytest.raises(BudgetError, match=r"encoder\.max_cost_usd"):
            encode(file)
        lake, spent = DeltaStore(str(file.parent / "lake")), sim.stats()["embedding_tokens"]
        assert lake.read("vectors").height == CHUNK
        assert 0 < spent <= 5500

        file.write_text((ITEMS + paid).replace("usd_per_million = 1.0", "usd_per_million = 2.0"))
        assert encode(file)["encoded"] == 2040 - CHUNK
        found, more = counts(file), sim.stats()["embedding_tokens"] - spent
        assert lake.read("vectors").height == 2040
    assert (found["tokens"], found["truncated"]) == (more, 0)
    assert found["cost_usd"] == pytest.approx(more * 2e-6)
