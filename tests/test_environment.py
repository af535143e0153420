"""Environments of every form and version, and their specs against those of indices and of the site's pages."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import cachestats as cs
from cachestats.errors import ArgumentError, SourceError
from cachestats.schema import DEPENDENCIES, SPECS
from conftest import CORPUS, ROOT, in_corpus
from tests.support.nodes import GCC, NO_COMPILER, OLD, edge, lockfile, node

A, B, C, G = ("a" * 32, "b" * 32, "c" * 32, "g" * 32)
HASHES = ["hash", "dependency_hash"]


def read(content: object, folder: Path) -> cs.Environment:
    path = folder / "environment"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return cs.read_environment(path)


VERSIONS: dict[str, tuple[dict[str, Any], str | None, str | None]] = {
    # what the node of the package `a` looks like, the compiler that it has, and what gcc provides to it
    "v1": ({"a": OLD | NO_COMPILER | {"dependencies": {"gcc": {"hash": G, "type": ["build"]}}}},
           "intel-oneapi-compilers@2024.2.1", None),
    "v2": (node("a", A, **NO_COMPILER, dependencies=[{"name": "gcc", "hash": G, "type": ["build"]}]),
           "intel-oneapi-compilers@2024.2.1", None),
    "v2, by build hash": (
        node("a", A, **NO_COMPILER, dependencies=[{"name": "gcc", "build_hash": G, "type": ["build"]}]),
        "intel-oneapi-compilers@2024.2.1", None),
    "v4": (node("a", A, **NO_COMPILER, dependencies=[edge("gcc", G, ["build"], ["c"])]),
           "intel-oneapi-compilers@2024.2.1", "c"),
    "v5": (node("a", A, dependencies=[edge("gcc", G, ["build"], ["c", "cxx"])]), "gcc@14.2.0", "c,cxx"),
    "v5, only Fortran": (node("a", A, dependencies=[edge("gcc", G, ["build"], ["fortran"])]), "gcc@14.2.0", "fortran"),
    "v5, written as v4": (node("a", A, annotations={"original_specfile_version": 4, "compiler": "clang@=14"},
                               dependencies=[edge("gcc", G, ["build"], [])]), "llvm@14", None),
    "v5, no compiler": (node("a", A, dependencies=[edge("gcc", G, ["build"], [])]), None, None),
    "v6": (node("a", A, provided_virtuals=["mpi"], dependencies=[edge("gcc", G, ["build"], ["c"])]), "gcc@14.2.0", "c"),
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_nodes_of_every_version_are_read(version: str, tmp_path: Path) -> None:
    written, compiler, virtuals = VERSIONS[version]
    environment = read(lockfile({A: written, G: GCC}, [A]), tmp_path)
    row = environment.specs.filter(package="a").row(0, named=True)
    assert (row["hash"], row["version"], row["version_key"]) == (A, "1.0", "v0001.0000.")
    assert (row["os"], row["target"]) == ("rhel9", "zen4")
    assert row["compiler"] == compiler
    assert row["variants"] == "build_system=cmake patches=0b8a3b8 +shared"
    assert (row["flags"], row["namespace"]) == ("cflags=-O3", "builtin")
    assert row["spec_format"] == (4 if version == "v5, written as v4" else 5)
    assert environment.specs["is_root"].to_list() == [True, False]
    assert environment.specs.schema == SPECS.polars() | {"is_root": pl.Boolean}
    assert environment.dependencies.schema == DEPENDENCIES.polars()
    assert environment.dependencies.rows(named=True) == [
        {
            "snapshot": None, "hash": A, "dependency_hash": G, "dependency_package": "gcc",
            "dependency_version": "14.2.0", "is_build": True, "is_link": False, "is_run": False, "is_test": False,
            "virtuals": virtuals, "is_external": False, "external": None,
        }
    ]  # fmt: skip
    assert environment.nodes == {key: json.dumps(one).encode() for key, one in ((A, written), (G, GCC))}


def test_what_a_node_says_besides_is_read(tmp_path: Path) -> None:
    glibc = node("glibc", G, version="2.34", external={"path": "/usr"}, parameters={"docs": False})
    fields = {"package_hash": "p====", "annotations": {"original_specfile_version": 3}}
    needs = {"dependencies": [edge("glibc", G, ["link"], ["libc"])]}
    row = read(lockfile({A: node("a", A, **fields, **needs), G: glibc}, [A]), tmp_path).specs.row(0, named=True)
    names = ("package_hash", "libc", "libc_version", "spec_format", "build_spec_hash")
    assert tuple(row[name] for name in names) == ("p====", "glibc", "2.34", 3, None)
    environment = read(lockfile({A: node("a", A, **needs), G: glibc}, [A]), tmp_path)
    columns = ("dependency_version", "is_external", "external")
    assert environment.dependencies.select(columns).row(0) == ("2.34", True, "glibc@2.34 ~docs prefix=/usr")


# Lockfiles as Spack wrote them: `libtool` is needed to build `vterm`, and `sed` to build `libtool`.
ARCH = {"platform": "linux", "platform_os": "rhel7", "target": "x86_64"}
COMPILER = {"name": "gcc", "version": "7.3.0"}


def old_node(name: str, key: str, hash_: str | None, needs: dict[str, str], version: int) -> dict[str, Any]:
    """Return a node as the lockfiles of a version have it; `needs` are keys by name."""
    if version < 3:
        below = {one: {"hash": other, "type": ["build"]} for one, other in needs.items()}
        rest = {"version": "1", "arch": ARCH, "compiler": COMPILER, "dependencies": below}
        return {name: rest | ({} if hash_ is None else {"hash": hash_})}
    edges = [{"name": one, "build_hash": other, "type": ["build"]} for one, other in needs.items()]
    return {"name": name, "version": "1", "arch": ARCH, "compiler": COMPILER, "dependencies": edges, "hash": hash_}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_old_lockfiles_name_specs_by_their_keys(version: int, tmp_path: Path) -> None:
    hashes = ["vterm", "libtool", "sed"] if version == 1 else ["hash-of-vterm", "hash-of-libtool", "sed"]
    written = [None] * 3 if version == 1 else hashes
    specs = {
        "vterm": old_node("vterm", "vterm", written[0], {"libtool": "libtool"}, version),
        "libtool": old_node("libtool", "libtool", written[1], {"sed": "sed"}, version),
        "sed": old_node("sed", "sed", written[2], {}, version),
    }
    environment = read(lockfile(specs, ["vterm"], version), tmp_path)
    assert environment.specs.select("package", "hash", "is_root").rows() == [
        ("libtool", hashes[1], False), ("sed", hashes[2], False), ("vterm", hashes[0], True)
    ]  # fmt: skip
    assert sorted(environment.dependencies.select(HASHES).rows()) == sorted(
        [(hashes[0], hashes[1]), (hashes[1], "sed")]
    )
    assert environment.specs["spec_format"].unique().to_list() == [2 if version == 3 else 1]


@pytest.mark.parametrize("version", [2, 3])
def test_of_two_keys_with_one_hash_the_first_that_the_roots_reach_is_kept(version: int, tmp_path: Path) -> None:
    # `x` was built twice, with another `sed` each time. Spack walks from the roots down, and by name: over `b`, which
    # stands later in the file, before `c`.
    specs = {
        "2": old_node("x", "2", "hash-of-x", {"sed": "s2"}, version),
        "1": old_node("x", "1", "hash-of-x", {"sed": "s1"}, version),
        "s1": old_node("sed", "s1", "hash-of-s1", {}, version),
        "s2": old_node("sed", "s2", "hash-of-s2", {}, version),
        "c": old_node("c", "c", "hash-of-c", {"x": "2"}, version),
        "b": old_node("b", "b", "hash-of-b", {"x": "1"}, version),
        "a": old_node("a", "a", "hash-of-a", {"c": "c", "b": "b"}, version),
    }
    environment = read(lockfile(specs, ["a"], version), tmp_path)
    edges = dict(environment.dependencies.filter(hash="hash-of-x").select(HASHES).rows())
    assert edges == {"hash-of-x": "hash-of-s1"}
    assert environment.specs["package"].to_list() == ["a", "b", "c", "sed", "sed", "x"]
    assert json.loads(environment.nodes["hash-of-x"]) == specs["1"]
    other = read(lockfile(specs, ["c", "a"], version), tmp_path)
    assert dict(other.dependencies.filter(hash="hash-of-x").select(HASHES).rows()) == {"hash-of-x": "hash-of-s2"}


def test_a_key_counts_before_a_hash(tmp_path: Path) -> None:
    specs = {
        "a": old_node("a", "a", "hash-of-a", {"x": "x"}, 3),
        "y": old_node("y", "y", "x", {}, 3),
        "x": old_node("x", "x", "hash-of-x", {}, 3),
    }
    environment = read(lockfile(specs, ["a"], 3), tmp_path)
    assert environment.specs["package"].to_list() == ["a", "x"]
    assert environment.dependencies.select(HASHES).rows() == [("hash-of-a", "hash-of-x")]


def test_reasons_add_up_and_a_nameless_dependency_has_its_specs_name(tmp_path: Path) -> None:
    needs = [{"hash": C, "type": ["build"]}, edge("c", C, ["link"], ["mpi"])]
    for dependencies in (needs, needs[::-1]):
        environment = read(lockfile({A: node("a", A, dependencies=dependencies), C: node("c", C)}, [A]), tmp_path)
        columns = ("dependency_package", "is_build", "is_link", "is_run", "virtuals")
        assert environment.dependencies.select(columns).rows() == [("c", True, True, False, "mpi")]
    nameless = read(lockfile({A: node("a", A, dependencies=needs[:1]), C: node("c", C)}, [A]), tmp_path)
    assert nameless.dependencies["dependency_package"].to_list() == ["c"]


def test_variants_are_spelled_as_in_datasets(tmp_path: Path) -> None:
    settings = {"quoted": "'a,b'", "spaced": "a b", "list": ["x", "y"], "on": True}
    variants = read(lockfile({A: node("a", A, parameters=settings)}, [A]), tmp_path).specs["variants"].to_list()
    assert variants == ["list=x,y +on quoted=a,b spaced='a b'"]


@pytest.mark.parametrize(
    ("version", "spack"),
    [
        (1, "0.16 or older"), (2, "0.16 or older"), (3, "0.17"), (4, "0.18 to 0.20"), (5, "0.21 to 0.23"),
        (6, "1.0 to 1.2"), (7, "1.0 to 1.2"), (8, "1.3"),
    ],
)  # fmt: skip
def test_every_version_of_lockfiles_is_read_and_says_who_wrote_it(version: int, spack: str, tmp_path: Path) -> None:
    environment = read(lockfile({A: node("a", A)}, [A], version), tmp_path)
    assert environment.specs.select("hash", "is_root").rows() == [(A, True)]
    assert (environment.spack, environment.kind) == (spack, "lockfile")
    said = read(lockfile({A: node("a", A)}, [A], version, spack={"version": "0.20.1", "type": "release"}), tmp_path)
    assert said.spack == "0.20.1"
    meta = {"file-type": "spack-lockfile", "lockfile-version": version, "specfile-version": 4}
    assert read(lockfile({A: node("a", A)}, [A], _meta=meta), tmp_path).specs["spec_format"].to_list() == [4]
    assert repr(said) == "<Environment: 1 spec, 1 root; lockfile of Spack 0.20.1>"
    assert said._repr_html_() == "<b>Environment</b>: 1 spec, 1 root; lockfile of Spack 0.20.1"


def test_included_environments_are_read_at_any_depth_and_externals_left_out(tmp_path: Path) -> None:
    inner = {"roots": [{"hash": C}], "concrete_specs": {C: node("c", C)}}
    # The specs of an environment may stand in one that it includes.
    middle = {
        "roots": [{"hash": B}, {"hash": C}],
        "concrete_specs": {B: node("b", B)},
        "include_concrete": {"/i": inner},
    }
    external = node("cmake", "e" * 32, external={"path": "/usr", "module": None})
    first = node("a", A, dependencies=[edge("cmake", "e" * 32, ["build"], [])])
    content = lockfile({A: first, "e" * 32: external}, [A], include_concrete={"/m": middle, "/n": {"roots": []}})
    environment = read(content, tmp_path)
    assert environment.specs.select("package", "is_root").rows() == [("a", True), ("b", True), ("c", True)]
    packed = read(gzip.compress(json.dumps(content).encode()), tmp_path)
    assert packed.specs.equals(environment.specs)


def test_a_spliced_spec_has_its_build_specs_hash_and_its_specs_are_none(tmp_path: Path) -> None:
    spliced = node("a", A, dependencies=[edge("c", C, ["link"], [])], build_spec={"name": "a", "hash": B})
    built = node("a", B, dependencies=[edge("gcc", G, ["build"], [])])
    specs = {A: spliced, B: built, C: node("c", C), G: GCC}
    environment = read(lockfile(specs, [A]), tmp_path)
    assert environment.specs.select("hash", "build_spec_hash").rows() == [(A, B), (C, None)]
    assert environment.dependencies.select(HASHES).rows() == [(A, C)]
    assert environment.nodes.keys() == specs.keys(), "proofs need all of them"
    # Nothing is asked of a build spec but its hash.
    del specs[B]
    assert read(lockfile(specs, [A]), tmp_path).specs.equals(environment.specs)


def spec_file(nodes: list[dict[str, Any]], version: int = 5, **more: Any) -> dict[str, Any]:
    return {"spec": {"_meta": {"version": version}, "nodes": nodes}, **more}


GRAPH = [node("a", A, dependencies=[edge("gcc", G, ["build"], ["c"])]), GCC]
SIGNED = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n%s\n-----BEGIN PGP SIGNATURE-----\n\niQE=\n"
OLD_EDGE = {"gcc": {"hash": G, "type": ["build"]}}
OLD_LIST = [{"a": OLD | {"dependencies": OLD_EDGE}}, {"gcc": OLD | {"hash": G, "version": "14.2.0"}}]
SPEC_FILES: dict[str, tuple[bytes, int, str | None, str]] = {
    # the bytes, the format of the specs, the Spack that wrote them, and what kind of file it is
    "spec.json": (json.dumps(spec_file(GRAPH)).encode(), 5, "1.0 to 1.2", "spec file"),
    "spec.json of a build cache": (json.dumps({"buildcache_layout_version": 2, **spec_file(GRAPH, 4)}).encode(), 4,
                                   "0.21 to 0.23", "spec file"),
    "signed": (SIGNED % json.dumps(spec_file(GRAPH), indent=1).encode(), 5, "1.0 to 1.2", "spec file"),
    "of version 1": (json.dumps({"spec": OLD_LIST}).encode(), 1, "0.16 or older", "spec file"),
}  # fmt: skip


@pytest.mark.parametrize("form", SPEC_FILES)
def test_spec_files_of_every_form_are_read(form: str, tmp_path: Path) -> None:
    content, spec_format, spack, kind = SPEC_FILES[form]
    environment = read(content, tmp_path)
    assert environment.specs.select("package", "hash", "is_root", "spec_format").rows() == [
        ("a", A, True, spec_format), ("gcc", G, False, spec_format)
    ]  # fmt: skip
    assert environment.dependencies.select(HASHES).rows() == [(A, G)]
    assert (environment.spack, environment.kind) == (spack, kind)


@pytest.mark.parametrize("key", ["build_hash", "full_hash"])
def test_spec_files_may_name_specs_by_another_hash(key: str, tmp_path: Path) -> None:
    nodes = [
        {"a": OLD | {"dependencies": {"gcc": {key: "other-g", "type": ["build"]}}, key: "other-a"}},
        {"gcc": OLD | {"hash": G, key: "other-g"}},
    ]
    environment = read({"spec": nodes}, tmp_path)
    assert environment.specs.select("hash", "is_root").rows() == [(A, True), (G, False)]
    assert environment.dependencies.select(HASHES).rows() == [(A, G)]


def test_what_spack_prints_is_read(tmp_path: Path) -> None:
    second = spec_file([node("b", B, dependencies=[edge("gcc", G, ["build"], [])]), GCC])
    one_line = {"separators": (",", ":")}
    printed = "\n".join(json.dumps(one, **one_line) for one in (spec_file(GRAPH), second))
    pretty = "\n".join(json.dumps(one, indent=2) for one in (spec_file(GRAPH), second))
    for content in (printed.encode(), pretty.encode() + b"\n", json.dumps([spec_file(GRAPH), second]).encode()):
        environment = read(content, tmp_path)
        assert environment.specs.select("hash", "is_root").rows() == [(A, True), (B, True), (G, False)]
        assert environment.dependencies.select(HASHES).rows() == [(A, G), (B, G)]
        assert environment.kind == "spec file"


def test_a_list_of_specs_may_lack_what_they_need(tmp_path: Path) -> None:
    whole = read(GRAPH, tmp_path)
    assert whole.specs.select("hash", "is_root", "compiler").rows() == [(A, True, "gcc@14.2.0"), (G, False, None)]
    assert (whole.kind, whole.spack) == ("list of specs", None)
    part = read(GRAPH[:1], tmp_path)
    assert part.specs.select("hash", "is_root", "compiler").rows() == [(A, True, None)]
    columns = ("dependency_hash", "dependency_package", "dependency_version", "is_external")
    assert part.dependencies.select(columns).rows() == [(G, "gcc", None, None)]
    assert read(GRAPH[0], tmp_path).specs.equals(part.specs)
    assert read([], tmp_path).specs.is_empty()


def database(records: dict[str, Any], version: str = "8") -> dict[str, Any]:
    return {"database": {"version": version, "installs": records}}


def test_an_installation_has_what_is_installed(tmp_path: Path) -> None:
    external = node("glibc", "e" * 32, version="2.34", external={"path": "/usr"})
    needs = [
        edge("gcc", G, ["build"], ["c"]),
        edge("gone", B, ["build"], []),
        edge("glibc", "e" * 32, ["link"], ["libc"]),
    ]
    records = {
        A: {"spec": node("a", A, dependencies=needs), "path": "/opt/a", "installed": True, "explicit": True},
        C: {"spec": node("c", C), "path": "/opt/c", "installed": True, "explicit": False},
        G: {"spec": GCC, "path": None, "installed": False, "explicit": True},
        "e" * 32: {"spec": external, "path": "/usr", "installed": True, "explicit": False},
    }
    folder = tmp_path / "opt" / ".spack-db"
    folder.mkdir(parents=True)
    (folder / "index.json").write_text(json.dumps(database(records)))
    environment = cs.read_environment(tmp_path / "opt")
    assert environment.specs.select("hash", "is_root", "compiler", "libc_version").rows() == [
        (A, True, "gcc@14.2.0", "2.34"), (C, False, None, None)
    ]  # fmt: skip
    columns = ("dependency_hash", "dependency_version", "is_external")
    assert environment.dependencies.select(columns).rows() == [
        (B, None, None), ("e" * 32, "2.34", True), (G, "14.2.0", False)
    ]  # fmt: skip
    assert (environment.kind, environment.spack) == ("database", "1.0 to 1.2")
    for path in (folder, folder / "index.json"):
        assert cs.read_environment(path).specs.equals(environment.specs)
    (tmp_path / "opt" / "spack.lock").write_text(json.dumps(lockfile({C: node("c", C)}, [C])))
    assert cs.read_environment(tmp_path / "opt").kind == "lockfile", "the folder of an environment"


def test_several_environments_add_up(tmp_path: Path) -> None:
    needs = {"dependencies": [edge("c", C, ["link"], [])]}
    contents = {
        "one": lockfile({A: node("a", A, **needs), C: node("c", C)}, [A], 5),
        "two": lockfile({B: node("b", B, **needs), C: node("c", C)}, [B, C], 6),
        "three": spec_file([node("c", C)]),
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content))
    environment = cs.read_environment(*(tmp_path / name for name in contents))
    assert environment.specs.select("hash", "is_root").rows() == [(A, True), (B, True), (C, True)]
    assert environment.dependencies.select(HASHES).rows() == [(A, C), (B, C)]
    assert environment.nodes.keys() == {A, B, C}
    assert environment.kind == "lockfile and spec file"
    assert environment.spack == "0.21 to 0.23 and 1.0 to 1.2"
    first = cs.read_environment(tmp_path / "one", tmp_path / "three")
    assert first.specs.select("hash", "is_root").rows() == [(A, True), (C, True)]


def test_of_one_hash_the_first_environment_counts(tmp_path: Path) -> None:
    for name in ("s1", "s2"):
        specs = {
            "x": old_node("x", "x", "hash-of-x", {"sed": name}, 3),
            name: old_node("sed", name, f"hash-of-{name}", {}, 3),
        }
        (tmp_path / name).write_text(json.dumps(lockfile(specs, ["x"], 3)))
    environment = cs.read_environment(tmp_path / "s2", tmp_path / "s1")
    assert b'"build_hash": "s2"' in environment.nodes["hash-of-x"]
    assert environment.dependencies.select(HASHES).rows() == [("hash-of-x", "hash-of-s2")]
    assert environment.specs["package"].to_list() == ["sed", "sed", "x"]


@pytest.mark.parametrize(
    ("content", "kind", "last", "found"),
    [
        (lockfile({A: node("a", A)}, [A], 99), "lockfile", 8, 99),
        (spec_file([node("a", A)], 7), "spec file", 6, 7),
        (database({A: {"spec": node("a", A), "installed": True}}, "10"), "database", 9, 10),
    ],
)
def test_a_newer_version_is_read_with_a_warning(
    content: dict[str, Any], kind: str, last: int, found: int, tmp_path: Path
) -> None:
    (tmp_path / "environment").write_text(json.dumps(content))
    with pytest.warns(UserWarning, match=rf"a {kind} of version \d to {last}, found {found}") as caught:
        environment = cs.read_environment(tmp_path / "environment")
    assert environment.specs.height == 1
    assert environment.spack is None
    assert environment.specs["spec_format"].to_list() == [7 if kind == "spec file" else None]
    assert caught[0].filename == __file__, "the warning points at who called"


def test_an_environment_without_specs_is_empty(tmp_path: Path) -> None:
    environment = read(lockfile({}, []), tmp_path)
    assert environment.specs.schema == SPECS.polars() | {"is_root": pl.Boolean}
    assert environment.specs.is_empty()
    assert environment.dependencies.schema == DEPENDENCIES.polars()


WHOLE = json.dumps(lockfile({A: node("a", A)}, [A])).encode()
CYCLE = {
    A: node("a", A, dependencies=[edge("b", B, ["link"], [])]),
    B: node("b", B, dependencies=[edge("a", A, [], [])]),
}


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    assert read(b"\xef\xbb\xbf" + WHOLE, tmp_path).specs.height == 1
    assert read(gzip.compress(b"\xef\xbb\xbf" + WHOLE), tmp_path).specs.height == 1


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("utf-32-be", "UTF-16"),
    ],
)
def test_other_encodings_are_named(encoding: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=rf"expected UTF-8, found {name} in .*\nhint: write it again as UTF-8"):
        read(WHOLE.decode().encode(encoding), tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found: nothing"),
        (b"  \n", "found: nothing"),
        (b"spack:\n  specs: [zlib]\n", "expected the specs of an environment in .*\nhint: give a spack.lock"),
        (b"{}", "found: no object with keys"),
        (b"[1]", r"expected a spec at \[0\]"),
        (b'"text"', "found: no object with keys"),
        (b'{"some": 1, "thing": 2}', "found: an object with the keys some, thing"),
        (WHOLE[:-100], "found: Input data was truncated"),
        (WHOLE + b"}", "found: JSON is malformed: trailing characters"),
        (b"[" * 100_000, "expected the specs of an environment"),
        (b'{"_meta":' + b"[" * 100_000, "expected the specs of an environment"),
        (WHOLE.replace(b"cmake", b"\xe9"), "expected UTF-8, found the byte 0xe9 at offset 451"),
        (b'{"_meta": {"file-type": "spack-mirror"}}', "expected the file type 'spack-lockfile', found 'spack-mirror'"),
        (b'{"roots": []}', "expected the file type 'spack-lockfile', found None"),
        (b'{"database": {"version": "8"}}', "missing required field `installs`"),
        (database({A: {"spec": node("a", A), "in_buildcache": True}}), "found the index of a build cache"),
        (database({A: {"installed": True}}), "missing required field `spec`"),
        (gzip.compress(WHOLE)[:-9], "cannot read the environment"),
        (lockfile({}, [A]), f"expected the spec of every root in .*, found none for {A}"),
        (lockfile({A: {"name": "a"}}, [A]), rf"concrete_specs\['{A}'\] in .*, found: Object missing"),
        (lockfile({A: node("a", A, version=1.0)}, [A]), r"Expected `str`, got `float`"),
        (lockfile({A: node("a", A, dependencies=[{"name": 1}])}, [A]), r"concrete_specs\['a+'\]"),
        (lockfile({A: node("a", A, dependencies=[{"name": "b"}])}, [A]), "missing required field `hash`"),
        (lockfile({A: node("a", A, parameters=[])}, [A]), r"concrete_specs\['a+'\]"),
        (lockfile({A: node("a", A, build_spec={"name": "a"})}, [A]), "missing required field `hash`"),
        (lockfile({A: node("a", A, dependencies=[edge("b", B, [], [])])}, [A]),
         f"expected every dependency in .*, found none for b/{B}, which a/{A} depends on"),
        (spec_file([node("a", A, dependencies=[edge("b", B, [], [])])]), f"found none for b/{B}"),
        ({"spec": {"_meta": {"version": 10**30}, "nodes": [node("a", A)]}}, "Expected `int` <= 999"),
        (lockfile({}, [], _meta={"file-type": "spack-lockfile", "specfile-version": 10**30}), "Expected `int` <= 999"),
        (spec_file([{**node("a", A), "hash": None}]), r"spec.nodes\[0\].*missing required field `hash`"),
        (lockfile({"k": node("a", A), "l": node("a", A)}, ["k", "l"]),
         f"one key for each hash in .*, found k and l for {A}"),
        (lockfile(CYCLE, [A]), "expected dependencies without a cycle in .*, found "),
        (lockfile({A: node("a", A, build_spec={"name": "a", "hash": A})}, [A]),
         f"without a cycle in .*, found {A} > {A}"),
        (lockfile({A: node("a", A, build_spec={"name": "a", "hash": B}), B: node("a", B, build_spec={"hash": A})}, [A]),
         f"expected build specs without a cycle in .*, found {A} > {B} > {A}"),
        (lockfile({A: node("a", A, build_spec={"hash": B}), B: node("b", B, build_spec={"hash": B})}, [A]),
         f"found {A} > {B} > {B}"),
        (lockfile({A: node("a", A, external=[])}, [A], include_concrete=[]), "expected the specs of an environment"),
    ],
)  # fmt: skip
def test_what_is_no_environment_is_an_error(content: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        read(content, tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize("is_packed", [True, False])
def test_no_more_is_read_than_an_environment_may_have(
    is_packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cachestats.environment.MAX_BYTES", 1000)
    content = b" " * 1001
    with pytest.raises(SourceError, match="it has more than 1,000 bytes"):
        read(gzip.compress(content) if is_packed else content, tmp_path)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/dev/zero", "not a regular file"),
        ("/", "a folder without spack.lock or .spack-db/index.json"),
        ("a\0b", "null"),
        ("no/such/file", "No such file or directory"),
    ],
)
def test_what_is_no_file_is_no_environment(path: str, words: str) -> None:
    with pytest.raises(SourceError, match=f"cannot read the environment .*{words}"):
        cs.read_environment(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "spack.lock")
    for path in (tmp_path, tmp_path / "spack.lock"):
        with pytest.raises(SourceError, match="not a regular file"):
            cs.read_environment(path)


def test_a_path_is_needed() -> None:
    with pytest.raises(ArgumentError, match=r"found none\nhint: pass a spack\.lock"):
        cs.read_environment()


@pytest.mark.slow
def test_environments_of_the_corpus_have_what_a_plain_reading_finds() -> None:
    """In a real lockfile every node is reached, none is missing, and what is not external is a spec."""
    paths = [ROOT / "data" / "developer-tools.spack.lock.gz"]
    paths += [*(CORPUS / "environments").glob("*.lock"), *(CORPUS / "mirrors").glob("*/*/spack.lock")]
    for path in paths:
        content = path.read_bytes()
        found = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
        environment = cs.read_environment(path)
        nodes = found["concrete_specs"]
        specs = sorted((one["name"], key) for key, one in nodes.items() if "external" not in one)
        assert environment.specs.select("package", "hash").rows() == specs
        roots = {root["hash"] for root in found["roots"]}
        assert environment.specs["is_root"].to_list() == [key in roots for _, key in specs]
        edges = {(key, one["hash"]) for _, key in specs for one in nodes[key].get("dependencies", [])}
        assert environment.dependencies.select(HASHES).rows() == sorted(edges)
        for (key, needed), version in zip(sorted(edges), environment.dependencies["dependency_version"], strict=True):
            assert version == nodes[needed]["version"], key
        assert {key: json.loads(one) for key, one in environment.nodes.items()} == nodes
        assert environment.spack == found["spack"]["version"]


def test_the_cases_give_what_is_right() -> None:
    in_corpus("cases")
    mark = cs.read_environment(CORPUS / "cases" / "byte_order_mark.spack.lock")
    assert mark.specs.is_empty()
    assert len(mark.nodes) == 1, "an external glibc"
    old = cs.read_environment(CORPUS / "cases" / "v3_build_hash_a.spack.lock")
    names = dict(old.specs.select("hash", "package").rows())
    edges = [(names[owner], names[needed]) for owner, needed in old.dependencies.select(HASHES).rows()]
    assert sorted(edges) == [("bzip2", "diffutils"), ("diffutils", "libiconv")]
    older = cs.read_environment(CORPUS / "cases" / "v2_build_hash_edges.spack.lock")
    names = dict(older.specs.select("hash", "package").rows())
    edges = [(names[owner], names[needed]) for owner, needed in older.dependencies.select(HASHES).rows()]
    assert sorted(edges) == [("libtool", "m4"), ("libvterm", "libtool"), ("m4", "libsigsegv")]
    spliced = cs.read_environment(CORPUS / "cases" / "spliced.spack.lock")
    assert spliced.specs["package"].to_list() == ["hdf5", "zlib-ng"]
    installed = cs.read_environment(CORPUS / "oci" / "installed")
    assert (installed.specs.height, installed.kind) == (9, "database")


@pytest.mark.slow
def test_specs_of_lockfiles_are_as_on_the_sites_pages(corpus: cs.Dataset) -> None:
    pages_tell = ["package", "version", "hash", "platform", "os", "target", "compiler", "variants"]
    compared = 0
    pages = corpus.specs.collect()
    paths = sorted((CORPUS / "mirrors").glob("*/*/spack.lock"))
    for path in paths:
        snapshot, stack = path.parts[-3:-1]
        specs = cs.read_environment(path).specs
        cached = pages.filter(snapshot=snapshot, stack=stack).select(pages_tell)
        ours = specs.filter(pl.col("hash").is_in(cached["hash"].implode())).select(pages_tell)
        assert ours.height == cached.height, "every spec of the stack is in its lockfile"
        assert ours.equals(cached)
        compared += ours.height
    assert len(paths) == 28
    assert compared > 7000


@pytest.mark.slow
def test_specs_and_dependencies_of_lockfiles_are_as_in_the_indices(indexed: cs.Dataset) -> None:
    compared = 0
    every, edges = indexed.specs.collect(), indexed.dependencies.collect()
    unknown = ["snapshot", "snapshot_date", "stack", "requirement", "size_bytes"]
    for path in sorted((CORPUS / "mirrors").glob("*/*/spack.lock")):
        snapshot, stack = path.parts[-3:-1]
        environment = cs.read_environment(path)
        cached = every.filter(snapshot=snapshot, stack=stack).drop(unknown)
        assert environment.specs.drop(unknown, "is_root").join(cached, on="hash", how="semi").equals(cached)
        theirs = edges.filter(snapshot=snapshot).join(cached, on="hash", how="semi").drop("snapshot")
        ours = environment.dependencies.join(cached, on="hash", how="semi").drop("snapshot")
        assert ours.equals(theirs)
        compared += ours.height
    assert compared > 50_000
