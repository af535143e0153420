"""Make what is generated from the code and the data: `make docs` makes everything, `make pages` the first part only.

`docs/make.py PART ...` makes some parts:

- `pages`: the data dictionary, the reference of the command line, the rules of input and the layout of the package, in
  seconds
- `charts`: the charts in the README
- `readme`: the answers to the commands in the README
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
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import matplotlib
import nbformat
import polars as pl
from click.testing import CliRunner
from nbclient import NotebookClient

import cachestats as cs
from cachestats.cli import cli
from cachestats.errors import CheckError
from cachestats.findings import rules_markdown
from cachestats.schema import dictionary_markdown

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "data" / "sample"
EXAMPLE = re.compile(r"^\$ (?P<command>.+)\n(?P<answer>(?:(?!\$ |```).*\n)*)", re.MULTILINE)


def cli_markdown() -> str:
    """Return the reference of the command line: the help of every verb, as it prints it."""
    lines = ["# The command line", "", "Made by `make pages` from the help of every verb; do not edit by hand."]
    for words in _verbs(cli, ["cachestats"]):
        done = CliRunner().invoke(cli, [*words[1:], "--help"], prog_name="cachestats", terminal_width=100)
        lines += ["", f"## {' '.join(words)}", "", "```text", *map(str.rstrip, done.output.splitlines()), "```"]
    return "\n".join(lines) + "\n"


def _verbs(command: click.Command, words: list[str]) -> Iterator[list[str]]:
    yield words
    if isinstance(command, click.Group):
        for verb in command.commands:
            yield from _verbs(command.commands[verb], [*words, verb])


def house_markdown() -> str:
    """Return the page for maintainers: the rooms of the package in the order of imports, and the modules in each."""
    package = ROOT / "cachestats"
    lines = [
        "# Layout of the package",
        "",
        "Made by `make pages` from `docs/house.toml` and the first lines of the modules; do not edit by hand.",
        "",
        "Data flows through the folders in this order:",
        "",
        "    sources -> parse -> ingest -> dataset -> analysis -> plots -> report -> cli",
        "                                     |-> export          spark: another maker for ingest",
        "",
        "The rooms below stand in the order of imports, which is another: a module may import from its own room and",
        "from the rooms above it, never from below. `tests/test_house.py` checks this, and that there is no cycle.",
        "Only rooms that say so touch the disk, the network or the machine.",
    ]
    for room in tomllib.loads((ROOT / "docs" / "house.toml").read_text())["room"]:
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


def draw_charts(folder: Path) -> None:
    """Draw the README's charts from the sample."""
    matplotlib.use("agg")
    specs = cs.open_dataset(SAMPLE).specs
    here = specs.filter(pl.col("snapshot") == "develop-2024-06-02")
    matrix = cs.coverage_matrix(here, rows="stack", columns="target", measure="packages")
    cs.save_plot(cs.plot_coverage(matrix), folder / "coverage.svg")
    cs.save_plot(cs.plot_history(cs.history(specs, by="stack")), folder / "history.svg")


def answered(text: str) -> str:
    """Return a document in which every example of the command line is followed by what it prints."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(ROOT / "data", folder / "data")
        for name in ("out", "bin"):
            (folder / name).mkdir()
        program = folder / "bin" / "cachestats"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m cachestats "$@"\n')
        program.chmod(0o755)
        return EXAMPLE.sub(lambda example: f"$ {example['command']}\n{_answer(example['command'], folder)}", text)


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
    "docs/cli.md": cli_markdown,
    "docs/rules.md": rules_markdown,
    "docs/house.md": house_markdown,
}


def _make_pages() -> None:
    for path, page in PAGES.items():
        (ROOT / path).write_text(page())


def _make_charts() -> None:
    draw_charts(ROOT / "docs")


def _make_readme() -> None:
    readme = ROOT / "README.md"
    readme.write_text(answered(readme.read_text()))


def _make_notebooks() -> None:
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        nbformat.write(run_notebook(path), path)


PARTS = {"pages": _make_pages, "charts": _make_charts, "readme": _make_readme, "notebooks": _make_notebooks}


def main(*parts: str) -> None:
    """Make some parts anew, or everything."""
    if unknown := set(parts) - PARTS.keys():
        raise SystemExit(f"expected some of {', '.join(PARTS)}, found {', '.join(sorted(unknown))}")
    for part in parts or PARTS:
        PARTS[part]()


if __name__ == "__main__":
    main(*sys.argv[1:])
