"""The documentation: its examples run, its generated parts are the code's, and nothing public goes without words."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
import nbformat
import pytest

import cachestats as cs
from cachestats.cli import cli
from cachestats.findings import rules_markdown
from cachestats.schema import TABLES, dictionary_markdown
from conftest import ROOT, SAMPLE

README = (ROOT / "README.md").read_text()
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def make() -> ModuleType:
    """Return docs/make.py as a module."""
    spec = importlib.util.spec_from_file_location("make", ROOT / "docs" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_dictionary_is_the_codes() -> None:
    assert (ROOT / "data/DICTIONARY.md").read_text() == dictionary_markdown(), "run `make docs`"
    assert cs.data_dictionary().height == sum(len(table.columns) for table in TABLES.values())


def test_the_list_of_rules_is_the_codes() -> None:
    assert (ROOT / "docs/rules.md").read_text() == rules_markdown(), "run `make docs`"


def test_the_page_for_maintainers_is_the_codes() -> None:
    assert (ROOT / "docs/house.md").read_text() == make().house_markdown(), "run `make docs`"


def test_the_reference_of_the_command_line_is_the_codes() -> None:
    assert (ROOT / "docs/cli.md").read_text() == make().cli_markdown(), "run `make docs`"


@pytest.mark.slow
def test_the_charts_are_what_the_sample_gives(tmp_path: Path) -> None:
    make().draw_charts(tmp_path)
    charts = list(tmp_path.iterdir())
    assert charts
    for chart in charts:
        assert (ROOT / "docs" / chart.name).read_bytes() == chart.read_bytes(), "run `make docs`"


@pytest.mark.slow
def test_the_readmes_commands_print_what_it_shows() -> None:
    module = make()
    assert len(module.EXAMPLE.findall(README)) == 25
    assert module.answered(README) == README, "run `make docs`"


@pytest.mark.slow
def test_the_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    results = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert results.attempted >= 6
    assert not results.failed
    plt.close("all")


@pytest.mark.slow
def test_the_readmes_sql_runs(tmp_path: Path) -> None:
    import duckdb

    of_package, of_spark, of_files = re.findall(r"```sql\n(.+?)```", README, re.DOTALL)
    rows = duckdb.sql(of_files.replace("data/sample", str(SAMPLE))).fetchall()
    assert rows[:2] == [("radiuss", 217), ("developer-tools", 144)]
    cs.export_package(cs.open_dataset(SAMPLE), tmp_path)
    with duckdb.connect() as database:
        database.execute(f"SET file_search_path = '{tmp_path}'")
        database.execute((tmp_path / "views.sql").read_text())
        newest, usable = of_package.strip().removesuffix(";").split(";\n")
        assert database.sql(newest).fetchall()[0] == ("e4s", "x86_64_v3", 468)
        assert database.sql(usable.replace("= 'develop'", "= 'develop-2025-05-25'")).fetchall() == [(529, 0)]
    assert "USING parquet" in of_spark


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


def test_every_verb_is_in_the_readme_and_has_help() -> None:
    for name, command in cli.commands.items():
        assert re.search(rf"\b{name}\b", README), name
        assert command.help
        assert all(getattr(option, "help", "") for option in command.params if option.param_type_name == "option")


@pytest.mark.parametrize("name", cs.__all__)
def test_every_public_name_has_words_and_an_example(name: str) -> None:
    words = getattr(cs, name).__doc__
    assert words
    if name != "ParsedPage":  # an object that parse_page, which has one, returns
        assert "Examples\n" in words
        assert ">>> " in words


def test_everything_public_is_there_and_nothing_heavy_is_imported() -> None:
    code = "import sys, cachestats; print(sorted({'matplotlib', 'polars', 'pyarrow'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert set(dir(cs)) == set(cs.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cs.nothing


def test_every_line_of_the_public_stub_is_read() -> None:
    stub = ast.parse((ROOT / "cachestats" / "__init__.pyi").read_text())
    lines = [ast.unparse(one) for one in stub.body if isinstance(one, (ast.Import, ast.ImportFrom))]
    names = [line.rpartition(" as ")[2] for line in lines]
    assert len(names) == len(set(names)), "a name has two lines in cachestats/__init__.pyi"
    unread = [line for line, name in zip(lines, names, strict=True) if name not in cs.__all__]
    assert not unread, f"write `from .module import name as name`, a name a line, in cachestats/__init__.pyi: {unread}"


def test_the_changelog_speaks_of_this_version() -> None:
    from importlib.metadata import version

    assert f"## {version('cachestats')}" in (ROOT / "CHANGELOG.md").read_text()
