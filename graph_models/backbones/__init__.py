"""Backbones by the name that a run file gives them."""

from graph_models.backbones.alpharec import AlphaRec
from graph_models.backbones.base import Backbone
from graph_models.backbones.lightgcn import LightGCN

BACKBONES: dict[str, type[Backbone]] = {
    "alpharec": AlphaRec,
    "lightgcn": LightGCN,
}
