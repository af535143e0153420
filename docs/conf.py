"""How Sphinx builds the site: `make docs-site`."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import click
import matplotlib
from sphinx.application import Sphinx

import cachestats

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS / "_extensions"))

URLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]

project = "cachestats"
author = "The cachestats developers"
copyright = f"2026, {author}"  # noqa: A001
version = release = cachestats.__version__

extensions = [
    "docstrings",
    "matplotlib.sphinxext.plot_directive",
    "myst_nb",
    "numpydoc",
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
autodoc_typehints = "none"  # `docstrings` puts them into the lists of parameters
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
plot_formats = ["svg"]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_include_source = True

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

html_theme = "pydata_sphinx_theme"
html_title = "cachestats"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_search_summary = False  # it reads the pages again, which a browser refuses from disk
html_search_scorer = str(DOCS / "scorer.js")
html_theme_options = {
    "header_links_before_dropdown": 6,
    "icon_links": [{"name": "Repository", "url": URLS["Source"], "icon": "fa-brands fa-github"}],
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
    _pack("sample.zip", ROOT / "data")
    _pack("notebooks.zip", ROOT / "notebooks")
    for part in ("description", "options", "arguments"):
        app.connect(f"sphinx-click-process-{part}", _as_plain_text)
    app.connect("sphinx-click-process-description", _name_function)
    app.connect("build-finished", _write_report)


def _write_report(app: Sphinx, exception: Exception | None) -> None:
    """Write the report of the sample beside the pages, to be tried by readers who have only this site."""
    if exception or app.builder.format != "html":
        return
    matplotlib.use("agg")
    environment = cachestats.read_environment(ROOT / "data" / "developer-tools.spack.lock.gz")
    cachestats.write_report(
        cachestats.open_dataset(ROOT / "data" / "sample"),
        app.outdir / "demo-report",
        title="The sample of cachestats",
        hosts=["zen4:rhel9", "x86_64_v3:ubuntu24.04"],
        environments={"developer-tools": environment},
    )


def _pack(name: str, folder: Path) -> None:
    """Pack a folder for readers who have only this site."""
    packed = DOCS / "_generated" / name
    packed.parent.mkdir(exist_ok=True)
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and ".ipynb_checkpoints" not in path.parts:
                archive.write(path, path.relative_to(ROOT))


def _name_function(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Say which function a verb is in Python, whose page lists the columns of the answer."""
    name = str(context.command.name).replace("-", "_")
    if context.parent and context.parent.command.name == "plot":
        name = f"plot_{name}"
    if name in cachestats.__all__:
        lines += ["", f"In Python: :func:`cachestats.{name}`, which says what the answer has."]


def _as_plain_text(app: Sphinx, context: click.Context, lines: list[str]) -> None:
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
