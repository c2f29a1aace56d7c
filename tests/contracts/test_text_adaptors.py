"""Every adaptor: registered, documented, its dimension true, each row alone, at home with missing sources."""

import importlib
import inspect
from pathlib import Path

import pytest
import torch

import graph_models
from graph_models.adaptors import ADAPTORS, make_adaptor
from graph_models.adaptors.base import Adaptor
from graph_models.device import seeded
from graph_models.experts import ROWS_AT_ONCE
from graph_models.options import known_options
from schemas import sections

WIDTH = 6


def adaptor(name: str, sources: int = 2) -> Adaptor:
    """With parameters that are nowhere zero, as after training."""
    with seeded(0), torch.no_grad():
        built = make_adaptor(sections.Part(name=name), (WIDTH,) * sources)
        for parameter in built.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return built


def rows(count: int = 8, sources: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Text and its presence: rows with all sources, with each alone, and the last with none."""
    generator = torch.Generator().manual_seed(0)
    has = torch.rand(count, sources, generator=generator) < 0.7
    has[0], has[-1] = True, False
    return torch.randn(count, sources * WIDTH, generator=generator) * has.repeat_interleave(WIDTH, dim=1), has


def test_the_registry_holds_every_file_of_its_folder():
    found: set[type] = set()
    for file in (Path(graph_models.__file__).parent / "adaptors").glob("*.py"):
        module = importlib.import_module(f"graph_models.adaptors.{file.stem}")
        found |= {each for each in vars(module).values() if inspect.isclass(each) and issubclass(each, Adaptor)}
    assert found - {Adaptor} == set(ADAPTORS.values())


@pytest.mark.parametrize("name", ADAPTORS)
def test_documented_and_every_option_has_a_default(name):
    each = ADAPTORS[name]
    assert each.source
    assert each.__doc__
    parameters = inspect.signature(each.__init__).parameters
    assert all(parameters[option].default is not inspect.Parameter.empty for option in known_options(each))


@pytest.mark.parametrize("sources", [1, 2, 3])
@pytest.mark.parametrize("name", ADAPTORS)
def test_the_dimension_is_what_comes_out(name, sources):
    built = adaptor(name, sources)
    x, has = rows(sources=sources)
    found = built(x, has)
    assert found.shape == (len(x), built.dim)
    assert found.dtype == torch.float32


@pytest.mark.parametrize("name", ADAPTORS)
def test_a_row_without_any_source_is_zero_with_finite_gradients(name):
    built = adaptor(name)
    x, has = rows()
    found = built(x.requires_grad_(), has)
    assert not found[-1].any()
    nothing = built(torch.zeros_like(x), torch.zeros_like(has))
    assert not nothing.any()
    (found.square().sum() + nothing.sum()).backward()
    assert x.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in built.parameters())


@pytest.mark.parametrize("name", ADAPTORS)
def test_every_parameter_gets_a_gradient(name):
    built = adaptor(name)
    x, has = rows()
    built(x.requires_grad_(), has).square().sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in built.parameters())


@pytest.mark.parametrize("name", ADAPTORS)
def test_a_row_depends_on_no_other(name):
    built = adaptor(name)
    x, has = rows()
    order = torch.tensor([5, 0, 7, 2])
    assert torch.allclose(built(x[order], has[order]), built(x, has)[order], atol=1e-6)
    assert built(x[:0], has[:0]).shape == (0, built.dim)


@pytest.mark.parametrize("name", ADAPTORS)
def test_many_rows_at_once_are_what_they_are_in_parts(name):
    built = adaptor(name)
    x, has = rows(count=ROWS_AT_ONCE + 3)
    with torch.no_grad():
        assert torch.allclose(built(x, has)[-5:], built(x[-5:], has[-5:]), atol=1e-6)
