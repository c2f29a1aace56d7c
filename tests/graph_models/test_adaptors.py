import pytest
import torch

from graph_models.adaptors import check_adaptor, make_adaptor
from graph_models.adaptors.gate import Gate
from graph_models.adaptors.moe import MixtureOfExperts
from graph_models.adaptors.whitening import Whitening
from graph_models.device import seeded
from schemas import sections
from schemas.errors import ConfigError, DataError

HAS = torch.tensor([[True, True], [True, False], [False, True], [False, False]])


def sources(*widths: int) -> tuple[torch.Tensor, ...]:
    """One tensor [4, width] per source, zero where a row lacks it."""
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(4, width, generator=generator) * HAS[:, [s]] for s, width in enumerate(widths))


def test_gate_equals_its_formula():
    with seeded(0):
        gate = Gate((3, 2), dim=4)
    one, two = sources(3, 2)
    v = [project(x) for project, x in zip(gate.project, (one, two), strict=True)]
    score = torch.stack([gate.mixture.score(each)[:, 0] for each in v], dim=1)
    share = score[0].softmax(dim=0)
    found = gate(torch.cat([one, two], dim=1), HAS)
    assert torch.allclose(found[0], share[0] * v[0][0] + share[1] * v[1][0], atol=1e-6)
    assert torch.allclose(found[1], v[0][1], atol=1e-6)
    assert torch.allclose(found[2], v[1][2], atol=1e-6)
    assert not found[3].any()


def test_gate_of_one_source_is_that_source():
    gate = Gate((3,), dim=4)
    (x,) = sources(3)
    assert torch.allclose(gate(x, HAS[:, :1]), gate.project[0](x) * HAS[:, :1], atol=1e-6)


def test_whitening_by_hand():
    whitening = Whitening((2, 1), dim=2)
    with torch.no_grad():
        whitening.shift[0].copy_(torch.tensor([1.0, 0.0]))
        whitening.map[0].copy_(torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
        whitening.map[1].copy_(torch.tensor([[4.0, 0.0]]))
    x = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
    one, two = [2.0, 5.0], [8.0, 0.0]  # ([3, 1] - [1, 0]) W, 2 W
    assert whitening(x, HAS).tolist() == [[5.0, 2.5], one, two, [0.0, 0.0]]


@pytest.mark.parametrize("widths", [(6,), (2,)])
def test_whitening_starts_orthogonal(widths):
    weight = Whitening(widths, dim=4).map[0]
    product = weight.T @ weight if widths[0] > 4 else weight @ weight.T
    assert torch.allclose(product, torch.eye(min(widths[0], 4)), atol=1e-6)


def test_mixture_of_experts_has_a_tower_for_every_source():
    with seeded(0):
        moe = MixtureOfExperts((3, 3), out=2)
    one, two = sources(3, 3)
    expected = torch.cat([moe.experts.tower(s, x) * HAS[:, [s]] for s, x in enumerate((one, two))], dim=1)
    found = moe(torch.cat([one, two], dim=1), HAS)
    assert moe.dim == 4
    assert torch.equal(found, expected)
    assert not found[1, 2:].any()
    assert not found[2, :2].any()


def test_mixture_of_experts_needs_one_width():
    with pytest.raises(DataError, match="moe: expected sources of one dimension, found 3, 2; use gate"):
        MixtureOfExperts((3, 2))


def test_a_run_file_names_an_adaptor_and_its_options():
    assert make_adaptor(sections.Part(name="gate", options={"dim": 5}), (3, 2)).dim == 5
    assert make_adaptor(None, (3, 2)).dim == 5


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (sections.Part(name="gates"), r"features\.adaptor\.name: gates: unknown, did you mean gate"),
        (
            sections.Part(name="gate", options={"dims": 3}),
            r"features\.adaptor\.options: dims: unknown, did you mean dim",
        ),
        (sections.Part(name="moe", options={"dropout": 1.0}), r"features\.adaptor\.options\.dropout: .*found 1\.0"),
    ],
)
def test_what_no_adaptor_takes_is_named(part, message):
    with pytest.raises(ConfigError, match=message):
        check_adaptor(part, "features.adaptor")
