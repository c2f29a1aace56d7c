"""What must hold for a table before it is published, as data; `features.gates` runs it with Great Expectations."""

from schemas.expectations.answers import generated_suite, instruction_suite, partition_suite, prompt_suite
from schemas.expectations.base import Expectation, Suite
from schemas.expectations.lists import code_suite, neighbour_suite, recommendation_suite
from schemas.expectations.tables import catalogue_suite, event_suite, split_suite
from schemas.expectations.texts import (
    NORM_TOLERANCE,
    drift_suite,
    edge_suite,
    embedding_suite,
    profile_suite,
    quality_suite,
)

__all__ = [
    "NORM_TOLERANCE",
    "Expectation",
    "Suite",
    "catalogue_suite",
    "code_suite",
    "drift_suite",
    "edge_suite",
    "embedding_suite",
    "event_suite",
    "generated_suite",
    "instruction_suite",
    "neighbour_suite",
    "partition_suite",
    "profile_suite",
    "prompt_suite",
    "quality_suite",
    "recommendation_suite",
    "split_suite",
]
