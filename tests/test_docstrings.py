"""The docstrings of all that is public: complete, as numpydoc reads them, with examples that can be pasted.

That the examples give what they show, in an empty folder and without any names but their own, is what pytest's doctests
check: see `conftest.py`.
"""

from __future__ import annotations

import dataclasses
import doctest
import functools
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest
from numpydoc.docscrape import NumpyDocString

import cachestats as cs
from cachestats import spark as cachestats_spark
from cachestats.schema import SPECS

TYPE = re.compile(r"[\w.]+( (of|or|to) [\w.]+)*")


def public() -> Iterator[tuple[str, Any]]:
    """Yield all public functions and classes, and the public methods of the classes, by name."""
    for module in (cs, cachestats_spark):
        for name in module.__all__:
            yield name, (found := getattr(module, name))
            if inspect.isclass(found):
                for member, value in vars(found).items():
                    if not member.startswith("_") and isinstance(value, (classmethod, staticmethod)):
                        yield f"{name}.{member}", value.__func__
                    elif not member.startswith("_") and inspect.isfunction(value):
                        yield f"{name}.{member}", value


def properties() -> Iterator[tuple[str, Any]]:
    for name in cs.__all__:
        if inspect.isclass(found := getattr(cs, name)):
            for member, value in vars(found).items():
                if not member.startswith("_") and isinstance(value, (property, functools.cached_property)):
                    yield f"{name}.{member}", value


PUBLIC = dict(public())
CLASSES = {name: found for name, found in PUBLIC.items() if inspect.isclass(found)}


def parsed(found: Any) -> NumpyDocString:
    """Return a docstring as numpydoc reads it; it warns of sections that it does not know, which is an error here."""
    return NumpyDocString(inspect.getdoc(found) or "")


def names_in(section: Any) -> list[str]:
    """Return the names that a section describes, of which several may share a description."""
    return [name for entry in section for name in entry.name.split(", ")]


def parameters_of(found: Any) -> list[str]:
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return [
        stars.get(parameter.kind, "") + name
        for name, parameter in inspect.signature(found).parameters.items()
        if name not in {"self", "cls"} and not name.startswith("_")
    ]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_docstring_describes_every_parameter_and_no_other(name: str) -> None:
    found = parsed(PUBLIC[name])
    described = names_in(found["Parameters"])
    if name == "SparkTables":  # nobody makes one: read_site does
        described = parameters_of(PUBLIC[name])
    assert sorted(described) == sorted(parameters_of(PUBLIC[name])), f"Parameters of {name}"
    for entry in found["Parameters"]:
        assert not entry.type, f"leave out the type of {entry.name}: it is in the signature"
        assert "".join(entry.desc).strip(), f"describe {entry.name}"


@pytest.mark.parametrize("name", PUBLIC)
def test_a_docstring_names_the_type_of_what_is_returned(name: str) -> None:
    if inspect.isclass(PUBLIC[name]):
        assert not parsed(PUBLIC[name])["Returns"]
        return
    is_nothing = inspect.signature(PUBLIC[name]).return_annotation == "None"
    section = parsed(PUBLIC[name])["Returns"]
    assert len(section) == (0 if is_nothing else 1), f"Returns of {name}"
    for entry in section:
        assert TYPE.fullmatch(entry.type), f"write the type on a line of its own, found: {entry.type}"
        assert "".join(entry.desc).strip(), f"describe what {name} returns"


@pytest.mark.parametrize("name", PUBLIC)
def test_a_docstring_begins_with_a_sentence_and_ends_with_an_example_that_imports_what_it_uses(name: str) -> None:
    found = parsed(PUBLIC[name])
    assert " ".join(found["Summary"]).endswith((".", "..."))
    if name == "SparkTables.unpersist":  # the example of its class shows it
        return
    text = "\n".join(found["Examples"])
    examples = doctest.DocTestParser().get_examples(text)
    assert examples, f"give {name} an example"
    imports = "".join(example.source for example in examples if "import " in example.source)
    assert "cachestats" in imports


@pytest.mark.parametrize("name", PUBLIC)
def test_code_in_a_docstring_neither_begins_nor_ends_with_a_space(name: str) -> None:
    words, _, _ = (inspect.getdoc(PUBLIC[name]) or "").partition("\nExamples\n")
    for paragraph in words.split("\n\n"):
        code = " ".join(paragraph.split()).split("`")[1::2]
        assert code == [one.strip() for one in code], "reStructuredText does not take it as code"


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_describes_its_attributes(name: str) -> None:
    found = CLASSES[name]
    described = names_in(parsed(found)["Attributes"])
    if dataclasses.is_dataclass(found):
        fields = [field.name for field in dataclasses.fields(found) if not field.name.startswith("_")]
        assert described == fields
    else:
        assert described
    for entry in parsed(found)["Attributes"]:
        assert "".join(entry.desc).strip(), f"describe {entry.name}"


def test_every_property_has_words() -> None:
    assert [name for name, value in properties() if not (value.__doc__ or "").strip()] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_errors_are_those_of_the_package_and_have_words(name: str) -> None:
    kinds = {*vars(cs.errors), "ValueError"}
    for entry in parsed(PUBLIC[name])["Raises"]:
        assert {*entry.type.split(", ")} <= kinds
        assert "".join(entry.desc).strip()


HOST = "zen4:rhel9"


class Example:
    """What the questions are about."""

    def __init__(self) -> None:
        self.ds = cs.example_dataset()
        self.old, self.new = self.ds.at("previous"), self.ds.newest
        self.environment = cs.read_environment(self.ds.path / "spack.lock")


# A result of each public function that returns a table with columns of its own.
RESULTS: dict[str, Callable[[Example], pl.DataFrame]] = {
    "causes": lambda one: cs.causes(one.environment, one.new),
    "column_coverage": lambda one: cs.column_coverage(one.new, by="stack"),
    "compare": lambda one: cs.compare(one.old, one.new, by="stack"),
    "compare_counts": lambda one: cs.compare_counts(one.old, one.new),
    "compare_specs": lambda one: cs.compare_specs(one.old, one.new, by="stack"),
    "coverage": lambda one: cs.coverage(one.new, rows="package", columns="stack"),
    "data_dictionary": lambda one: cs.data_dictionary(),
    "dependents": lambda one: cs.dependents(one.new, "zlib-ng"),
    "duplicates": lambda one: pl.concat(
        [cs.duplicates(one.new, dependencies=one.ds, by=by) for by in ("spec", "package", "cause")], how="diagonal"
    ),
    "find": lambda one: cs.find(one.new, "zlib-ng", host=HOST, with_dependencies=True),
    "gaps": lambda one: cs.gaps(one.new, by="stack", dependencies=one.ds),
    "history": lambda one: cs.history(one.ds, by="stack"),
    "hit_rates": lambda one: cs.hit_rates(one.environment, one.ds, by="stack"),
    "holes": lambda one: pl.concat([cs.holes(one.ds), cs.holes(one.ds, by="missing")], how="diagonal"),
    "lifespans": lambda one: cs.lifespans(one.ds),
    "losses": lambda one: cs.losses(one.old, one.new),
    "match": lambda one: cs.match(one.environment, one.new, dependencies=one.ds),
    "match_roots": lambda one: cs.match_roots("hdf5", one.new, host=HOST),
    "overlap": lambda one: cs.overlap(one.new),
    "overlap_sets": lambda one: cs.overlap_sets(one.new),
    "Retention.by": lambda one: pl.concat(
        [cs.retain(one.ds, newest=1).by(axis) for axis in ("stack", "reason")], how="diagonal"
    ),
    "retention_curve": lambda one: cs.retention_curve(one.ds, environments={"hdf5": one.environment}),
    "reusable": lambda one: cs.reusable(one.new, host=HOST),
    "root_rates": lambda one: cs.root_rates("hdf5", one.ds, by="stack"),
    "usable": lambda one: cs.usable(one.new, host=HOST),
    "usable_by_system": lambda one: cs.usable_by_system(one.new, host="zen4"),
    "versions": lambda one: cs.versions(one.new),
    "why": lambda one: cs.why(one.new, "hdf5", "zlib-ng"),
}
# Named by what they are made of, in words: the table `specs`, or the axes of the question.
IN_WORDS = {
    "coverage": {"package", "stack"},
    "find": {column.name for column in SPECS.columns},
    "lifespans": {"package", "version", "target"},
    "match": {f"near_{name}" for name in ("compiler", "platform", "os", "target", "variants", "flags", "namespace")},
    "duplicates": {"snapshot", "version", "platform", "os", "target", "compiler", "variants", "flags", "namespace"},
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_docstring_names_every_column_of_the_table_that_is_returned(name: str) -> None:
    columns = {*RESULTS[name](Example()).columns} - IN_WORDS.get(name, set())
    (section,) = parsed(PUBLIC[name])["Returns"]
    items = re.split(r"^- ", "\n".join(section.desc), flags=re.MULTILINE)[1:]
    named = {column for item in items for column in re.findall(r"`([\w<>]+)`", item.partition(":")[0])}
    if "<by>" in named or "other_<by>" in named:
        named |= {"stack", "other_stack"}
    assert columns <= named, f"{name} does not describe {sorted(columns - named)}"


def test_every_function_that_returns_a_table_is_asked_for_its_columns() -> None:
    tables = {
        name for name, found in PUBLIC.items() if [one.type for one in parsed(found)["Returns"]] == ["polars.DataFrame"]
    }
    others = {
        "Dataset.satisfying",  # internal
        "coverage_matrix",  # its columns are names in the data
        "plan_build",  # these read and write sources
        "plan_update",
        "update_dataset",
    }
    assert tables == RESULTS.keys() | others
