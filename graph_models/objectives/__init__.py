"""Auxiliary objectives by the name that a run file gives them."""

from graph_models.objectives.base import Objective
from graph_models.objectives.rlmrec_con import RLMRecCon

OBJECTIVES: dict[str, type[Objective]] = {
    "rlmrec_con": RLMRecCon,
}
