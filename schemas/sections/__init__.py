"""The sections of a run file: one immutable object each, with what every key means and what it is by default."""

from schemas.sections.airflow import Airflow
from schemas.sections.base import Control, Metric, Option, Protocol, Section
from schemas.sections.clicks import Click, ClickModel, ClickTraining
from schemas.sections.data import Data, Split
from schemas.sections.engine import Engine
from schemas.sections.gates import Gate, Gates
from schemas.sections.instructions import Instructions
from schemas.sections.judging import Candidates, Compare, CompareText, Evaluation, Recommend, System
from schemas.sections.language import Llm, Recipe, Refresh
from schemas.sections.models import Features, Model, Objective, Part, SequenceTraining, Training
from schemas.sections.online import Online
from schemas.sections.promotion import Promotion
from schemas.sections.texts import GATED_MEASURES, Encoder, Quality, SemanticIds
from schemas.sections.watching import Watch

__all__ = [
    "GATED_MEASURES",
    "Airflow",
    "Candidates",
    "Click",
    "ClickModel",
    "ClickTraining",
    "Compare",
    "CompareText",
    "Control",
    "Data",
    "Encoder",
    "Engine",
    "Evaluation",
    "Features",
    "Gate",
    "Gates",
    "Instructions",
    "Llm",
    "Metric",
    "Model",
    "Objective",
    "Online",
    "Option",
    "Part",
    "Promotion",
    "Protocol",
    "Quality",
    "Recipe",
    "Recommend",
    "Refresh",
    "Section",
    "SemanticIds",
    "SequenceTraining",
    "Split",
    "System",
    "Training",
    "Watch",
]
