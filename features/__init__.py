"""Corpus and splits, recipes, embeddings and feature tables: everything between raw files and a model's input."""
