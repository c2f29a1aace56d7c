"""Backbones by the name that a run file gives them."""

from graph_models.backbones.alpharec import AlphaRec
from graph_models.backbones.autocf import AutoCF
from graph_models.backbones.base import Backbone
from graph_models.backbones.dccf import DCCF
from graph_models.backbones.gccf import GCCF
from graph_models.backbones.lightgcl import LightGCL
from graph_models.backbones.lightgcn import LightGCN
from graph_models.backbones.mf import MatrixFactorisation
from graph_models.backbones.sgl import SGL
from graph_models.backbones.simgcl import SimGCL
from graph_models.backbones.xsimgcl import XSimGCL

BACKBONES: dict[str, type[Backbone]] = {
    "alpharec": AlphaRec,
    "autocf": AutoCF,
    "dccf": DCCF,
    "gccf": GCCF,
    "lightgcl": LightGCL,
    "lightgcn": LightGCN,
    "mf": MatrixFactorisation,
    "sgl": SGL,
    "simgcl": SimGCL,
    "xsimgcl": XSimGCL,
}
