"""Paired measurements and documented searches, run as `python -m benchmarks.NAME`; figures in BENCHMARKS.md."""
