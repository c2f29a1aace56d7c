"""Loregraph on a Spark cluster: what `spark-submit` runs, and a manifest for Kubernetes."""
