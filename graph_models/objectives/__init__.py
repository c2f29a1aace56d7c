"""Auxiliary objectives by the name that a run file gives them."""

from graph_models.objectives.autograph import AutoGraph
from graph_models.objectives.base import Objective
from graph_models.objectives.code_nodes import CodeNodes
from graph_models.objectives.kar import KAR
from graph_models.objectives.llmrec_features import LLMRecFeatures
from graph_models.objectives.llmrec_triplets import LLMRecTriplets
from graph_models.objectives.once import Once
from graph_models.objectives.rlmrec_con import RLMRecCon
from graph_models.objectives.rlmrec_gen import RLMRecGen
from graph_models.objectives.text_init import TextInit

OBJECTIVES: dict[str, type[Objective]] = {
    "autograph": AutoGraph,
    "code_nodes": CodeNodes,
    "kar": KAR,
    "llmrec_features": LLMRecFeatures,
    "llmrec_triplets": LLMRecTriplets,
    "once": Once,
    "rlmrec_con": RLMRecCon,
    "rlmrec_gen": RLMRecGen,
    "text_init": TextInit,
}
