"""Make what is generated from the code and the data: `make docs` makes everything, `make pages` the first part only.

`docs/make.py PART ...` makes some parts:

- `pages`: the data dictionary, the rules of input, the checks and the layout of the package, in seconds
- `answers`: the answers to the commands in README.md and in the pages of `docs`, and the pictures that they draw;
  `docs/make.py answers PATH ...` does so for some pages
- `notebooks`: the outputs of the notebooks

A test fails where a committed copy differs.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from cachestats.errors import CheckError
from cachestats.findings import rules_markdown
from cachestats.schema import dictionary_markdown
from cachestats.verification.checks import checks_markdown

DOCS = Path(__file__).parent
ROOT = DOCS.parent
BLOCK = re.compile(r"^```console\n.*?^```$", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"^\$ (?P<command>(?:.*\\\n)*.+)\n(?P<answer>(?:(?!\$ |```).*\n)*)", re.MULTILINE)
PICTURE = re.compile(r"!\[[^\]]*\]\([\w./-]*images/([\w.-]+)\)")


def layout_markdown() -> str:
    """Return the page for maintainers: the rooms of the package in the order of imports, and the modules in each."""
    package = ROOT / "cachestats"
    lines = [
        "# Layout of the package",
        "",
        "Made by `make pages` from `layout.toml` and the first lines of the modules; do not edit by hand.",
        "",
        "Data flows through the folders in this order:",
        "",
        "    sources -> parse -> ingest -> dataset -> analysis -> plots -> report -> cli",
        "                                     |-> export          spark: another maker for ingest",
        "",
        "A build is a chain of steps that pass values: `read` the inputs that changed, `plan` the outcome of each",
        "snapshot, `make` the tables, `check` that nothing is lost, and `publish` everything at once. An update and",
        "Spark take the same steps. `schema` declares every column once.",
        "",
        "The code builds on itself in another order, from left to right:",
        "",
        "![The folders of the package; an arrow leads from a folder to those that build on it](../images/layout.svg)",
        "",
        "The rooms below stand in this order: a module may import from its own room and from the rooms above it, never",
        "from below. `tests/test_house.py` checks this, and that there is no cycle. Only rooms that say so touch the",
        "disk, the network or the machine.",
    ]
    for room in tomllib.loads((DOCS / "contributing" / "layout.toml").read_text())["room"]:
        touches = f" Touches: {room['touches']}." if "touches" in room else ""
        lines += ["", f"## {', '.join(room['name'].split())}", "", f"{room['what']}{touches}", ""]
        lines += ["| Module | What it holds |", "|---|---|"]
        for name in room["name"].split():
            paths = sorted((package / name).rglob("*.py")) if (package / name).is_dir() else [package / f"{name}.py"]
            for path in paths:
                words = ast.get_docstring(ast.parse(path.read_text())) or ""
                first = " ".join(words.partition("\n\n")[0].split())
                lines.append(f"| `{path.relative_to(package).as_posix()}` | {first} |")
    return "\n".join(lines) + "\n"


def layout_svg() -> str:
    """Return a picture of the folders of the package: each stands to the right of those that it builds on."""
    package = ROOT / "cachestats"
    sizes = {path.parent.name: len([*path.parent.rglob("*.py")]) for path in package.glob("*/__init__.py")}
    needs = {folder: _imported_folders(package / folder) & sizes.keys() - {folder} for folder in sizes}

    def below(folder: str) -> set[str]:
        return needs[folder].union(*map(below, needs[folder]))

    def rank(folder: str) -> int:
        return max((rank(need) + 1 for need in needs[folder]), default=0)

    columns = [
        sorted(folder for folder in sizes if rank(folder) == number) for number in range(max(map(rank, sizes)) + 1)
    ]
    tallest = max(map(len, columns))
    places = {
        folder: (10 + 150 * column, 10 + 80 * (row + (tallest - len(folders)) / 2))
        for column, folders in enumerate(columns)
        for row, folder in enumerate(folders)
    }
    boxes, arrows = [], []
    for folder, (x, y) in places.items():
        boxes += [
            f'<rect x="{x}" y="{y:g}" width="110" height="54" rx="8" fill="#e8f1f5" stroke="#0a7d91"/>',
            f'<text x="{x + 55}" y="{y + 24:g}" font-weight="bold">{folder}</text>',
            f'<text x="{x + 55}" y="{y + 42:g}" font-size="11">{sizes[folder]} modules</text>',
        ]
        # An arrow for each folder that it builds on, but not for those that others of these build on, too.
        for need in sorted(needs[folder] - set().union(*map(below, needs[folder]))):
            start, from_y = places[need][0] + 110, places[need][1] + 27
            arrows.append(f'<path d="M{start},{from_y:g} L{x - 4},{y + 27:g}" stroke="#555" marker-end="url(#head)"/>')
    width, height = 150 * len(columns) - 20, 80 * tallest
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="14" text-anchor="middle">\n'
        '<marker id="head" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0,0 L6,3 L0,6 z" fill="#555"/></marker>\n'
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(arrows + boxes) + "\n</svg>\n"
    )


def _imported_folders(folder: Path) -> set[str]:
    text = "\n".join(path.read_text() for path in folder.rglob("*.py"))
    return {*re.findall(r"^\s*from cachestats\.(\w+)", text, re.MULTILINE)}


def documents() -> list[Path]:
    """Return the pages with examples: the README, and the Markdown files of the site."""
    return [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md") if "_generated" not in path.parts)]


def answered(text: str) -> tuple[str, dict[str, bytes]]:
    """Return a page in which what every command prints follows it, and the pictures of the page that they drew.

    The commands run one after the other in a folder of their own with a copy of the data.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(ROOT / "data", folder / "data")
        (folder / "bin").mkdir()
        program = folder / "bin" / "cachestats"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m cachestats "$@"\n')
        program.chmod(0o755)
        text = BLOCK.sub(lambda block: _with_answers(block[0], folder), text)
        drawn = {path.name: path.read_bytes() for path in folder.rglob("*.svg")}
    return text, {name: drawn[name] for name in PICTURE.findall(text) if name in drawn}


def _with_answers(block: str, folder: Path) -> str:
    return EXAMPLE.sub(lambda example: f"$ {example['command']}\n{_answer(example['command'], folder)}", block)


_WIDTH = 100
"""Long messages are broken as a terminal of this width breaks them, since pages do not."""


def _answer(command: str, folder: Path) -> str:
    """Return what a command prints, words after data, without the lines of the log."""
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, CheckError.exit_code):
        raise SystemExit(f"{command}: exit code {done.returncode}\n{done.stderr}")
    lines = [line for line in done.stderr.splitlines() if " INFO " not in line]
    lines = [part for line in lines for part in textwrap.wrap(line, _WIDTH, break_long_words=False)]
    return "".join(f"{line}\n" for line in [*done.stdout.splitlines(), *lines])


def run_notebook(path: Path) -> nbformat.NotebookNode:
    """Run a notebook from top to bottom, on a copy of the data, and return it with its outputs, the same every time."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(ROOT / "data", Path(scratch) / "data")
        place = Path(scratch) / path.parent.name
        place.mkdir()
        NotebookClient(
            notebook,
            timeout=300,
            resources={"metadata": {"path": str(place)}},
            extra_arguments=["--log-level=ERROR"],  # otherwise each kernel warns that its messages are not encrypted
        ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
    notebook.metadata.language_info = {"name": "python"}  # without the version of Python that ran it
    return notebook


PAGES: dict[str, Callable[[], str]] = {
    "data/DICTIONARY.md": dictionary_markdown,
    "docs/reference/rules.md": rules_markdown,
    "docs/reference/checks.md": checks_markdown,
    "docs/contributing/layout.md": layout_markdown,
    "docs/images/layout.svg": layout_svg,
}


def _make_pages() -> None:
    for path, page in PAGES.items():
        (ROOT / path).write_text(page())


def _make_answers(*paths: str) -> None:
    for path in map(Path, paths) if paths else documents():
        text, pictures = answered(path.read_text())
        path.write_text(text)
        for name, picture in pictures.items():
            (DOCS / "images" / name).write_bytes(picture)


def _make_notebooks() -> None:
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        nbformat.write(run_notebook(path), path)


PARTS = {"pages": _make_pages, "answers": _make_answers, "notebooks": _make_notebooks}


def main(*parts: str) -> None:
    """Make some parts again, or everything."""
    if parts[:1] == ("answers",):
        return _make_answers(*parts[1:])
    if unknown := set(parts) - PARTS.keys():
        raise SystemExit(f"expected some of {', '.join(PARTS)}, found {', '.join(sorted(unknown))}")
    for part in parts or PARTS:
        PARTS[part]()
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
