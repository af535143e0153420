"""The pages: their commands print what they show, their examples run, and their generated parts are the code's."""

from __future__ import annotations

import doctest
import re
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import cachestats as cs
from cachestats.axes import STATES
from cachestats.cli import cli
from cachestats.expressions.parse import parse_expression
from conftest import ROOT, SAMPLE
from tests.support.docs import DOCS, make, read

PAGES = make().documents()
WITH_COMMANDS = [path for path in PAGES if "\n```console\n" in path.read_text()]
WITH_PYTHON = [path for path in PAGES if "\n>>> " in path.read_text()]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_generated_pages_are_the_codes() -> None:
    outdated = [path for path, page in make().PAGES.items() if (ROOT / path).read_text() != page()]
    assert not outdated, f"run `make pages`: {', '.join(outdated)}"


@pytest.mark.slow
@pytest.mark.parametrize("path", WITH_COMMANDS, ids=name_of)
def test_commands_print_and_draw_what_their_page_shows(path: Path) -> None:
    text, pictures = make().answered(path.read_text())
    assert text == path.read_text(), f"run `docs/make.py answers {name_of(path)}`"
    for name, picture in pictures.items():
        assert (DOCS / "images" / name).read_bytes() == picture, f"run `docs/make.py answers {name_of(path)}`"


def test_every_picture_is_drawn_by_a_page_that_shows_it() -> None:
    drawn = set()
    for path in WITH_COMMANDS:
        text = path.read_text()
        commands = " ".join(found["command"] for found in make().EXAMPLE.finditer(text))
        written = {*re.findall(r"--out ([\w-]+\.svg)", commands)} | ({"e4s.svg"} if " report " in commands else set())
        drawn |= {name for name in make().PICTURE.findall(text) if name in written}
    made = {Path(path).name for path in make().PAGES if path.endswith(".svg")}
    assert {path.name for path in (DOCS / "images").iterdir()} == drawn | made


@pytest.mark.slow
@pytest.mark.parametrize("path", WITH_PYTHON, ids=name_of)
def test_the_python_of_a_page_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    results = doctest.testfile(str(path), module_relative=False)
    assert results.attempted >= 2
    assert not results.failed
    plt.close("all")


def code(page: str, language: str) -> list[str]:
    """Return the blocks of a page that are in a language."""
    return re.findall(rf"^```{language}\n(.+?)^```$", read(page), re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_sql_of_the_pages_runs(tmp_path: Path) -> None:
    import duckdb

    (of_files,) = code("how-to/sql.md", "sql")
    assert duckdb.sql(of_files.replace("data/sample", str(SAMPLE))).fetchall()[:2] == [
        ("radiuss", 217),
        ("developer-tools", 144),
    ]
    (of_package,) = code("how-to/superset.md", "sql")
    cs.export_package(cs.open_dataset(SAMPLE), tmp_path)
    with duckdb.connect() as database:
        database.execute(f"SET file_search_path = '{tmp_path}'")
        database.execute((tmp_path / "views.sql").read_text())
        newest, usable = of_package.strip().removesuffix(";").split(";\n")
        assert database.sql(newest).fetchall()[0] == ("e4s", "x86_64_v3", 468)
        assert database.sql(usable.replace("= 'develop'", "= 'develop-2025-05-25'")).fetchall() == [(529, 0)]


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_python_without_prompts_is_python(path: Path) -> None:
    for block in re.findall(r"^```python\n(.+?)^```$", path.read_text(), re.DOTALL | re.MULTILINE):
        if not block.startswith(">>> "):
            compile(block, name_of(path), "exec")


@pytest.mark.parametrize(
    "text",
    [str(cs.coverage.__doc__), str(cs.usable.__doc__), str(cli.commands["usable"].help), read("concepts/reuse.md")],
    ids=["coverage", "usable", "help", "concepts/reuse.md"],
)
def test_the_states_of_coverage_are_explained_in_the_same_words_everywhere(text: str) -> None:
    words = " ".join(text.split())
    assert [meaning for meaning in STATES.values() if meaning not in words] == []


def test_every_expression_in_the_docs_is_one() -> None:
    text = read("reference/expressions.md").partition("## From Spack's commands")[0]
    cells = re.findall(r"^\| (`[^|]*) \| [^|]* \|$", text, re.MULTILINE)
    found = [expression for cell in cells for expression in re.findall(r"`([^`]+)`", cell)]
    assert len(found) > 30
    assert all(parse_expression(expression) for expression in found)


def test_the_readme_fits_on_a_few_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
