"""Make what is generated from the code and the data: `make docs`. A test fails where a committed copy differs."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import matplotlib
import nbformat
import polars as pl
from click.testing import CliRunner
from nbclient import NotebookClient

import cachestats as cs
from cachestats.cli import cli
from cachestats.schema import dictionary_markdown

ROOT = Path(__file__).parent.parent
CORPUS_SITE = ROOT.parent / "shared" / "corpus" / "site"


def cli_markdown() -> str:
    """Return the reference of the command line: the help of every verb, as it prints it."""
    lines = ["# The command line", "", "Made by `make docs` from the help of every verb; do not edit by hand."]
    for words in _verbs(cli, ["cachestats"]):
        done = CliRunner().invoke(cli, [*words[1:], "--help"], prog_name="cachestats", terminal_width=100)
        lines += ["", f"## {' '.join(words)}", "", "```text", *map(str.rstrip, done.output.splitlines()), "```"]
    return "\n".join(lines) + "\n"


def _verbs(command: click.Command, words: list[str]) -> Iterator[list[str]]:
    yield words
    if isinstance(command, click.Group):
        for verb in sorted(command.commands):
            yield from _verbs(command.commands[verb], [*words, verb])


def draw_charts(folder: Path, site: Path) -> None:
    """Draw the README's charts from the pages of the corpus."""
    matplotlib.use("agg")
    with tempfile.TemporaryDirectory() as scratch:
        specs = cs.build_dataset(site, out=scratch).specs.filter(pl.col("snapshot") == "develop-2024-06-02")
        matrix = cs.coverage_matrix(specs, rows="stack", columns="target", measure="packages")
        cs.save_plot(cs.plot_coverage(matrix), folder / "coverage.svg")


def run_notebook(path: Path) -> nbformat.NotebookNode:
    """Run a notebook from top to bottom, on a copy of the data, and return it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(ROOT / "data", Path(scratch) / "data")
        place = Path(scratch) / path.parent.name
        place.mkdir()
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(place)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    return notebook


def main() -> None:
    """Make everything anew."""
    (ROOT / "data" / "DICTIONARY.md").write_text(dictionary_markdown())
    (ROOT / "docs" / "cli.md").write_text(cli_markdown())
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        nbformat.write(run_notebook(path), path)
    if CORPUS_SITE.is_dir():
        draw_charts(ROOT / "docs", CORPUS_SITE)
    else:
        sys.stderr.write(f"no corpus at {CORPUS_SITE}: the charts stay as they are\n")


if __name__ == "__main__":
    main()
