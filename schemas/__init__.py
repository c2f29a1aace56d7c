"""The shapes that the other folders agree on: errors, records, run configuration, table schemas, expectation suites."""
