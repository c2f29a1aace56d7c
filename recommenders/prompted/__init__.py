"""Recommenders that ask a chat engine, through the same ledger and under the same cap as everything else."""
