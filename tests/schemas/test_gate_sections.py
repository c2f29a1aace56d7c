"""The section of gates: old keys hold, every table has its own, and a wrong name is met with the nearest."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import ConfigError
from schemas.run import load_run

RUN = 'name = "a"\nlake = "lake"\n[data]\npath = "data"\n'


def run_with(folder: Path, gates: str) -> Path:
    file = folder / "run.toml"
    file.write_text(RUN + gates, encoding="utf-8")
    return file


def test_a_table_has_thresholds_of_its_own_beside_those_of_all(tmp_path: Path) -> None:
    text = "[gates]\ncoverage = 0.5\n[gates.tables.items]\nmin_share = 0.4\n[gates.tables.interactions]\n"
    gates = load_run(run_with(tmp_path, text + "earliest = 1998-01-01\n")).gates
    assert (gates.coverage, gates.tables.items.min_share, gates.tables.users.min_share) == (0.5, 0.4, 0.8)
    assert str(gates.tables.interactions.earliest) == "1998-01-01"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gates.tables.item]\nmin_share = 0.4", "gates.tables: item: unknown, did you mean items?"),
        ("[gates.tables.items]\nmin_shares = 0.4", "gates.tables.items: min_shares: unknown, did you mean min_share?"),
        ("[gates.tables.items]\nkept = 2", "gates.tables.items.kept"),
        ("[gates.tables.llm_edges]\nmin_share = 0.5", "gates.tables.llm_edges: min_share: unknown"),
    ],
)
def test_a_wrong_table_key_or_value_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load_run(run_with(tmp_path, text))
    assert said in str(raised.value)
