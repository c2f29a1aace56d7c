"""Our encoder in bfloat16: `python -m benchmarks.graph.clients.encoder TEXTS.json VECTORS.npy`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.graph.peers.turns import serve
from language_models.encoders import make_encoder
from schemas.sections import Encoder


def prepare() -> tuple[Mapping[str, Callable[[], Any]], Mapping[str, Any]]:
    """The encoder of a run file with bfloat16 and batches of 32, as docs/encoders.md advises, and the texts."""
    texts: list[str] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    encoder = make_encoder(Encoder(precision="bfloat16", batch_size=32))

    def encode() -> None:
        np.save(sys.argv[2], encoder.encode(texts))

    return {"encode": encode}, {"name": encoder.name}


if __name__ == "__main__":
    serve(prepare)
