"""The specs that environments ask for: lists, definitions and matrices of spack.yaml, and what is left out."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cachestats as cs
from cachestats.errors import ArgumentError, SourceError
from cachestats.expressions.parse import parse_expression
from cachestats.spec_lists import constrain, implies
from cachestats.version_ranges import VersionList
from tests.support.nodes import lockfile, node

NAMED = "definitions: [{mpis: [mpich, 'openmpi@4:']}, {gccs: ['%gcc@12', '%gcc@13']}]"
LISTS = {
    "specs: [hdf5 +mpi, 'zlib@1.3 target=zen4']": ["hdf5 +mpi", "zlib@1.3 target=zen4"],
    f"{NAMED}\nspecs: [$mpis, hdf5]": ["mpich", "openmpi@4:", "hdf5"],
    "definitions: [{a: [zlib]}, {b: [$a, cmake]}, {a: [hdf5]}]\nspecs: [$b]": ["zlib", "hdf5", "cmake"],
    f"{NAMED}\nspecs: [{{matrix: [[hdf5], [$^mpis], [$gccs]]}}]": [
        "hdf5 %gcc@12 ^mpich", "hdf5 %gcc@13 ^mpich", "hdf5 %gcc@12 ^openmpi@4:", "hdf5 %gcc@13 ^openmpi@4:",
    ],
    "definitions: [{cs: [gcc, llvm]}]\nspecs: [{matrix: [[zlib], [$%cs], [target=zen4]]}]": [
        "zlib target=zen4 %gcc", "zlib target=zen4 %llvm",
    ],
    "specs: [{matrix: [[zlib, hdf5@1.14.1], ['%gcc@12', '%clang'], [+shared, ~shared]], "
    "exclude: ['+shared %clang', 'hdf5@1.14 %gcc']}]": [
        "zlib+shared %gcc@12", "zlib~shared %gcc@12", "zlib~shared %clang", "hdf5@1.14.1~shared %clang",
    ],
    "specs: [{matrix: [[zlib], [{matrix: [['@1.2', '@1.3'], [+pic]], exclude: ['@1.2']}, ~pic]]}]": [
        "zlib@1.3+pic", "zlib~pic",
    ],
    "specs: [{matrix: [['zlib@1.2:'], ['@:1.4', '@2']]}]": ["zlib@1.2:1.4", "zlib@2"],
    "specs:: [zlib]\npackages:: {all: {variants: +pic}}\nconcretizer: {unify: false}": ["zlib"],
}  # fmt: skip
NOTES = {
    "definitions: [{a: [zlib], when: 'os == \"rhel9\"'}]": "spack.definitions[0].a is left out: only Spack can decide",
    "specs: [$nowhere]": "spack.specs[0] is left out: no definition before it is called 'nowhere'",
    "specs: [{group: x, specs: [zlib]}]": "spack.specs[0] is left out: expected a spec or a matrix",
    "include: [more.yaml]": "spack.include: files that it includes are not read",
    "packages: {mpi: {require: mpich}, all: {buildable: false}}": "requirements ('require') of mpi are not applied",
}
FAULTS = {
    "specs: [hdf5, 'zlib@@1']": "found '@' at character 5:\n  zlib@@1\n      ^: spack.specs[1]",
    "specs: [zlib cmake]": "found a second spec",
    "specs: [1.2]": "expected a spec, found 1.2: spack.specs[0]",
    "specs: [[zlib]]": "expected a spec, found ['zlib']: spack.specs[0]",
    "specs:\n- cmake@3.20:": "as YAML reads what ends with a colon: spack.specs[0]",
    "specs: zlib": "expected a list, found 'zlib': spack.specs",
    "specs: [{matrix: [[+mpi], [~mpi]]}]": "found +mpi and ~mpi",
    "specs: [{matrix: [[hdf5], [zlib]]}]": "found hdf5 and zlib",
    "specs: [{matrix: [['a@1'], ['@2']]}]": "found @1 and @2",
    "specs: []": "expected specs, found none",
    "definitions: [zlib]\nspecs: [cmake]": "expected a name and a list of specs, found 'zlib': spack.definitions[0]",
}
_TWICE = ", ".join(f"{{a{number}: [$a{number - 1}, $a{number - 1}]}}" for number in range(1, 40))
ATTACKS = {
    "references": f"definitions: [{{a0: [zlib]}}, {_TWICE}]\nspecs: [$a39]",
    "matrix": f"specs: [{{matrix: [{', '.join(['[a, b, c, d, e, f, g, h]'] * 200)}]}}]",
    "matrix in itself": "specs: [&m {matrix: [[*m]]}]",
    "list in itself": "specs: &s [*s]",
    "many aliases": f"x: &x [{', '.join(['a'] * 1000)}]\nspecs: [{', '.join(['{matrix: [*x]}'] * 1000)}]",
    "nesting": f"specs: {'[' * 100_000}",
    "merge": "x: &x {matrix: [[a]]}\nspecs: [{<<: *x}]",
}


def written(folder: Path, text: str, top: str = "spack") -> Path:
    path = folder / "spack.yaml"
    path.write_text(f"{top}:\n" + "".join(f"  {line}\n" for line in text.splitlines()))
    return path


@pytest.mark.parametrize("top", ["spack", "env"])
@pytest.mark.parametrize("text", LISTS)
def test_lists_are_expanded_as_spack_does(text: str, top: str, tmp_path: Path) -> None:
    roots = cs.read_roots(written(tmp_path, text, top))
    assert [root.text for root in roots] == LISTS[text]
    assert [root.expression for root in roots] == [parse_expression(root.text) for root in roots]
    assert all(root.location.startswith(f"{top}.") for root in roots)


@pytest.mark.parametrize("text", NOTES)
def test_what_is_not_expanded_or_applied_is_named(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, text if "specs: [" in text and "[{a" not in text else f"{text}\nspecs: [cmake]")
    with pytest.warns(UserWarning, match=re.escape(NOTES[text])) as caught:
        roots = cs.read_roots(path.parent)
    assert [root.text for root in roots] == ([] if text.startswith("specs") else ["cmake"])
    assert len(caught) == 1
    assert str(path) in str(caught[0].message)


@pytest.mark.parametrize("text", FAULTS)
def test_faults_are_named_with_their_place(text: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        cs.read_roots(written(tmp_path, text))
    assert FAULTS[text] in caught.value.message
    assert "spack.yaml" in caught.value.message


def test_faults_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"(?s)specs\[0\].*specs\[2\]"):
        cs.read_roots(written(tmp_path, "specs: ['@@', zlib, '^']"))
    with pytest.raises(SourceError, match="and 5 more"):
        cs.read_roots(written(tmp_path, f"specs: [{', '.join(['1'] * 25)}]"))


@pytest.mark.parametrize("name", ATTACKS)
def test_no_file_uses_up_time_or_memory(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(SourceError):
            cs.read_roots(written(tmp_path, ATTACKS[name]))


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "packages.yaml").write_text("packages: {}")
    with pytest.raises(SourceError, match="expected 'spack:' at the top, found packages"):
        cs.read_roots(tmp_path / "packages.yaml")
    with pytest.raises(SourceError, match="cannot read"):
        cs.read_roots(tmp_path)


def test_a_lockfile_says_what_it_was_concretized_from(tmp_path: Path) -> None:
    nodes = {name * 32: node(name, name * 32) for name in "abc"}
    content: dict[str, Any] = lockfile(nodes, [*nodes])
    for root, spec in zip(content["roots"], ["a+mpi ^b", "b@@", None], strict=True):
        root["spec"] = spec
    path = tmp_path / "spack.lock"
    path.write_text(json.dumps(content))
    with pytest.warns(UserWarning, match=r"expected a spec at roots\[1\] in .*, found 'b@@'"):
        environment = cs.read_environment(path)
    assert [root.text for root in environment.roots] == ["a+mpi ^b"]
    assert environment.specs["is_root"].all()


PARTS = ["@1.2", "@:1.4", "@1.3:", "@=1.3", "+mpi", "~mpi", "api=a", "api=b", "api:=a", "cflags=-O3", "os=rhel9",
         "target=zen4", "target=x86_64_v3:", "target=:zen4", "%gcc", "%gcc@12", "^mpich", "^mpich@4", "hdf5",
         "zlib"]  # fmt: skip
expressions = st.sampled_from(PARTS).map(parse_expression)


@given(st.lists(expressions, min_size=1, max_size=3), st.lists(expressions, min_size=1, max_size=3))
def test_what_is_joined_implies_each_part(ones: list[Any], others: list[Any]) -> None:
    try:
        joined = ones[0]
        for part in [*ones[1:], *others]:
            joined = constrain(joined, part)
    except ArgumentError:
        return
    assert all(implies(joined, part) for part in (*ones, *others) if ":zen4" not in str(part) or not _ranges(joined))
    assert constrain(joined, joined) == joined
    assert implies(joined, joined)


def _ranges(expression: Any) -> bool:
    """Whether ranges of targets that overlap were joined, whose intersection has no expression of its own."""
    return any(":" in target for target in expression.targets)


VERSIONS = ["0.9", "1.2", "1.2.1", "1.3", "1.3.9", "1.4", "1.4.1", "1.5", "2.0", "develop"]
ranges = st.sampled_from(["1.2", "1.3:", ":1.4", "1.2.1:1.4", "=1.3", "=1.4.1", "1.3.9:1.3", "2", ":", "develop"])


@given(st.lists(ranges, min_size=1, max_size=3), st.lists(ranges, min_size=1, max_size=3))
def test_the_intersection_of_versions_has_what_both_have(one: list[str], other: list[str]) -> None:
    first, second = (VersionList.parse(",".join(part)) for part in (one, other))
    common = first.intersection(second)
    both = [version for version in VERSIONS if first.includes(version) and second.includes(version)]
    assert [version for version in VERSIONS if common is not None and common.includes(version)] == both
    if common is not None:
        assert common.is_within(first) or len(one) > 1
        assert VersionList.parse(str(common)).alternatives == common.alternatives
    if first.is_within(second):
        assert all(second.includes(version) for version in VERSIONS if first.includes(version))
