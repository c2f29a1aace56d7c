"""The likelihood of tuples against a sum worked out by hand."""

import math

import torch

from recommenders.generative.exact_likelihood import log_likelihood


def test_the_log_probabilities_of_a_tuple_add_up_to_its_end():
    codes = torch.tensor([[0, 1], [1, -1], [0, 0]])

    def forced(some: torch.Tensor) -> list[torch.Tensor]:
        first = torch.tensor([0.0, math.log(3)]).expand(1, len(some), 2)  # 1/4, 3/4
        second = torch.tensor([math.log(4), 0.0]).expand(1, len(some), 2)  # 4/5, 1/5
        return [first, second]

    for at_once in (1, 2, 3):
        found = log_likelihood(forced, codes, at_once)
        assert torch.allclose(found.exp(), torch.tensor([[0.25 * 0.2, 0.75, 0.25 * 0.8]]))
