"""What a night tells those who watch it: log lines, Prometheus metrics, OpenLineage events, and nights over time."""
