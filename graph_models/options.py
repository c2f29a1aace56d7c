"""Options of a registered part: the keyword-only parameters of its constructor, checked before anything is built."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from schemas.errors import ConfigError, unknown_name

Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0)]
Power = Annotated[float, Field(ge=0, le=1)]

# what options mean that several parts have; what a part makes of them stands in its docstring
Layers = Annotated[Count, Field(description="propagations over the graph; 0: none")]
SomeLayers = Annotated[Size, Field(description="propagations over the graph")]
Dim = Annotated[Size, Field(description="columns of a node's vector")]
ContrastWeight = Annotated[Positive, Field(description="of the contrast, beside the ranking loss")]
Temperature = Annotated[Positive, Field(description="what scores are divided by in this loss: smaller is sharper")]
Anchors = Annotated[Size, Field(description="nodes that are contrasted in a step at most, drawn anew each step")]
Shared = Annotated[Size, Field(description="experts that all towers share")]
Own = Annotated[Size, Field(description="experts of each tower's own")]
Hidden = Annotated[Size, Field(description="hidden width of an expert")]
Dropout = Annotated[float, Field(ge=0, lt=1, description="share of values that a training step goes without")]
Seed = Annotated[int, Field(ge=0, description="of whatever is drawn")]
Sslrec = Annotated[Literal["none", "sslrec"], Field(description="sslrec: the rules of the code that RLMRec builds on")]
Reference = Annotated[Literal["none", "reference"], Field(description="reference: the rules of the published code")]


def known_options(part: type) -> dict[str, Any]:
    """Option name -> annotation of a class whose constructor takes its options as keyword-only parameters."""
    parameters = inspect.signature(part.__init__).parameters.values()  # type: ignore[misc]
    hints = get_type_hints(part.__init__, include_extras=True)  # type: ignore[misc]
    return {each.name: hints[each.name] for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}


def check_options(part: type, options: Mapping[str, Any], where: str) -> None:
    """Refuse options that the constructor of `part` would not take, without calling it.

    Raises ConfigError naming the key (and the nearest known one), or the value and what was expected of it.
    """
    known = known_options(part)
    for name, value in options.items():
        if name not in known:
            raise ConfigError(unknown_name(where, name, known))
        try:
            TypeAdapter(known[name], config=ConfigDict(strict=True)).validate_python(value)
        except ValidationError as error:
            raise ConfigError(f"{where}.{name}: {error.errors()[0]['msg']}, found {value!r}") from None
