"""Table work on Spark, for what outgrows one machine: the functions of the Polars path, run on buckets of users.

pyspark is imported inside functions alone, so that whoever works with Polars needs neither it nor Java.
"""

from features.spark.session import has_connector, local_session, open_session
from features.spark.tables import read_table

__all__ = ["has_connector", "local_session", "open_session", "read_table"]
