"""How Sphinx builds the site: `make docs-site`."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from sphinx.application import Sphinx

from cachestats import __version__

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS / "_extensions"))

project = "cachestats"
author = "The cachestats developers"
copyright = f"2026, {author}"  # noqa: A001
version = release = __version__

extensions = [
    "myst_nb",
    "numpydoc",
    "parameter_types",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_llms_txt",
]
templates_path = ["_templates"]
smartquotes = False  # options begin with two hyphens
default_role = "literal"  # of the single back-ticks in docstrings and help texts
exclude_patterns = ["_generated", "**.ipynb_checkpoints"]

# The notebooks have the outputs that `make docs` gave them, and the tests compare these.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # `parameter_types` puts them into the lists of parameters
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_use_plots = False

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

html_theme = "pydata_sphinx_theme"
html_title = "cachestats"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_theme_options = {
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
    "show_toc_level": 3,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": []}

# Every page as Markdown, in one file, for programs that read.
llms_txt_summary = "Ask Spack's binary build cache what it covers, from Python, a shell, a browser or any BI tool."


def setup(app: Sphinx) -> None:
    """Bring in what lies outside of `docs`, and make plain text of the help texts."""
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):  # a link would not do: their own links are relative
        shutil.copy(notebook, DOCS / "tutorials")
    packed = DOCS / "_generated" / "sample.zip"  # for readers who have only this site
    packed.parent.mkdir(exist_ok=True)
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        for path in sorted((ROOT / "data").rglob("*")):
            if path.is_file() and "_cache" not in path.parts:
                archive.write(path, path.relative_to(ROOT))
    for part in ("description", "options", "arguments"):
        app.connect(f"sphinx-click-process-{part}", _as_plain_text)


def _as_plain_text(app: Sphinx, context: Any, lines: list[str]) -> None:
    """Make markup of a help text in which Click reads none: unwrapped paragraphs are code, and signs are signs."""
    found: list[str] = []
    for line in lines:
        is_code = line.startswith("| ") and not line.endswith(":")
        if is_code and not found[-1].startswith("   "):
            found += ["", ".. code-block:: text", "", "   " + line[2:]]
        elif is_code:
            found.append("   " + line[2:])
        else:
            parts = line.removeprefix("| ").split("``")
            parts[::2] = [re.sub(r"[*@]", r"\\\g<0>", part) for part in parts[::2]]
            found.append("``".join(parts))
    lines[:] = found
