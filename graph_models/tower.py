"""The two-layer perceptron that maps text vectors to node vectors (AlphaRec, RLMRec)."""

from __future__ import annotations

from torch import nn


def text_tower(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Linear [inputs, hidden], LeakyReLU(0.01), Linear [hidden, outputs]; weights Xavier-uniform, biases zero."""
    first, second = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)
    for layer in (first, second):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(first, nn.LeakyReLU(0.01), second)
