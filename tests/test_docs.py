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
from typing import get_args

import click
import matplotlib.pyplot as plt
import nbformat
import pytest

import cachestats as cs
from cachestats import errors
from cachestats.axes import STATES
from cachestats.cli import cli
from cachestats.cli.sections import Verbs
from cachestats.expressions.parse import parse_expression
from cachestats.schema import TABLES
from cachestats.sources.items import SOURCES, ArchiveKind, SourceKind
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


@pytest.mark.parametrize(
    "text",
    [cs.coverage.__doc__, cs.usable.__doc__, cli.commands["usable"].help, README],
    ids=["coverage", "usable", "help", "README"],
)
def test_the_states_of_coverage_are_explained_in_the_same_words_everywhere(text: str) -> None:
    words = " ".join(text.split())
    assert [meaning for meaning in STATES.values() if meaning not in words] == []


def test_the_generated_pages_are_the_codes() -> None:
    outdated = [path for path, page in make().PAGES.items() if (ROOT / path).read_text() != page()]
    assert not outdated, f"run `make pages`: {', '.join(outdated)}"


def test_the_dictionary_has_every_column() -> None:
    assert cs.data_dictionary().height == sum(len(table.columns) for table in TABLES.values())


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
    assert len(module.EXAMPLE.findall(README)) >= 20
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
    missing = [name for name in cli.commands if not re.search(rf"\b{name}\b", README)]
    assert not missing, f"README.md, Questions and answers: say what these verbs do, each with an example: {missing}"
    for name, command in cli.commands.items():
        assert command.help, f"give the verb {name} a docstring"
        options = [one for one in command.params if isinstance(one, click.Option)]
        bare = [one.opts[0] for one in options if not one.help]
        assert not bare, f"give these options of the verb {name} a `help=`: {bare}"


def test_the_exit_codes_are_the_same_in_the_errors_the_help_and_the_readme() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, cs.CachestatsError)]
    codes = {0, 70, 130, *(kind.exit_code for kind in kinds)}
    help_ = str(cli.help).partition("Exit codes:")[2]
    assert {int(code) for code in re.findall(r"^ +(\d+)  ", help_, re.MULTILINE)} == codes, (
        "see cachestats/cli/__init__.py"
    )
    table = README.partition("| code | meaning |")[2].partition("\n\n")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == codes, "see the README's table"


def test_what_can_be_read_is_the_same_in_the_errors_the_help_and_the_readme() -> None:
    kinds = {kind for kinds in SOURCES.values() for kind in kinds}
    assert kinds == {*get_args(SourceKind)}, "see SOURCES in cachestats/sources/items.py"
    table = README.partition("| source | such as |")[2].partition("\n\n")[0]
    missing = [what for what in SOURCES if what not in table]
    assert not missing, f"README.md, From anywhere, and kept up to date: give these a row: {missing}"
    texts = {
        "README.md": table,
        "build": str(cli.commands["build"].help),
        "build_dataset": str(cs.build_dataset.__doc__),
    }
    for where, text in texts.items():
        words = {*re.findall(r"[\w-]+", text)}
        missing = [what for what in SOURCES if what.split()[1] not in words]
        assert not missing, f"say in the words of {where} that it reads {missing}"
        missing = [kind for kind in get_args(ArchiveKind) if f".{kind}" not in text]
        assert not missing, f"say in the words of {where} that it reads archives of the kinds {missing}"


QUESTIONS = re.findall(
    r"^\| \[(.+?)\]\(#(.+?)\) \| (.+?) \| (.+?) \| (.+?) \|$",
    README.partition("## Questions and answers")[2].partition("\n### ")[0],
    re.MULTILINE,
)


def test_the_table_of_questions_is_the_codes() -> None:
    where = "README.md, the table of Questions and answers: expected"
    headings = {name: re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-") for name, *_ in QUESTIONS}
    for name, anchor, *_ in QUESTIONS:
        assert f"\n### {name}\n" in README, f"{where} a heading of the page, found {name}"
        assert anchor == headings[name], f"{where} the link #{headings[name]}, found #{anchor}"
    functions, verbs, plots = (
        {*re.findall(r"`(\w.*?)`", " ".join(cells))} for cells in [*zip(*QUESTIONS, strict=True)][2:]
    )
    analyses = {name for name in cs.__all__ if getattr(cs, name).__module__.startswith("cachestats.analysis.")}
    assert functions == analyses, f"{where} every function of cachestats.analysis and no other"
    assert isinstance(cli, Verbs)
    others = {"info", "host", "rejected", "dictionary", "sql"}  # they ask what no function of an analysis answers
    assert verbs == {*cli.sections["Ask"]} - others, f"{where} every verb of the section Ask but {sorted(others)}"
    assert isinstance(plot := cli.commands["plot"], Verbs)
    assert plots == {*plot.commands}, f"{where} every verb of `cachestats plot`"
    functions_of_plots = {f"plot_{name.replace('-', '_')}" for name in plots}
    assert functions_of_plots == {name for name in cs.__all__ if name.startswith("plot_")}


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


def test_every_expression_in_the_docs_is_one() -> None:
    text = (ROOT / "docs" / "expressions.md").read_text()
    cells = re.findall(r"^\| (`[^|]*) \| [^|]* \|$", text.partition("## From Spack's commands")[0], re.MULTILINE)
    found = [expression for cell in cells for expression in re.findall(r"`([^`]+)`", cell)]
    assert len(found) > 30
    assert all(parse_expression(expression) for expression in found)
