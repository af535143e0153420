"""The notebooks show what they give, and open without noise."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from conftest import ROOT
from tests.support.docs import make

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_the_outputs_it_shows(path: Path) -> None:
    shown, again = without_pixels(read(path)), without_pixels(make().run_notebook(path))
    for before, after in zip(shown.cells, again.cells, strict=True):
        assert before == after, "run `make docs`"
    assert shown == again, "run `make docs`"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_opens_on_a_code_host_with_charts_and_without_noise(path: Path) -> None:
    assert path.stat().st_size < 420_000
    outputs = [output for cell in read(path).cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    for output in outputs:
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text  # a warning
        assert not re.search(r"/(home|root|tmp|work|Users)/", str({**output.get("data", {}), "image/png": ""}))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_begins_with_a_title_and_ends_with_where_to_go_next(path: Path) -> None:
    first, *_, last = read(path).cells
    assert re.match(r"# .+\n\nYou will learn ", first.source)
    assert {*re.findall(r"\(([a-z_]+\.ipynb)\)", last.source)} == {other.name for other in NOTEBOOKS if other != path}
    for link in re.findall(r"\]\(([^)\s]+)\)", "\n".join(cell.source for cell in read(path).cells)):
        assert (path.parent / link).exists(), link


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_number_in_the_text_of_a_notebook_stands_in_a_cell_of_it(path: Path) -> None:
    cells = read(path).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    shown = str([(cell.source, without_pixels_of(cell.outputs)) for cell in code])
    for cell in cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"```.*?```|`[^`]+`|Spack \d\.\d+", "", cell.source, flags=re.DOTALL)
            for number in re.findall(r"(?<![\w.])\d[\d.,]*(?<![.,])", text):
                assert re.search(rf"(?<![\d.,]){re.escape(number)}(?![\d.,]?\d)", shown), f"{number}: {cell.source}"


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def without_pixels(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a notebook whose pictures are told by their size alone: how letters look differs between machines."""
    for cell in notebook.cells:
        without_pixels_of(cell.get("outputs", []))
    return notebook


def without_pixels_of(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    for output in outputs:
        if "image/png" in output.get("data", {}):
            output.data["image/png"] = "a picture"
    return outputs
