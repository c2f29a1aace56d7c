"""The documentation site: `make docs` builds it, with warnings as errors and without a network."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS / "extensions"), str(DOCS.parent)]  # our Sphinx extensions, and the packages themselves

project = "Loregraph"
author = "The Loregraph authors"
copyright = "The Loregraph authors; Apache-2.0"
release = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "run_file_reference",
    "command_reference",
    "docstrings",
    "outer_pages",
    "part_pages",
    "reachable",
]
exclude_patterns = ["_build", "extensions"]
source_suffix = {".md": "markdown"}
nitpick_ignore_regex = [("py:.*", ".*")]  # signatures name types of libraries, whose references would need a network

myst_enable_extensions = ["attrs_block", "colon_fence"]
myst_heading_anchors = 4  # pages link to headings as a Git host does
suppress_warnings = ["misc.highlighting_failure"]

default_role = "code"  # our docstrings write code in single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True
maximum_signature_line_length = 100

html_theme = "furo"
html_title = "Loregraph"
html_theme_options = {"light_css_variables": {"color-code-background": "#f2f4f7"}}
html_static_path = ["_static"]
html_css_files = ["loregraph.css"]
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = ""
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
