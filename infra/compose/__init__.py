"""Airflow, PostgreSQL, the simulator and the page on one machine, as containers."""
