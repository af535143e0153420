"""Build-cache indices: equal to the site's pages that were made from them, in every layout, and what damage does."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

import cachestats as cs
from benchmarks.make_index import write_index
from cachestats.decode import FAULTS
from cachestats.parse.index import read_index
from cachestats.parse.nodes import compiler, dependency, parse_node
from cachestats.parse.records import Fragment
from cachestats.schema import TABLES
from conftest import CORPUS, in_corpus
from tests.support.datasets import OF_INDICES, column_bytes
from tests.support.indices import index
from tests.support.mirrors import DEFAULT, PACKAGE, A, G, build, layout_2
from tests.support.nodes import GCC, NO_COMPILER, OLD, edge, node


@pytest.mark.slow
@pytest.mark.parametrize("mirrors", ["mirrors", "mirrors-v3"])
def test_indices_give_the_bytes_that_the_pages_give(mirrors: str, corpus: cs.Dataset, tmp_path: Path) -> None:
    dataset = cs.build_dataset(CORPUS / mirrors, out=tmp_path / "dataset")
    found, pages = (column_bytes(one, OF_INDICES) for one in (dataset, corpus))
    columns = len(TABLES["specs"].columns) - len(OF_INDICES) + len(TABLES["variants"].columns)
    assert len(found) == columns * (5 if mirrors == "mirrors" else 1)
    assert found == {name: pages[name] for name in found}
    assert dataset.rejected.collect().is_empty()


def slow_dependencies(folder: Path) -> set[tuple[Any, ...]]:
    """Return the rows of `dependencies` by plain loops, for nodes of version 4 and later."""
    rows = set()
    for path in folder.rglob("index.json"):
        snapshot = path.relative_to(folder).parts[0]
        installs = json.loads(path.read_text())["database"]["installs"]
        for key, record in installs.items():
            if not record["in_buildcache"]:
                continue
            for one in record["spec"].get("dependencies", []):
                types, virtuals = one["parameters"]["deptypes"], one["parameters"]["virtuals"]
                needed = [kind in types for kind in ("build", "link", "run", "test")]
                provided = ",".join(sorted(virtuals)) or None
                end = installs[one["hash"]]["spec"]
                is_external = "external" in end
                words = slow_external(end) if is_external else None
                row = (snapshot, key, one["hash"], one["name"], end["version"], *needed, provided, is_external, words)
                rows.add(row)
    return rows


def slow_external(node: dict[str, Any]) -> str:
    """Return the text of an external whose variants need no quotes."""
    words = [f"{node['name']}@{node['version']}"]
    for name, value in sorted(node["parameters"].items()):
        if name.endswith("flags") or name == "ldlibs":
            continue
        if isinstance(value, bool):
            words.append(f"{'+' if value else '~'}{name}")
        else:
            values = value if isinstance(value, list) else [value]
            words.append(f"{name}={','.join(one[:7] if name == 'patches' else one for one in values)}")
    return " ".join([*words, f"prefix={node['external']['path']}"])


@pytest.mark.slow
def test_dependencies_are_those_of_a_slow_reader(tmp_path: Path) -> None:
    dataset = cs.build_dataset(in_corpus("mirrors"), out=tmp_path / "dataset")
    rows = dataset.dependencies.collect().rows()
    assert len(rows) == len(set(rows)) > 50_000
    assert set(rows) == slow_dependencies(CORPUS / "mirrors")


@pytest.mark.slow
def test_the_index_of_the_benchmark_is_whole(tmp_path: Path) -> None:
    in_corpus("mirrors")
    counts = write_index(tmp_path / "mirrors/develop", CORPUS, megabytes=15)
    assert counts["copies"] == 2
    tables = build(tmp_path)
    assert tables.specs.collect().height == counts["specs"] == tables.specs.collect()["hash"].n_unique()
    edges = tables.dependencies.collect()
    assert edges.height == counts["edges"]
    assert edges["is_external"].null_count() == 0, "every dependency is there"


def test_a_dependency_named_twice_is_one_and_what_is_missing_is_known_by_name(tmp_path: Path) -> None:
    edges = [
        edge("gcc", G, ["build"], ["cxx"]),
        edge("gcc", G, ["run"], ["c"]),
        edge("mpich", "m" * 32, ["link"], ["mpi"]),
    ]
    layout_2(tmp_path / "mirrors/develop", index({A: node("a", A, dependencies=edges), G: GCC}, cached={A}))
    assert build(tmp_path).dependencies.collect().rows() == [
        ("develop", A, G, "gcc", "14.2.0", True, False, True, False, "c,cxx", False, None),
        ("develop", A, "m" * 32, "mpich", None, False, True, False, False, "mpi", None, None),
    ]


@pytest.mark.parametrize("version", ["0.9", "0.9.2", "0.9.3"])
def test_old_databases_and_their_nodes_are_read(version: str, tmp_path: Path) -> None:
    old = {"version": "1.0", "compiler": {"name": "gcc", "version": "4.9"}, "arch": "linux-x86_64"}
    specs = {
        A: {"a": old | {"variants": {"shared": True}, "dependencies": {"b": "b" * 32, "c": {"hash": "c" * 32}}}},
        "b" * 32: {"b": OLD | NO_COMPILER},
    }
    layout_2(tmp_path / "mirrors/develop", index(specs, cached={*specs}, version=version))
    dataset = build(tmp_path)
    assert dataset.rejected.collect().is_empty()
    columns = ("package", "platform", "os", "target", "compiler", "variants", "spec_format")
    assert dataset.specs.select(columns).collect().rows()[0] == (
        *("a", "spack09", "unknown", "linux-x86_64", "gcc@4.9", "+shared", 1),
    )
    assert dataset.dependencies.select("hash", "dependency_hash", "is_build", "is_link").collect().rows() == [
        (A, "b" * 32, True, True),
        (A, "c" * 32, False, False),
    ]


def test_nodes_of_version_6_are_read(tmp_path: Path) -> None:
    package = PACKAGE | {"provided_virtuals": ["zlib-api"], "annotations": {"original_specfile_version": 6}}
    layout_2(tmp_path / "mirrors/develop", index({A: package, G: GCC}, cached={A}, version="9"))
    dataset = build(tmp_path)
    assert dataset.rejected.collect().is_empty()
    assert dataset.specs.select("package", "compiler", "spec_format").collect().rows() == [("a", "gcc@14.2.0", 6)]
    assert dataset.snapshots.select("generation", "reuse_rules").collect().row(0) == ("db9", "1.1")


def test_the_dependencies_of_no_specs_are_known(tmp_path: Path) -> None:
    layout_2(tmp_path / "mirrors/develop/e4s", index({}, cached=set(), version="7"))
    dataset = build(tmp_path)
    facts = dataset.snapshots.select("generation", "reuse_rules", "has_dependencies", "num_specs")
    assert facts.collect().row(0) == ("db7", "0.21", True, 0)
    assert dataset.inputs.select("generation", "num_specs").collect().row(0) == ("db7", 0)
    assert cs.holes(dataset).is_empty()


def test_cycles_and_spliced_specs_are_specs_like_others(tmp_path: Path) -> None:
    """A spliced spec names in `build_spec` the one that was built; what it depends on is its own."""
    other = "b" * 32
    a = node("a", A, dependencies=[edge("b", other, ["link"], [])])
    b = node("b", other, dependencies=[edge("a", A, ["run"], [])]) | {"build_spec": {"name": "b", "hash": "c" * 32}}
    layout_2(tmp_path / "mirrors/develop", index({A: a, other: b}, cached={A, other}))
    dataset = build(tmp_path)
    assert dataset.specs.collect()["package"].to_list() == ["a", "b"]
    assert dataset.dependencies.select("hash", "dependency_hash").collect().rows() == [(A, other), (other, A)]


def test_only_cached_specs_are_taken_and_externals_left_out(tmp_path: Path) -> None:
    external = node("glibc", "e" * 32, external={"path": "/usr"})
    stub = node("cmake", "c" * 32)
    layout_2(
        tmp_path / "mirrors/develop", index({A: PACKAGE, "e" * 32: external, "c" * 32: stub}, cached={A, "e" * 32})
    )
    assert build(tmp_path).specs.collect()["package"].to_list() == ["a"]


def test_nodes_of_version_1_are_read(tmp_path: Path) -> None:
    layout_2(tmp_path / "mirrors/develop", index({A: {"a": OLD | NO_COMPILER}}, cached={A}, version="5"))
    (row,) = build(tmp_path).specs.collect().rows(named=True)
    assert (row["package"], row["compiler"], row["target"]) == ("a", "intel-oneapi-compilers@2024.2.1", "zen4")


@pytest.mark.parametrize(("version", "sign"), [("7", "="), ("8", ":="), (9, ":="), ("10", ":=")])
def test_lists_are_signed_as_the_database_is_old(version: Any, sign: str, tmp_path: Path) -> None:
    parameters = {"api": "v2", "libs": ["shared", "static"], "patches": ["0b8a3b8c1d2e3f"], "pic": False, "mpi": True}
    package = PACKAGE | {"parameters": parameters}
    layout_2(tmp_path / "mirrors/develop", index({A: package}, cached={A}, version=version))
    dataset = build(tmp_path)
    assert dataset.variants.select("variant", "value", "sign").collect().rows() == [
        ("api", "v2", "="),
        ("libs", "shared", sign),
        ("libs", "static", sign),
        ("mpi", "true", "+"),
        ("patches", "0b8a3b8", sign),
        ("pic", "false", "~"),
    ]
    assert dataset.specs.collect()["variants"].to_list() == ["api=v2 libs=shared,static +mpi patches=0b8a3b8 ~pic"]


BROKEN = {"spec": None, "in_buildcache": True}


@pytest.mark.parametrize(
    ("data", "rules", "kept"),
    [
        (index({A: PACKAGE}, cached={A}, version="12"), [("version", "warning", 0)], 1),
        (index({A: PACKAGE}, cached={A}, version=8), [], 1),
        (index({A: PACKAGE, "b" * 32: None}, cached={A, "b" * 32}), [("record", "error", 1)], 1),
        (index({A: PACKAGE, "b" * 32: {"name": "b"}}, cached={A, "b" * 32}), [("record", "error", 1)], 1),
        (index({A: PACKAGE, "b" * 32: node("b", "b", version=1.0)}, cached={A, "b" * 32}), [("record", "error", 1)], 1),
        (
            index({A: PACKAGE, "b" * 32: node("b", "b", dependencies=[{"name": "gcc"}])}, cached={A, "b" * 32}),
            [("record", "error", 1)],
            1,
        ),
        (DEFAULT.replace(b'"virtuals": ["c"]', b'"virtuals": null'), [("record", "error", 1)], 1),
        (DEFAULT.replace(b'{"spec": {"name": "gcc"', b'{"sepc": {"name": "gcc"'), [("record", "error", 1)], 1),
        (index({A: PACKAGE, "b" * 32: node("", "b")}, cached={A, "b" * 32}), [("record", "error", 1)], 1),
        (index({A: PACKAGE}, cached={A}), [], 1),  # neither its dependency nor its compiler is there
        (DEFAULT[:-50], [("index", "error", None)], 0),
        (b"", [("index", "error", None)], 0),
        (b"[" * 100_000, [("index", "error", None)], 0),
    ],
)
def test_damage_is_a_row_and_the_rest_is_kept(
    data: bytes, rules: list[tuple[str, str, int | None]], kept: int, tmp_path: Path
) -> None:
    layout_2(tmp_path / "mirrors/develop", data)
    dataset = build(tmp_path, max_rejected=1)
    rejected = dataset.rejected.collect()
    assert rejected.select("rule", "severity", "num_specs").rows() == rules
    assert all(rejected["snapshot"] == "develop")
    assert dataset.specs.collect().height == kept


def compact(value: object) -> bytes:
    """Return JSON without spaces, as Spack writes indices."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def rows_of(data: bytes) -> tuple[list[Any], ...]:
    """Return what is read from an index."""
    found = read_index(data, origin="index", snapshot="develop", stack="root")
    assert isinstance(found, Fragment)
    edges = sorted(found.dependencies.to_pylist(), key=lambda row: (row["hash"], row["dependency_hash"]))
    return found.pages, found.records.to_pylist(), edges, found.findings


def many_specs() -> dict[str, Any]:
    """Return nodes for several rounds of reading, by hash, some of them faulty."""
    libcs = {letter * 32: node("glibc", letter * 32, version=letter, external={"path": "/usr"}) for letter in "wxyz"}
    specs = {A: PACKAGE, G: GCC, "h" * 32: node("llvm", "h" * 32), **libcs}
    specs["u" * 32] = node("stub", "u" * 32, dependencies=5)
    for number in range(600):
        key = f"{number:x}".rjust(32, "q")
        edges = [
            edge("glibc", "xyzw"[number % 4] * 32, ["link"], ["libc"]),
            edge("a", "gghi"[number % 4] * 32, ["build"], ["fortran", "cxx", "c"][: number % 3]),
            edge("b", "hgih"[number // 4 % 4] * 32, ["build"], ["fortran", "c", "cxx"][: 1 + number // 4 % 3]),
            edge("c", A, ["run"], []),
            edge("d", "u" * 32, ["run"], []),
        ]
        edges += [edge("a", A, ["link"], ["mpi"]), edge("glibc", "w" * 32, ["link"], ["libc"])][: number % 5]
        edges += [edge("", "9" * 32, ["test"], ["},{", "\u00e9"])] if number == 290 else []
        edges += [edge("x", "8" * 32, ["run"], []), {"name": "y"}] if number == 200 else []
        specs[key] = node(f"p{number % 7}", key, dependencies=edges, **(NO_COMPILER if number % 11 == 0 else {}))
    specs["i" * 32] = node("aocc", "i" * 32, version="")
    faults: dict[str, dict[str, Any]] = {"r": {"version": ""}, "s": {"annotations": None}, "t": {"arch": "x"}}
    for letter, fields in faults.items():
        specs[letter * 32] = node("broken", letter * 32, **fields)
    return specs


def test_records_that_are_read_together_are_those_that_are_read_singly(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = many_specs()
    data = index(specs, cached={*specs} - {"w" * 32, "u" * 32})
    together = rows_of(compact(json.loads(data)))
    assert len(together[1]) == 602
    assert len(together[3]) == 5
    monkeypatch.setattr("cachestats.parse.index._Reader._read_together", _refuse)
    assert rows_of(data) == together


def test_compilers_and_libcs_of_many_specs_are_those_of_one_after_the_other() -> None:
    specs = many_specs()
    _, records, _, _ = rows_of(compact(json.loads(index(specs, cached={*specs} - {"w" * 32, "u" * 32}))))
    nodes = {}
    for key, spec in specs.items():
        with suppress(*FAULTS):
            nodes[key] = parse_node(compact(spec))
    for row in records:
        edges = [dependency(edge) for edge in nodes[row["hash"]].dependencies]
        assert row["compiler"] == compiler(nodes[row["hash"]], edges, nodes.get)
        libcs = [nodes[edge.hash].version for edge in edges if "libc" in edge.virtuals]
        assert row["libc_version"] == min(libcs, default=None)
    assert {row["compiler"] for row in records} >= {None, "gcc@14.2.0", "llvm@1.0", "aocc@"}


def _refuse(*_: object) -> None:
    raise msgspec.ValidationError
