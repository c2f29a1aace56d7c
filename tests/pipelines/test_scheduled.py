"""A scheduler's view of a night: its date, and what is left for it of what all nights may cost together."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from language_models.ledger import Ledger
from language_models.ledger.types import Call
from pipelines.scheduled import date_of, load_scheduled
from schemas.records import Completion
from tests.support.prompts import make_prompt

AT = datetime(2026, 11, 2, 3, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("given", "interval", "run_at", "ds"),
    [
        (["2026-01-05", "2026-01-06"], (AT - DAY, AT), AT, "2026-01-05"),
        ([None, "2026-01-06"], (AT - DAY, AT), AT, "2026-01-06"),
        ([None, None], (AT - DAY, AT), AT, "2026-11-01"),
        ([None], (AT, AT), AT, "2026-11-01"),  # an empty interval: a run by hand
        ([None], (None, None), AT, "2026-11-01"),  # no logical date
        ([], (None, None), datetime(2026, 11, 2, 1, tzinfo=timezone(timedelta(hours=8))), "2026-10-31"),
    ],
)
def test_the_date_is_the_same_in_every_try(given, interval, run_at, ds) -> None:
    assert date_of(given, interval, run_at) == ds


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    file = tmp_path / "run.toml"
    file.write_text(
        'name = "x"\nlake = "lake"\n[data]\npath = "."\n[airflow]\ntotal_usd = 5.0\n[llm]\nmax_cost_usd = 3.0\n'
        "usd_per_million_input = 1\n"
    )
    return file


def spend(file: Path, ds: str, usd: float) -> None:
    """An answer of that night that has been paid, in the run's ledger."""
    work = file.with_name("lake") / "_work"
    (work / "nights" / ds).mkdir(parents=True, exist_ok=True)
    with Ledger(work / "ledger.sqlite", ds) as ledger:
        ledger.lease([Call(ds, make_prompt(ds), "openai", "m", reserved_usd=usd)])
        ledger.respond([Completion(ds, "text", "stop", 10, 10, usd, "m", 0.1)])


def test_a_night_gets_what_the_others_have_left_and_never_more_than_its_own_cap(run_file: Path) -> None:
    assert load_scheduled(run_file, "2026-01-01").llm.max_cost_usd == 3.0
    spend(run_file, "2026-01-01", 2.5)
    assert load_scheduled(run_file, "2026-01-01").llm.max_cost_usd == 3.0, "what it has spent itself its cap knows"
    assert load_scheduled(run_file, "2026-01-02").llm.max_cost_usd == 2.5
    spend(run_file, "2026-01-02", 2.6)
    assert load_scheduled(run_file, "2026-01-03").llm.max_cost_usd == 0.0
    assert load_scheduled(run_file, "2026-01-01").llm.max_cost_usd == 2.4


def test_without_a_total_a_night_has_the_cap_of_the_run_file(run_file: Path) -> None:
    run_file.write_text(run_file.read_text().replace("total_usd = 5.0", ""))
    spend(run_file, "2026-01-01", 9.0)
    assert load_scheduled(run_file, "2026-01-02").llm.max_cost_usd == 3.0
