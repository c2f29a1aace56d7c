"""A local Airflow for trying Loregraph out."""
