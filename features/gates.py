"""The gate before a table is published: Great Expectations runs its suite, and a failure stops the night.

Texts and vectors are judged row by row; of the other tables a row of figures is judged, whatever their size.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from features.measures import MEASURES, Measured
from schemas.errors import GateError, StoreError
from schemas.expectations import Expectation, Suite

EXAMPLES = 3  # failing rows shown


@dataclass(frozen=True)
class ExpectationResult:
    """How one expectation went; `unexpected` rows break it, `examples` are some of them by the table's key."""

    expectation: str
    column: str
    expected: str
    observed: str
    success: bool
    unexpected: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class GateReport:
    """How a table's suite went, and where its Data Docs are."""

    table: str
    rows: int
    results: tuple[ExpectationResult, ...]
    data_docs: Path

    @property
    def success(self) -> bool:
        return all(result.success for result in self.results)

    def to_json(self, relative_to: Path | None = None) -> dict[str, Any]:
        """table, success, rows, data_docs (a path, relative where a folder is given) and results, as plain values."""
        docs = self.data_docs if relative_to is None else self.data_docs.relative_to(relative_to)
        results = [{**asdict(result), "examples": list(result.examples)} for result in self.results]
        found = {"table": self.table, "success": self.success, "rows": self.rows}
        return {**found, "data_docs": str(docs), "results": results}

    def raise_if_failed(self) -> None:
        """Raise GateError with every failing expectation, unless all hold."""
        failed = [result for result in self.results if not result.success]
        if failed:
            lines = "\n".join(f"  {self.table}.{_words(result)}" for result in failed)
            raise GateError(
                f"table {self.table}: {len(failed)} of {len(self.results)} expectations failed on {self.rows} rows\n"
                f"{lines}\nnot published, the version before stays live; Data Docs: {self.data_docs}\n"
                "mend what the data say, or the threshold in the run file, and run the same command again"
            )


def check_table(suite: Suite, frame: pl.DataFrame, docs: Path) -> GateReport:
    """`check_tables` of one table whose rows are judged."""
    return check_tables([(suite, Measured(MEASURES[suite.table](frame), frame.height))], docs)[0]


def check_tables(checks: Sequence[tuple[Suite, Measured]], docs: Path) -> list[GateReport]:
    """Run suites on what was measured of their tables and write their common Data Docs below `docs`.

    Vectors are judged by computed columns (`features.measures`) and never leave Polars. Raises StoreError where the
    Data Docs cannot be written; failing expectations are in the reports, see `GateReport.raise_if_failed`.
    """
    try:
        docs.mkdir(parents=True, exist_ok=True)
        found = _validate(checks, docs)
    except OSError as error:
        raise StoreError(f"{docs}: cannot write the Data Docs there: {error}; choose another work folder") from error
    return [_report(suite, measured, found[suite.table], docs) for suite, measured in checks]


def raise_if_any_failed(reports: Sequence[GateReport]) -> None:
    """Raise one GateError with the failing expectations of all reports, unless all hold."""
    messages = []
    for report in reports:
        try:
            report.raise_if_failed()
        except GateError as error:
            messages.append(str(error))
    if messages:
        raise GateError("\n".join(messages))


def _report(suite: Suite, measured: Measured, found: Sequence[Mapping[str, Any]], docs: Path) -> GateReport:
    pairs = zip(suite.expectations, found, strict=True)
    return GateReport(
        suite.table, measured.rows, tuple(_result(suite, measured, *pair) for pair in pairs), docs / "index.html"
    )


def _validate(checks: Sequence[tuple[Suite, Measured]], docs: Path) -> dict[str, list[Mapping[str, Any]]]:
    """The raw result of every expectation by table, in the order of the suite."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read when great_expectations is imported
    import great_expectations as gx

    context = _context(docs)
    source = context.data_sources.add_pandas("night")
    found = {}
    for number, (suite, measured) in enumerate(checks):
        last = number == len(checks) - 1  # the pages are written once, with all of them
        rules = [_configuration(rule, place) for place, rule in enumerate(suite.expectations)]
        definition = gx.ValidationDefinition(
            name=suite.table,
            data=source.add_dataframe_asset(suite.table).add_batch_definition_whole_dataframe("rows"),
            suite=context.suites.add(gx.ExpectationSuite(name=suite.table, expectations=rules)),
        )
        checkpoint = gx.Checkpoint(
            name=suite.table,
            validation_definitions=[context.validation_definitions.add(definition)],
            actions=[gx.checkpoint.UpdateDataDocsAction(name="docs", site_names=["docs"])] if last else [],
            result_format={"result_format": "SUMMARY", "unexpected_index_column_names": list(suite.key)},
        )
        outcome = checkpoint.run(batch_parameters={"dataframe": measured.frame.to_pandas()})
        (validation,) = outcome.run_results.values()
        results = {row["expectation_config"]["meta"]["number"]: row for row in validation.to_json_dict()["results"]}
        found[suite.table] = [results[place] for place in range(len(rules))]
    return found


def _context(docs: Path) -> Any:
    """A context that lives in memory, writes Data Docs to one folder, and is silent."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs.resolve())},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        data_docs_sites={"docs": site},
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _configuration(rule: Expectation, number: int) -> Any:
    """The rule as Great Expectations has it; its place in the suite comes back with the result."""
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    column = {} if "column_list" in rule.arguments or not rule.columns else {"column": rule.columns[0]}
    kwargs = {name: list(value) if isinstance(value, tuple) else value for name, value in rule.arguments.items()}
    notes = f"{', '.join(rule.columns) or 'table'}: {rule.expected}"
    configuration = ExpectationConfiguration(
        type=rule.type, kwargs={**column, **kwargs}, meta={"number": number}, notes=notes
    )
    return configuration.to_domain_obj()


def _result(suite: Suite, measured: Measured, rule: Expectation, row: Mapping[str, Any]) -> ExpectationResult:
    found: Mapping[str, Any] = row["result"]
    unexpected = int(found.get("unexpected_count") or 0)
    success, column = bool(row["success"]), ", ".join(rule.columns)
    if suite.key:
        observed = _observed(row, unexpected) + _highest(rule, measured.frame)
        examples = _examples(suite, rule, found.get("partial_unexpected_index_list") or [])
    else:
        observed = _figure(measured.frame[column].item())
        examples = () if success else measured.examples.get(column, ())
    return ExpectationResult(rule.type, column, rule.expected, observed, success, unexpected, examples)


def _highest(rule: Expectation, frame: pl.DataFrame) -> str:
    """The highest figure of a column that may only be so high, in words: how near the limit it is."""
    if "max_value" not in rule.arguments or not frame[rule.columns[0]].dtype.is_float():
        return ""
    highest = frame[rule.columns[0]].max()
    return f", highest {highest:.4g}" if isinstance(highest, float) else ""


def _figure(value: float | None) -> str:
    """A figure of the whole table in words."""
    if value is None:
        return "nothing to compare with"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _observed(row: Mapping[str, Any], unexpected: int) -> str:
    """What was found, in words: the observed value, or how many rows of how many break the rule."""
    found = row["result"]
    if "observed_value" in found:
        value = found["observed_value"]
        return f"{value:.4g}" if isinstance(value, float) else str(value)
    if "element_count" not in found:
        return str((row.get("exception_info") or {}).get("exception_message") or "no result")
    rows = int(found["element_count"]) - int(found.get("missing_count") or 0)
    return f"{unexpected} of {rows} rows break it"


def _examples(suite: Suite, rule: Expectation, rows: list[Mapping[str, Any]]) -> tuple[str, ...]:
    """Some failing rows by the table's key, each with the figure that breaks the rule where it is one."""
    keys = [" ".join(str(row.get(name)) for name in suite.key) for row in rows[:EXAMPLES]]
    values = [row.get(rule.columns[0]) if rule.columns else None for row in rows]
    numbers = [f": {value:.4g}" if isinstance(value, float) else "" for value in values]
    return tuple(map("".join, zip(keys, numbers, strict=False)))


def _words(result: ExpectationResult) -> str:
    examples = f" (for example {'; '.join(result.examples)})" if result.examples else ""
    return f"{result.column or '*'}: expected {result.expected}, found {result.observed}{examples}"
