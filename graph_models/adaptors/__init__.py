"""Adaptors by the name that a run file gives them: how a row's text vectors become the one that a model reads."""

from __future__ import annotations

from graph_models.adaptors.base import Adaptor, Concat
from graph_models.adaptors.gate import Gate
from graph_models.adaptors.moe import MixtureOfExperts
from graph_models.adaptors.whitening import Whitening
from graph_models.options import check_options
from schemas import sections
from schemas.errors import ConfigError, unknown_name

ADAPTORS: dict[str, type[Adaptor]] = {
    "concat": Concat,
    "gate": Gate,
    "moe": MixtureOfExperts,
    "whitening": Whitening,
}


def make_adaptor(config: sections.Part | None, widths: tuple[int, ...]) -> Adaptor:
    """Build what a run file names; without a name the sources stand side by side as they are."""
    return Concat(widths) if config is None else ADAPTORS[config.name](widths, **config.options)


def check_adaptor(config: sections.Part, where: str) -> None:
    """Refuse an unknown name or option without building anything. Raises ConfigError."""
    if config.name not in ADAPTORS:
        raise ConfigError(unknown_name(f"{where}.name", config.name, ADAPTORS))
    check_options(ADAPTORS[config.name], config.options, f"{where}.options")
