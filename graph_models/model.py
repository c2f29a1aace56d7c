"""A backbone and its objectives as one module, whose loss is an addition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graph_models.backbones import BACKBONES
from graph_models.backbones.base import Backbone
from graph_models.dataset import GraphDataset
from graph_models.losses import batch_l2, bpr
from graph_models.objectives import OBJECTIVES
from graph_models.objectives.base import Fusion, Objective
from graph_models.options import check_options
from graph_models.sampler import Batch
from graph_models.softmax import softmax_loss
from schemas import sections
from schemas.errors import ConfigError, unknown_name

FEW = 8  # a batch that reads less than one node in so many takes only their rows of the last layer


class GraphModel(nn.Module):
    """One backbone and any number of weighted objectives by name."""

    def __init__(self, backbone: Backbone, objectives: dict[str, tuple[float, Objective]] | None = None) -> None:
        super().__init__()
        objectives = objectives or {}
        self.backbone = backbone
        self.objectives = nn.ModuleDict({name: objective for name, (_, objective) in objectives.items()})
        self.weights = {name: weight for name, (weight, _) in objectives.items()}

    def losses(self, graph: GraphDataset, batch: Batch, settings: sections.Training) -> dict[str, Tensor]:
        """Give the parts of the loss, weighted, by name: ranking loss, backbone's own, `l2`, each objective's."""
        x = self._start()  # [U+I, d]
        rows = self._few_rows(graph, batch)
        z = None if rows is None else self.backbone.some_rows(rows, x, graph)
        own: dict[str, Tensor] = {}
        if z is None:
            rows = None
            z, own = self.backbone.training_pass(x, graph, batch)
        z = self.backbone.scored(self._outputs(z))
        parts: dict[str, Tensor] = {settings.loss: _ranking(z, rows, graph.num_users, batch, settings), **own}
        if settings.l2:
            nodes = (batch.user, batch.positive + graph.num_users, batch.negative + graph.num_users)
            parts["l2"] = settings.l2 * batch_l2(*(x.index_select(0, each) for each in nodes))
        for name, objective in self.objectives.items():
            if not isinstance(objective, Fusion):
                parts[name] = self.weights[name] * objective(z, batch)
        return parts

    @torch.no_grad()
    def vectors(self, graph: GraphDataset) -> tuple[Tensor, Tensor]:
        """Compute what is served: user [U, d] and item [I, d], whose inner product is the score."""
        z = self._outputs(self.backbone.propagate(self._start(), graph))
        return self.backbone.ranked(z[: graph.num_users], z[graph.num_users :])

    def reports(self) -> dict[str, dict[str, Any]]:
        """What objectives say of themselves, by name; none of most."""
        return {name: dict(each.report) for name, each in self._named() if each.report}

    def parts(self) -> dict[str, Backbone | Objective]:
        """The backbone and the objectives, by what the names of their parameters begin with."""
        return {"backbone": self.backbone, **{f"objectives.{name}": each for name, each in self._named()}}

    def _start(self) -> Tensor:
        x = self.backbone.inputs()
        for objective in self._all():
            x = objective.inputs(x)
        return x

    def _outputs(self, z: Tensor) -> Tensor:
        for objective in self._all():
            z = objective.outputs(z)
        return z

    def _all(self) -> list[Objective]:
        return [objective for _, objective in self._named()]

    def _named(self) -> list[tuple[str, Objective]]:
        return [(name, each) for name, each in self.objectives.items() if isinstance(each, Objective)]

    def _few_rows(self, graph: GraphDataset, batch: Batch) -> Tensor | None:
        """The nodes [n] that the ranking loss reads, ascending, where only it reads any and they are few."""
        item = batch.negative if batch.candidates is None else batch.candidates.item
        most = (graph.num_users + graph.num_items) // FEW
        if self.objectives or item is None or graph.device.type != "cpu" or len(batch.user) > most:
            return None
        user = batch.user if batch.candidates is None else batch.candidates.user
        rows = torch.cat([user, batch.positive + graph.num_users, item + graph.num_users]).unique()  # type: ignore[no-untyped-call]
        return rows if len(rows) <= most else None


def _ranking(z: Tensor, rows: Tensor | None, num_users: int, batch: Batch, settings: sections.Training) -> Tensor:
    """The ranking loss of final vectors [U+I, d], or of some rows of them."""

    def of(nodes: Tensor) -> Tensor:  # index_select, whose backward is faster than that of z[nodes]
        return z.index_select(0, nodes if rows is None else torch.searchsorted(rows, nodes))

    among, positive = batch.candidates, of(batch.positive + num_users)  # [B, d]
    if among is None:
        anchor = of(batch.user)  # [B, d]
        return bpr((anchor * positive).sum(dim=1), (anchor * of(batch.negative + num_users)).sum(dim=1))
    user = of(among.user)  # [V, d]
    score = (user.index_select(0, among.row) * positive).sum(dim=1)
    item = z[num_users:] if among.item is None else of(among.item + num_users)
    dtype = torch.bfloat16 if settings.precision == "bfloat16" else torch.float32
    return softmax_loss(score, user, item, among, settings.temperature, dtype)


def build_model(
    graph: GraphDataset, backbone: sections.Part, objectives: Sequence[sections.Objective] = ()
) -> GraphModel:
    """Build what a run file describes. Parameters are drawn from torch's current seed."""
    check_parts(backbone, objectives, "models")
    built = BACKBONES[backbone.name](graph, **backbone.options)
    extra = {each.name: (each.weight, OBJECTIVES[each.name](graph, built.dim, **each.options)) for each in objectives}
    return GraphModel(built, extra)


def check_parts(backbone: sections.Part, objectives: Sequence[sections.Objective], where: str) -> None:
    """Refuse an unknown backbone, objective or option, and an objective given twice, without building anything.

    Raises ConfigError.
    """
    if backbone.name not in BACKBONES:
        raise ConfigError(unknown_name(f"{where}.backbone.name", backbone.name, BACKBONES))
    check_options(BACKBONES[backbone.name], backbone.options, f"{where}.backbone.options")
    for objective in objectives:
        if objective.name not in OBJECTIVES:
            raise ConfigError(unknown_name(f"{where}.objectives.name", objective.name, OBJECTIVES))
        check_options(OBJECTIVES[objective.name], objective.options, f"{where}.objectives.{objective.name}.options")
    names = [objective.name for objective in objectives]
    if len(set(names)) < len(names):
        raise ConfigError(f"{where}.objectives: expected each objective once, found {', '.join(names)}")


def needs_text(backbone: sections.Part, objectives: Sequence[sections.Objective]) -> bool:
    """Whether any part of a checked model reads text vectors."""
    return BACKBONES[backbone.name].needs_text or any(OBJECTIVES[each.name].needs_text for each in objectives)


def needs_codes(objectives: Sequence[sections.Objective]) -> bool:
    """Whether any objective of a checked model reads semantic ids."""
    return any(OBJECTIVES[each.name].needs_codes for each in objectives)


def gives_vectors(backbone: sections.Part, objectives: Sequence[sections.Objective]) -> bool:
    """Whether text alone gives a node without train interactions a vector of a checked model."""
    return BACKBONES[backbone.name].needs_text or any(OBJECTIVES[each.name].gives_vectors for each in objectives)
