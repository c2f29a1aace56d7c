"""The steps of a night, in order, each a function of a run and a date; `ask` is the part of `generate` that pays."""

from pipelines.steps.generation import ask, generate, plan, publish
from pipelines.steps.instructions import instruct
from pipelines.steps.models import evaluate, recommend, train
from pipelines.steps.online import feed
from pipelines.steps.promotion import promote
from pipelines.steps.reporting import report
from pipelines.steps.tables import ingest, split
from pipelines.steps.tokens import tokenize
from pipelines.steps.vectors import encode, materialize

STEPS = {
    "ingest": ingest,
    "split": split,
    "plan": plan,
    "generate": generate,
    "encode": encode,
    "materialize": materialize,
    "tokenize": tokenize,
    "instruct": instruct,
    "train": train,
    "evaluate": evaluate,
    "recommend": recommend,
    "promote": promote,
    "feed": feed,
    "report": report,
}

__all__ = [
    "STEPS",
    "ask",
    "encode",
    "evaluate",
    "feed",
    "generate",
    "ingest",
    "instruct",
    "materialize",
    "plan",
    "promote",
    "publish",
    "recommend",
    "report",
    "split",
    "tokenize",
    "train",
]
