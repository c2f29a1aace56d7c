"""docs/feature-store.md, whose blocks of Python are run on a lake."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.support.released_world import VECTOR

PAGE = (Path(__file__).parents[2] / "docs" / "feature-store.md").read_text(encoding="utf-8")


def run_block(heading: str, lake: str, **given: Any) -> dict[str, Any]:
    """Run the Python below a heading; returns its names."""
    section = next(part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE) if part.startswith(heading))
    block = re.search(r"```python\n(.*?)```", section, flags=re.DOTALL)[1]
    names: dict[str, Any] = {"RELEASED": lake, "ITEM_SOURCE": VECTOR, **given}
    exec(compile(block, f"docs/feature-store.md: {heading}", "exec"), names)
    return names
