"""What must hold for lists and codes, as figures of the whole table: recommendations, neighbours, semantic_ids."""

from __future__ import annotations

from schemas.expectations.base import Expectation, Suite, least, most, none, percent
from schemas.sections import Gates
from schemas.sections.gates import ListGate, NeighbourGate


def recommendation_suite(gates: Gates) -> Suite:
    """Rules for the published lists on what `features.list_measures.ListMeter` has counted."""
    gate = gates.tables.recommendations
    alike = most("alike", gate.alike, f"two lists overlap by at most {gate.alike:.4g} (0 by chance, 1 the same)")
    return Suite(
        "recommendations",
        (),
        (*_lists(gate.coverage, "users"), none("seen", "item that the user has already"), alike, _kept(gate)),
    )


def neighbour_suite(gates: Gates) -> Suite:
    """Rules for the neighbours of items on what `features.list_measures.ListMeter` has counted."""
    gate = gates.tables.neighbours
    rules = (*_lists(gate.coverage, "items"), none("seen", "item that is its own neighbour"), _kept(gate))
    return Suite("neighbours", (), rules)


def code_suite() -> Suite:
    """Rules for semantic ids on what `features.list_measures.measure_codes` has found."""
    return Suite(
        "semantic_ids",
        (),
        (
            least("rows", 1, "at least 1 row"),
            none("empty_cells", "row without name, id or codes"),
            none("repeated_ids", "item twice under one name"),
            none("unknown_ids", "item that the catalogue lacks"),
            none("uncoded", "item of the catalogue without codes"),
            none("wrong_lengths", "codes that are not one of every level"),
            none("out_of_range", "code that its level does not have"),
            none("collisions", "codes of two items"),
            none("moved", "item with other codes than the night before by the same fit"),
        ),
    )


def _lists(coverage: float, of: str) -> tuple[Expectation, ...]:
    share = f"at least {percent(coverage)}"
    return (
        least("rows", 1, "at least 1 row"),
        none("empty_cells", "row without user, item, rank or score"),
        none("unknown_ids", "id that the catalogue or the users lack"),
        none("repeated_items", "item twice in a list"),
        none("bad_scores", "score that is not finite"),
        none("bad_ranks", "list whose ranks are not 1, 2, 3, ..."),
        none("unsorted", "list with a better score at a later rank"),
        least("coverage", coverage, f"{share} of the {of} have a list"),
        least("places", coverage, f"{share} of the places are filled"),
    )


def _kept(gate: ListGate | NeighbourGate) -> Expectation:
    words = f"at least {gate.distinct_share:.4g} of the distinct items of the night before"
    return least("distinct_share", gate.distinct_share, words)
