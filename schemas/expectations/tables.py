"""What must hold for the tables of the source, as figures of the whole table: users, items, interactions, splits."""

from __future__ import annotations

from schemas.expectations.base import Suite, least, most, none, percent
from schemas.sections import Gates
from schemas.sections.gates import CatalogueGate


def catalogue_suite(table: str, gate: CatalogueGate) -> Suite:
    """Rules for users or items on what `features.table_measures.measure_catalogue` has found."""
    return Suite(
        table,
        (),
        (
            least("rows", 1, "at least 1 row"),
            none("empty_ids", "row without an id"),
            none("repeated_ids", "id twice"),
            least("rows_share", gate.min_share, f"at least {percent(gate.min_share)} of the rows of the night before"),
            least("ids_kept", gate.kept, f"at least {percent(gate.kept)} of the ids of the night before"),
            most("blank_rise", gate.blank_rise, f"blank cells of a column risen by at most {percent(gate.blank_rise)}"),
            most("alike_rise", gate.alike_rise, f"one value of a column risen by at most {percent(gate.alike_rise)}"),
            most("rewritten", gate.rewritten, f"another text in a column for at most {percent(gate.rewritten)} of ids"),
        ),
    )


def event_suite(gates: Gates) -> Suite:
    """Rules for interactions on what `features.table_measures.measure_events` has found."""
    gate = gates.tables.interactions
    share, oldest = percent(gate.min_share), gate.max_age_days
    return Suite(
        "interactions",
        (),
        (
            least("rows", 1, "at least 1 row"),
            none("empty_ids", "row without a user or an item"),
            none("unknown_ids", "event of a user or an item that its table lacks"),
            none("repeated_pairs", "user and item twice"),
            none("after_night", "event after the night"),
            *([none("too_early", f"event before {gate.earliest}")] if gate.earliest else []),
            *([most("age_days", oldest, f"newest event at most {oldest:.4g} days old")] if oldest else []),
            none("bad_ratings", "rating that is not finite"),
            least("rows_share", gate.min_share, f"at least {share} of the rows of the night before"),
            least("users_share", gate.min_share, f"at least {share} of the users of the night before"),
            least("items_share", gate.min_share, f"at least {share} of the items of the night before"),
            most("blank_rise", gate.blank_rise, f"blank cells of a column risen by at most {percent(gate.blank_rise)}"),
            most("rejected_rise", gate.rejected_rise, f"rejected rows risen by at most {percent(gate.rejected_rise)}"),
            most("rating_shift", gate.rating_shift, f"mean rating moved by at most {gate.rating_shift:.4g} deviations"),
            most(
                "busiest_rise",
                gate.busiest_rise,
                f"events of one user or item risen by at most {percent(gate.busiest_rise)}",
            ),
        ),
    )


def split_suite(gates: Gates) -> Suite:
    """Rules for splits on what `features.table_measures.measure_splits` has found."""
    gate = gates.tables.splits
    return Suite(
        "splits",
        (),
        (
            least("rows", 1, "at least 1 row"),
            none("empty_cells", "row without user, item, order, part or split id"),
            none("unknown_parts", "part but train, valid, test and reserved"),
            none("empty_parts", "part without a row"),
            none("repeated_orders", "order twice"),
            none("repeated_pairs", "user and item twice, in one part or in two"),
            none("unknown_ids", "event of a user or an item that its table lacks"),
            most("split_ids", 1, "one split id"),
            none("after_night", "event after the night"),
            none("early_held_out", "event of train after one of test, by the rule `time`"),
            least("rows_share", gate.min_share, f"at least {percent(gate.min_share)} of the rows of the night before"),
            least("part_share", gate.part_share, f"parts at least {gate.part_share:.4g} of what they were"),
        ),
    )
