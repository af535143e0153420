"""Lockfiles of every version, and their specs against those of the site's pages."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import cachestats as cs
from cachestats.errors import SourceError
from cachestats.schema import DEPENDENCIES
from conftest import CORPUS

ZEN4 = {"name": "zen4", "vendor": "AuthenticAMD", "features": ["avx512f"], "generation": 0, "parents": ["zen3"]}


def node(name: str, hash_: str, **fields: Any) -> dict[str, Any]:
    """Return a node of version 5 and later."""
    return {
        "name": name,
        "version": "1.0",
        "arch": {"platform": "linux", "platform_os": "rhel9", "target": ZEN4},
        "namespace": "builtin",
        "parameters": {"build_system": "cmake", "shared": True, "cflags": ["-O3"], "patches": ["0b8a3b8c1d2e3f"]},
        "dependencies": [],
        "hash": hash_,
    } | fields


def lockfile(specs: dict[str, Any], roots: list[str], version: int = 6, **more: Any) -> dict[str, Any]:
    return {
        "_meta": {"file-type": "spack-lockfile", "lockfile-version": version, "specfile-version": 5},
        "roots": [{"hash": root, "spec": "x"} for root in roots],
        "concrete_specs": specs,
        **more,
    }


def read(content: dict[str, Any] | bytes, folder: Path) -> pl.DataFrame:
    path = folder / "spack.lock"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return cs.read_lockfile(path)


def edge(name: str, hash_: str, types: list[str], virtuals: list[str]) -> dict[str, Any]:
    return {"name": name, "hash": hash_, "parameters": {"deptypes": types, "virtuals": virtuals}}


GCC = node("gcc", "g" * 32, version="14.2.0")
NO_COMPILER = {"compiler": {"name": "oneapi", "version": "2024.2.1"}}
OLD = {name: value for name, value in node("a", "a" * 32).items() if name not in ("name", "dependencies")}

VERSIONS: dict[str, tuple[dict[str, Any], str | None]] = {
    # what the node of the package `a` looks like, and the compiler that it has
    "v1": ({"a": OLD | NO_COMPILER | {"dependencies": {"gcc": {"hash": "g" * 32, "type": ["build"]}}}},
           "intel-oneapi-compilers@2024.2.1"),
    "v2, v3": (node("a", "a" * 32, **NO_COMPILER, dependencies=[{"name": "gcc", "hash": "g" * 32, "type": ["build"]}]),
               "intel-oneapi-compilers@2024.2.1"),
    "v4": (node("a", "a" * 32, **NO_COMPILER, dependencies=[edge("gcc", "g" * 32, ["build"], ["c"])]),
           "intel-oneapi-compilers@2024.2.1"),
    "v5": (node("a", "a" * 32, dependencies=[edge("gcc", "g" * 32, ["build"], ["c", "cxx"])]), "gcc@14.2.0"),
    "v5, only Fortran": (node("a", "a" * 32, dependencies=[edge("gcc", "g" * 32, ["build"], ["fortran"])]),
                         "gcc@14.2.0"),
    "v5, written as v4": (node("a", "a" * 32, annotations={"original_specfile_version": 4, "compiler": "clang@=14"}),
                          "llvm@14"),
    "v5, no compiler": (node("a", "a" * 32, dependencies=[edge("gcc", "g" * 32, ["run"], [])]), None),
    "v5, compiler not there": (node("a", "a" * 32, dependencies=[edge("gcc", "x" * 32, ["build"], ["c"])]), None),
    "v6": (node("a", "a" * 32, provided_virtuals=["mpi"], dependencies=[edge("gcc", "g" * 32, ["build"], ["c"])]),
           "gcc@14.2.0"),
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_nodes_of_every_version_are_read(version: str, tmp_path: Path) -> None:
    written, compiler = VERSIONS[version]
    frame = read(lockfile({"a" * 32: written, "g" * 32: GCC}, ["a" * 32]), tmp_path)
    row = frame.filter(package="a").row(0, named=True)
    assert (row["hash"], row["version"], row["os"], row["target"]) == ("a" * 32, "1.0", "rhel9", "zen4")
    assert row["compiler"] == compiler
    assert row["variants"] == "build_system=cmake patches=0b8a3b8 +shared"
    assert frame["is_root"].to_list() == [True, False]
    assert frame.columns == [*cs.parse_page("").specs.columns, "is_root"]


@pytest.mark.parametrize("version", range(1, 9))
def test_every_version_of_lockfiles_is_read(version: int, tmp_path: Path) -> None:
    # Versions 2 and 3 have specs by build hash.
    key = "b" * 32 if version in (2, 3) else "a" * 32
    frame = read(lockfile({key: node("a", "a" * 32)}, [key], version), tmp_path)
    assert frame.select("hash", "is_root").rows() == [("a" * 32, True)]


def test_included_environments_are_read_at_any_depth_and_externals_left_out(tmp_path: Path) -> None:
    inner = {"roots": [{"hash": "c" * 32}], "concrete_specs": {"c" * 32: node("c", "c" * 32)}}
    middle = {"roots": [], "concrete_specs": {"b" * 32: node("b", "b" * 32)}, "include_concrete": {"/inner": inner}}
    external = node("cmake", "e" * 32, external={"path": "/usr", "module": None})
    content = lockfile({"a" * 32: node("a", "a" * 32), "e" * 32: external}, ["a" * 32], include_concrete={"/m": middle})
    frame = read(content, tmp_path)
    assert frame.select("package", "is_root").rows() == [("a", True), ("b", False), ("c", True)]
    compressed = read(gzip.compress(json.dumps(content).encode()), tmp_path)
    assert compressed.equals(frame)


def test_a_newer_version_is_read_with_a_warning(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="version 1 to 8, found 99"):
        assert read(lockfile({"a" * 32: node("a", "a" * 32)}, [], 99), tmp_path).height == 1


def test_an_environment_without_specs_is_empty(tmp_path: Path) -> None:
    assert read(lockfile({}, []), tmp_path).shape == (0, 15)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a lockfile"),
        (b"[]", "expected a lockfile"),
        (json.dumps(lockfile({"a" * 32: node("a", "a" * 32)}, [])).encode()[:-100], "expected a lockfile"),
        (b"[" * 100_000, "expected a lockfile"),
        (b"\xff\xfe", "expected a lockfile"),
        (b'{"database": {"version": "8"}}', "expected the file type 'spack-lockfile', found None"),
        (gzip.compress(b"{}")[:-9], "cannot read the lockfile"),
        (json.dumps(lockfile({}, ["a" * 32])).encode(), "expected the spec of every root"),
        (json.dumps(lockfile({"a": {"name": "a"}}, [])).encode(), r"concrete_specs\['a'\]"),
        (json.dumps(lockfile({"a": node("a", "a", version=1.0)}, [])).encode(), r"Expected `str`, got `float`"),
    ],
)
def test_what_is_no_lockfile_is_an_error(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=message):
        read(content, tmp_path)


@pytest.mark.parametrize("is_packed", [True, False])
def test_no_more_is_read_than_a_lockfile_may_have(
    is_packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cachestats.lockfile.MAX_LOCKFILE_BYTES", 1000)
    content = b" " * 1001
    (tmp_path / "spack.lock").write_bytes(gzip.compress(content) if is_packed else content)
    with pytest.raises(SourceError, match="it has more than 1,000 bytes"):
        cs.read_lockfile(tmp_path / "spack.lock")


@pytest.mark.parametrize(
    ("path", "words"), [("/dev/zero", "not a regular file"), ("/", "Is a directory"), ("a\0b", "null")]
)
def test_what_is_no_file_is_no_lockfile(path: str, words: str) -> None:
    with pytest.raises(SourceError, match=f"cannot read the lockfile .*{words}"):
        cs.read_lockfile(path)


def test_a_missing_lockfile_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file or directory"):
        cs.read_lockfile(tmp_path / "spack.lock")


def test_specs_of_lockfiles_are_as_on_the_sites_pages(corpus: cs.Dataset) -> None:
    compared = 0
    columns = [name for name in cs.parse_page("").specs.columns if name not in ("snapshot", "snapshot_date", "stack")]
    pages = corpus.specs.collect()
    paths = sorted((CORPUS / "mirrors").glob("*/*/spack.lock"))
    for path in paths:
        snapshot, stack = path.parts[-3:-1]
        environment = cs.read_lockfile(path)
        cached = pages.filter(snapshot=snapshot, stack=stack).select(columns)
        ours = environment.filter(pl.col("hash").is_in(cached["hash"].implode())).select(columns)
        assert ours.height == cached.height, "every spec of the stack is in its lockfile"
        assert ours.equals(cached)
        compared += ours.height
    assert len(paths) == 28
    assert compared > 7000


@pytest.mark.parametrize("version", VERSIONS)
def test_dependencies_of_every_version_are_read(version: str, tmp_path: Path) -> None:
    written, _ = VERSIONS[version]
    # Versions 2 and 3 have specs by build hash, which no dependency names.
    key = "b" * 32 if version == "v2, v3" else "a" * 32
    (tmp_path / "spack.lock").write_text(json.dumps(lockfile({key: written, "g" * 32: GCC}, [key])))
    frame = cs.read_lockfile_dependencies(tmp_path / "spack.lock")
    assert frame.schema == DEPENDENCIES.polars()
    if version == "v5, written as v4":
        assert frame.is_empty()
        return
    needed = "x" * 32 if "not there" in version else "g" * 32
    kind = "run" if "no compiler" in version else "build"
    virtuals = {"v4": "c", "v5": "c,cxx", "v5, only Fortran": "fortran", "v5, compiler not there": "c", "v6": "c"}
    assert frame.rows(named=True) == [
        {
            "snapshot": None, "hash": "a" * 32, "dependency_hash": needed, "dependency_package": "gcc",
            **{f"is_{each}": each == kind for each in ("build", "link", "run", "test")},
            "virtuals": virtuals.get(version), "is_external": None if "not there" in version else False,
        }
    ]  # fmt: skip


def test_dependencies_of_externals_are_left_out_and_reasons_add_up(tmp_path: Path) -> None:
    external = node("mpich", "e" * 32, external={"path": "/usr"}, dependencies=[edge("gcc", "g" * 32, ["run"], [])])
    twice = [edge("mpich", "e" * 32, ["build"], []), edge("mpich", "e" * 32, ["link"], ["mpi"])]
    nameless = {"hash": "a" * 32, "type": ["build"]}
    inner = {"roots": [], "concrete_specs": {"c" * 32: node("c", "c" * 32, dependencies=[nameless])}}
    content = lockfile(
        {"a" * 32: node("a", "a" * 32, dependencies=twice), "e" * 32: external}, [], include_concrete={"/i": inner}
    )
    (tmp_path / "spack.lock").write_text(json.dumps(content))
    frame = cs.read_lockfile_dependencies(tmp_path / "spack.lock")
    columns = ("hash", "dependency_hash", "dependency_package", "is_build", "is_link", "virtuals", "is_external")
    assert frame.select(columns).rows() == [
        ("a" * 32, "e" * 32, "mpich", True, True, "mpi", True),
        ("c" * 32, "a" * 32, "a", True, False, None, False),
    ]


def test_what_is_no_lockfile_has_no_dependencies_either(tmp_path: Path) -> None:
    path = tmp_path / "spack.lock"
    with pytest.raises(SourceError, match="No such file or directory"):
        cs.read_lockfile_dependencies(path)
    path.write_bytes(b"[]")
    with pytest.raises(SourceError, match="expected a lockfile"):
        cs.read_lockfile_dependencies(path)
    path.write_text(json.dumps(lockfile({"a": node("a", "a", dependencies=[{"name": 1}])}, [])))
    with pytest.raises(SourceError, match=r"concrete_specs\['a'\]"):
        cs.read_lockfile_dependencies(path)
    path.write_text(json.dumps(lockfile({}, [], 99)))
    with pytest.warns(UserWarning, match="version 1 to 8, found 99") as caught:
        cs.read_lockfile_dependencies(path)
    assert caught[0].filename == __file__, "the warning points at who called"


def test_dependencies_of_lockfiles_are_as_in_the_indices(indexed: cs.Dataset) -> None:
    compared = 0
    every = indexed.dependencies.collect()
    for path in sorted((CORPUS / "mirrors").glob("*/*/spack.lock")):
        snapshot, stack = path.parts[-3:-1]
        cached = indexed.specs.filter(snapshot=snapshot, stack=stack).select("hash").collect()
        theirs = every.filter(snapshot=snapshot).join(cached, on="hash", how="semi").drop("snapshot")
        ours = cs.read_lockfile_dependencies(path).join(cached, on="hash", how="semi").drop("snapshot")
        assert ours.equals(theirs)
        compared += ours.height
    assert compared > 50_000
