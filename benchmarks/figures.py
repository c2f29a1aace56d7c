"""A measured figure, the mark that it must reach, and the table of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One figure of one requirement, such as `R5 calls made beyond the distinct keys: 0 (0 demanded)`."""

    requirement: str  # whose mark it is: R1 ... R17, `throughput`, `memory`
    what: str
    found: str
    demanded: str
    passed: bool

    def __str__(self) -> str:
        mark = "ok  " if self.passed else "FAIL"
        return f"{mark} {self.requirement:<11} {self.what}: {self.found}  (demanded: {self.demanded})"


def exactly(requirement: str, what: str, found: float, demanded: float) -> Figure:
    return Figure(requirement, what, f"{found:,}", f"{demanded:,}", found == demanded)


def at_most(requirement: str, what: str, found: float, most: float, unit: str = "") -> Figure:
    return Figure(requirement, what, f"{found:,.4g}{unit}", f"at most {most:,.4g}{unit}", found <= most)


def at_least(requirement: str, what: str, found: float, least: float, unit: str = "") -> Figure:
    return Figure(requirement, what, f"{found:,.4g}{unit}", f"at least {least:,.4g}{unit}", found >= least)


def stated(requirement: str, what: str, found: str) -> Figure:
    """A figure that is printed beside the others and that no mark is set for."""
    return Figure(requirement, what, found, "stated", passed=True)


def failing(figures: Sequence[Figure]) -> list[Figure]:
    return [figure for figure in figures if not figure.passed]
