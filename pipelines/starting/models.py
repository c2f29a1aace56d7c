"""The models of a first report: a floor, what needs no text, and what does, beside its controls."""

from __future__ import annotations

MOST_EASE = 5_000  # items; it inverts a dense matrix of them
MOST_TRAINED = 2_000_000  # interactions that a graph model learns from in minutes on a CPU

POPULARITY = """\
[[models]]  # the floor: anything below it has learned nothing
name = "popularity"
recommender = "popularity"
"""
ITEM_KNN = """\
[[models]]  # who liked this also liked that: no training, no text, hard to beat; the baseline of the report
name = "item_knn"
recommender = "item_knn"
"""
EASE = """\
[[models]]  # the best linear map of a user's items; for up to some thousand items
name = "ease"
recommender = "ease"
"""
LIGHTGCN = """\
[[models]]  # a graph model; `loregraph list backbones` has others
name = "lightgcn"
backbone = {{ name = "lightgcn", options = {{ layers = 2, score = "cosine", init = "spectral" }} }}

[models.training]
loss = "infonce"
learning_rate = 1e-2
batch_size = 8192
max_epochs = {epochs}
evaluate_every = 3
patience = 2
"""
TEXTS = """\
[[models]]  # the closed form that reads texts; does what a language model wrote help?
name = "lore_filter"
recommender = "lore_filter"
features = {{ item = "{text}" }}
"""
CONTROLS = """\
[[models]]  # a control: the same with columns of the items file alone, which cost nothing
name = "lore_filter.columns"
recommender = "lore_filter"
features = {{ item = {columns} }}
control_of = "lore_filter"
"""
SHUFFLED = """\
[[models]]  # a control: the same with every text at another item; a lift that it has too is no lift
name = "lore_filter.shuffled"
recommender = "lore_filter"
features = {{ item = {text} }}
control = "shuffled"
control_of = "lore_filter"
"""
