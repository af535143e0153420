"""The reference is complete: every verb, public name, source, rule and exit code has its place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import cast, get_args

import click
import pytest

import cachestats as cs
from cachestats import errors, spark
from cachestats.cli import cli
from cachestats.cli.sections import Verbs
from cachestats.schema import TABLES
from cachestats.sources.items import SOURCES, ArchiveKind, SourceKind
from tests.support.docs import DOCS, read

HOW_TO = {path.name: path.read_text() for path in (DOCS / "how-to").glob("*.md")}
PLOTS = [*cast(Verbs, cli.commands["plot"]).commands]


def test_every_public_name_is_in_the_reference_of_python_once() -> None:
    named = re.findall(r"^   ((?:spark\.)?\w+)$", read("reference/python.md"), re.MULTILINE)
    of_spark = [f"spark.{name}" for name in ("read_site", "read_mirrors", "write_dataset")]
    assert all(hasattr(spark, name.removeprefix("spark.")) for name in of_spark)
    assert sorted(named) == sorted([*cs.__all__, *of_spark]), "see docs/reference/python.md"


def test_every_verb_has_an_example_and_help() -> None:
    commands = " ".join(re.findall(r"^(?:\$ )?(cachestats .+)$", "\n".join(HOW_TO.values()), re.MULTILINE))
    verbs = [*cli.commands, *(f"plot {name}" for name in PLOTS)]
    without = [verb for verb in verbs if not re.search(rf"\bcachestats {verb}\b", commands)]
    assert not without, f"give these verbs an example in a page of docs/how-to: {without}"
    for name, command in cli.commands.items():
        assert command.help, f"give the verb {name} a docstring"
        options = [one for one in command.params if isinstance(one, click.Option)]
        bare = [one.opts[0] for one in options if not one.help]
        assert not bare, f"give these options of the verb {name} a `help=`: {bare}"


def test_every_analysis_has_a_verb_and_every_verb_a_function() -> None:
    analyses = {name for name in cs.__all__ if getattr(cs, name).__module__.startswith("cachestats.analysis.")}
    text = "\n".join(HOW_TO.values()) + read("index.md")
    unnamed = [name for name in analyses if not re.search(rf"\b{name}\b|\b{name.replace('_', '-')}\b", text)]
    assert not unnamed, f"name these functions in a page of docs/how-to: {unnamed}"
    functions_of_plots = {f"plot_{name.replace('-', '_')}" for name in PLOTS}
    assert functions_of_plots == {name for name in cs.__all__ if name.startswith("plot_")}


def test_the_exit_codes_are_the_same_in_the_errors_the_help_and_the_docs() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, cs.CachestatsError)]
    codes = {0, 70, 130, 143, *(kind.exit_code for kind in kinds)}
    help_ = str(cli.help).partition("Exit codes:")[2]
    assert {int(code) for code in re.findall(r"^ +(\d+)  ", help_, re.MULTILINE)} == codes, (
        "see cachestats/cli/__init__.py"
    )
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", read("reference/exit-codes.md"), re.MULTILINE)}
    assert listed == codes, "see docs/reference/exit-codes.md"


def test_what_can_be_read_is_the_same_in_the_errors_the_help_and_the_docs() -> None:
    kinds = {kind for kinds in SOURCES.values() for kind in kinds}
    assert kinds == {*get_args(SourceKind)}, "see SOURCES in cachestats/sources/items.py"
    table = HOW_TO["sources.md"].partition("| source | such as |")[2].partition("\n\n")[0]
    missing = [what for what in SOURCES if what not in table]
    assert not missing, f"docs/how-to/sources.md: give these a row: {missing}"
    texts = {
        "docs/how-to/sources.md": table,
        "build": str(cli.commands["build"].help),
        "build_dataset": str(cs.build_dataset.__doc__),
    }
    for where, text in texts.items():
        words = {*re.findall(r"[\w-]+", text)}
        missing = [what for what in SOURCES if what.split()[1] not in words]
        assert not missing, f"say in the words of {where} that it reads {missing}"
        missing = [kind for kind in get_args(ArchiveKind) if f".{kind}" not in text]
        assert not missing, f"say in the words of {where} that it reads archives of the kinds {missing}"


def test_the_dictionary_has_every_column() -> None:
    assert cs.data_dictionary().height == sum(len(table.columns) for table in TABLES.values())


@pytest.mark.slow
def test_the_files_of_a_report_have_the_keys_that_the_reference_lists(report: Path) -> None:
    of_report, of_package = (
        {name for cell in re.findall(r"^\| (`.+?`) \| ", part, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)}
        for part in read("reference/report-files.md").split("\n## ")[1:3]
    )
    assert of_report == json.loads((report / "report.json").read_text()).keys()
    assert of_package == json.loads((report / "api" / "hdf5.json").read_text()).keys()


def test_the_files_of_a_dataset_are_those_that_the_reference_lists(sample: cs.Dataset) -> None:
    listed = {*re.findall(r"`([\w.]+?)(?:/[^`]*)?`", read("reference/dataset-files.md"))}
    assert {path.name for path in sample.path.iterdir()} <= listed
