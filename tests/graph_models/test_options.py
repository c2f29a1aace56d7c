from typing import Annotated, Literal

import pytest
from pydantic import Field

from graph_models.options import check_options, known_options
from schemas.errors import ConfigError


class Part:
    """Cannot be built: checking must not try."""

    def __init__(
        self,
        graph: object,
        *,
        layers: Annotated[int, Field(ge=0)] = 3,
        rate: float = 0.1,
        kind: Literal["a", "b"] = "a",
    ) -> None:
        raise RuntimeError("built")


def test_options_are_the_keyword_only_parameters():
    assert list(known_options(Part)) == ["layers", "rate", "kind"]


def test_good_options_pass():
    check_options(Part, {"layers": 0, "rate": 1, "kind": "b"}, "here")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 2}, "here: layer: unknown, did you mean layers"),
        ({"graph": 2}, "here: graph: unknown"),
        ({"layers": "two"}, "here.layers: .*integer, found 'two'"),
        ({"layers": -1}, "here.layers: .*greater than or equal to 0, found -1"),
        ({"layers": True}, "here.layers: .*found True"),
        ({"kind": "c"}, "here.kind: .*'a' or 'b', found 'c'"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        check_options(Part, options, "here")
