"""Answers as data: `answers.judge` measures the texts of one field, the other files are what it measures with."""
