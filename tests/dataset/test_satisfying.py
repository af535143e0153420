"""Specs that satisfy an expression: as an independent reading has it, and as Spack itself found it."""

from __future__ import annotations

import hashlib
import json
import random
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cachestats as cs
from cachestats.dataset.expressions import Alternatives
from cachestats.errors import ArgumentError
from conftest import in_corpus
from tests.support.indices import Record, build_index, edge_to, node_record
from tests.support.satisfying import Installs, Wanted, is_cached, satisfying, target_of, text_of, values_of

PACKAGES = ["hdf5", "zlib", "mpich", "gcc", "nag", "cmake"]
COMPILERS = ["gcc", "nag"]
VERSIONS = ["1", "1.2", "1.10", "1.10.1", "2.0"]
RANGES = ["1", "1.2:", ":1.10", "=1.10", "1.2:1.10", "2,=1"]
TARGETS = ["x86_64", "x86_64_v3", "zen4"]
VIRTUALS = ["mpi", "blas", "c", "cxx"]
DEPTYPES = [["build"], ["link"], ["build", "link"], ["run"], ["build", "link", "run"]]
SNAPSHOT = "develop"
SNAPSHOTS_OF_CORPUS = [
    "develop-2024-03-17", "develop-2024-04-14", "develop-2024-06-02", "develop-2025-03-09", "develop-2025-05-25",
]  # fmt: skip


def found(dataset: cs.Dataset, text: str, snapshot: str = SNAPSHOT) -> set[str]:
    """Return the hashes of the specs in the snapshot that satisfy an expression."""
    codes = dataset.satisfying(Alternatives.parse(text), (snapshot,))["hash"]
    names = dict(dataset.names.of_hashes(codes, (snapshot,)).iter_rows())
    return {names[code] for code in codes}


@st.composite
def records(draw: st.DrawFn, database: str) -> list[Record]:
    """Return the records of a small cache with long chains; some are externals, some are not cached or missing."""
    made: list[Record] = []
    for number in range(draw(st.integers(4, 9))):
        ends = draw(st.sets(st.integers(0, number - 1), max_size=2)) if number else set()
        if number and draw(st.integers(0, 3)):
            ends.add(number - 1)
        edges = [
            edge_to(
                made[end],
                *draw(st.sampled_from(DEPTYPES)),
                virtuals=tuple(draw(st.sets(st.sampled_from(VIRTUALS), max_size=2).map(sorted))),
            )
            for end in sorted(ends)
        ]
        parameters: dict[str, Any] = {"shared": draw(st.booleans())}
        if draw(st.booleans()):
            parameters["api"] = sorted(draw(st.sets(st.sampled_from(["a", "b", "c d", "e'f"]), min_size=1)))
        if draw(st.booleans()):
            parameters["cflags"] = draw(st.lists(st.sampled_from(["-O3", "-g"]), unique=True))
        compiler = {"name": draw(st.sampled_from(COMPILERS)), "version": draw(st.sampled_from(VERSIONS))}
        more: dict[str, Any] = {"compiler": compiler}
        if database == "8":
            form = draw(st.sampled_from([4, 5]))
            older = {"compiler": f"{compiler['name']}@{compiler['version']}"} if form == 4 else {}
            more = {"annotations": {"original_specfile_version": form, **older}}
        if draw(st.integers(0, 7)) == 0:
            more["external"] = "/usr"
            edges = []
        made.append(
            node_record(
                draw(st.sampled_from(PACKAGES)), "abcdefghi"[number] * 32, *edges,
                version=draw(st.sampled_from(VERSIONS)), os=draw(st.sampled_from(["rhel9", "rhel8"])),
                platform=draw(st.sampled_from(["linux", "linux", "darwin"])),
                target=draw(st.sampled_from(TARGETS)), namespace=draw(st.sampled_from(["builtin", "ours"])),
                parameters=parameters, cached=draw(st.integers(0, 7)) > 0, **more,
            )
        )  # fmt: skip
    return [one for one in made if one[1]["in_buildcache"] or draw(st.integers(0, 3)) > 0]


@st.composite
def wanted(draw: st.DrawFn, depth: int = 2) -> Wanted:
    """Return an expression, as `text_of` writes it; most are about dependencies."""
    made: Wanted = {}
    kinds = ["name", "versions", "variants", "flags", "platform", "os", "target", "namespace", "hash"]
    for kind in sorted(draw(st.sets(st.sampled_from(kinds), min_size=not depth, max_size=2))):
        if kind == "name":
            made[kind] = draw(st.sampled_from([*PACKAGES, *VIRTUALS]))
        elif kind == "versions":
            made[kind] = draw(st.sampled_from(RANGES))
        elif kind == "variants":
            lists = st.sets(st.sampled_from(["a", "b", "c d"]), min_size=1).map(sorted) | st.just(["*"])
            api = st.tuples(st.just("api"), st.sampled_from(["=", ":="]), lists)
            made[kind] = [
                draw(st.tuples(st.just("shared"), st.sampled_from(["+", "~", "++", "~~"]), st.just([])) | api)
            ]
        elif kind == "flags":
            made[kind] = {"cflags": draw(st.sampled_from(["-O3", "-g", "-g -O3"]))}
        elif kind == "platform":
            made[kind] = draw(st.sampled_from(["linux", "darwin"]))
        elif kind == "os":
            made[kind] = draw(st.sampled_from(["rhel9", "rhel8"]))
        elif kind == "target":
            made[kind] = draw(st.sampled_from(["x86_64", "x86_64_v2:", ":x86_64_v3", "zen4,x86_64"]))
        elif kind == "namespace":
            made[kind] = draw(st.sampled_from(["builtin", "ours"]))
        else:
            made[kind] = draw(st.sampled_from(["a", "bbb", "cc", "d" * 20, f"{'d' * 20}e"]))
    if depth and (not made or draw(st.integers(0, 3))):
        made["dependencies"] = draw(st.lists(dependencies(depth), min_size=1, max_size=2))
    if made.get("name") in VIRTUALS:
        made.pop("versions", None)
    return made


@st.composite
def dependencies(draw: st.DrawFn, depth: int) -> Wanted:
    """Return a condition on dependencies, in half of the cases only a name."""
    name = st.fixed_dictionaries({"name": st.sampled_from(PACKAGES)})
    one: Wanted = {"sigil": draw(st.sampled_from(["%", "^"])), "node": draw(name | wanted(0))}
    for key, values in (("virtuals", VIRTUALS), ("deptypes", ["build", "link", "run"])):
        if draw(st.integers(0, 3)) == 0:
            one[key] = sorted(draw(st.sets(st.sampled_from(values), min_size=1, max_size=2)))
    if depth > 1 and draw(st.integers(0, 3)) == 0:
        one["when"] = draw(wanted(0).filter(lambda made: "variants" not in made and "flags" not in made))
    return one


@pytest.mark.slow
@pytest.mark.parametrize("database", ["7", "8"])
@given(data=st.data())
@settings(max_examples=60)
def test_generated_specs_satisfy_what_an_independent_reading_says(database: str, data: st.DataObject) -> None:
    made = data.draw(records(database))
    if not any(record["in_buildcache"] for _, record in made):
        return
    with tempfile.TemporaryDirectory() as folder:
        dataset = build_index(Path(folder), *made, database=database, snapshot=SNAPSHOT)
        is_spack_1 = dataset.snapshots.collect()["reuse_rules"].item() == "1.1"
        for asked in data.draw(st.lists(wanted(), min_size=12, max_size=12)):
            expected = satisfying(Installs(made), asked, is_spack_1=is_spack_1)
            try:
                assert found(dataset, text_of(asked)) == expected, text_of(asked)
            except ArgumentError:  # a name that no spec has
                assert not expected, text_of(asked)


@pytest.mark.slow
def test_the_corpus_satisfies_what_spack_says(indexed: cs.Dataset) -> None:
    oracle = json.loads(in_corpus("oracle/find.json").read_text())
    snapshots = ("develop-2024-06-02",)
    for text, expected in oracle.items():
        codes = indexed.satisfying(Alternatives.parse(text), snapshots)["hash"]
        names = dict(indexed.names.of_hashes(codes, snapshots).iter_rows())
        hashes = sorted(names[code] for code in codes)
        digest = hashlib.sha256("\n".join(hashes).encode()).hexdigest()
        assert (text, len(hashes), digest) == (text, expected["specs"], expected["sha256"])


def conditions_of(installs: Installs, node: dict[str, Any], choose: random.Random) -> Wanted:
    """Return an expression about one node that it satisfies, unless by chance a value is that of another."""
    other = installs[choose.choice([*installs])]["spec"] if choose.random() < 0.1 else node
    made: Wanted = {"name": node["name"]} if choose.random() < 0.8 else {}
    kinds = ["versions", "variants", "platform", "os", "target", "namespace", "hash"]
    for kind in choose.sample(kinds, choose.randint(not made, 2)):
        if kind == "versions":
            versions = [one["spec"]["version"] for one in installs.values() if one["spec"]["name"] == node["name"]]
            if "name" in made and all(re.fullmatch(r"\d+(\.\d+)*", one) for one in versions):
                begun = ".".join(node["version"].split(".")[: choose.randint(1, 3)])
                made[kind] = choose.choice([begun, f"{begun}:", f":{begun}", f"={choose.choice(versions)}"])
        elif kind == "variants":
            plain = {
                name: sorted(values)
                for name, values in values_of(other).items()
                if name != "patches" and all(re.fullmatch(r"[\w.+-]+", one) for one in values)
            }
            name = choose.choice([*plain])
            sign = {"true": "+", "false": "~"}.get(plain[name][0], choose.choice(["=", "=", ":="]))
            signs = {"+": ["+", "++"], "~": ["~", "~~"]}.get(sign, [sign])
            made[kind] = [(name, choose.choice(signs), plain[name][: 2 if sign == ":=" else 1])]
        elif kind == "target":
            target = target_of(other)
            made[kind] = choose.choice([target, f"{target}:", f":{target}"])
        elif kind == "hash":
            made[kind] = other["hash"][: choose.choice([1, 2, 7, 13, 32])]
        else:
            made[kind] = {**other["arch"], "os": other["arch"]["platform_os"], **other}[kind]
    return made or {"name": node["name"]}


def asked_of(installs: Installs, choose: random.Random) -> Wanted:
    """Return an expression that a spec of an index satisfies, nearly always."""
    node = installs[choose.choice([key for key in installs if is_cached(installs, key)])]["spec"]
    made = conditions_of(installs, node, choose)
    for _ in range(choose.choice([0, 1, 1, 2]) if node.get("dependencies") else 0):
        edge, sigil = choose.choice(node["dependencies"]), choose.choice("%^^")
        while sigil == "^" and (below := installs[edge["hash"]]["spec"].get("dependencies")) and choose.random() < 0.6:
            edge = choose.choice(below)
        one: Wanted = {"sigil": sigil, "node": conditions_of(installs, installs[edge["hash"]]["spec"], choose)}
        for key in ("virtuals", "deptypes"):
            if edge["parameters"][key] and choose.random() < 0.2:
                one[key] = [choose.choice(edge["parameters"][key])]
        made.setdefault("dependencies", []).append(one)
    if "compiler" in node and choose.random() < 0.3:
        compiler = {"name": node["compiler"]["name"], "versions": node["compiler"]["version"]}
        made.setdefault("dependencies", []).append({"sigil": "%", "node": compiler})
    return made


@pytest.mark.slow
@pytest.mark.parametrize("snapshot", SNAPSHOTS_OF_CORPUS)
def test_the_corpus_satisfies_what_an_independent_reading_says(snapshot: str, indexed: cs.Dataset) -> None:
    records = json.loads(in_corpus(f"mirrors/{snapshot}/build_cache/index.json").read_text())["database"]["installs"]
    installs, choose = Installs(records), random.Random(snapshot)
    assert found(indexed, "*", snapshot) == {key for key in installs if is_cached(installs, key)}
    (rules,) = indexed.snapshots.filter(snapshot=snapshot).collect()["reuse_rules"]
    numbers = []
    for _ in range(40):
        asked = asked_of(installs, choose)
        expected = satisfying(installs, asked, is_spack_1=rules == "1.1")
        assert found(indexed, text_of(asked), snapshot) == expected, text_of(asked)
        numbers.append(len(expected))
    assert sum(map(bool, numbers)) > 20


@pytest.mark.parametrize(("database", "number"), [("7", 2), ("8", 1)])
def test_a_dependency_below_is_reached_by_link_and_run_since_spack_1(
    database: str, number: int, tmp_path: Path
) -> None:
    zlib = node_record("zlib", "a" * 32)
    mpich = node_record("mpich", "b" * 32, edge_to(zlib))
    hdf5 = node_record("hdf5", "c" * 32, edge_to(mpich, "build", virtuals=("mpi",)))
    dataset = build_index(tmp_path, zlib, mpich, hdf5, database=database)
    assert len(found(dataset, "^zlib")) == number
    assert found(dataset, "not ^zlib") == {"a" * 32, "b" * 32, "c" * 32} - found(dataset, "^zlib")


def test_every_character_of_a_hash_counts(tmp_path: Path) -> None:
    cached, missing = node_record("zlib", "c" * 32), node_record("mpich", "d" * 32)
    dataset = build_index(tmp_path, cached, node_record("hdf5", "e" * 32, edge_to(cached), edge_to(missing)))
    for end, itself in (("c", {"c" * 32}), ("d", set[str]())):
        for prefix in (end * 12, end * 13, end * 31, end * 32):
            assert (found(dataset, f"/{prefix}"), found(dataset, f"^/{prefix}")) == (itself, {"e" * 32})
            assert not found(dataset, f"/{prefix[:-1]}z") | found(dataset, f"^/{prefix[:-1]}z")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("hdf", "a package or virtual package of the specs in develop, found 'hdf'", "try hdf5"),
        ("hdf5 ^zlibb", "a package or virtual package of the specs in develop, found 'zlibb'", "try zlib"),
        ("hdf5+sharde", "a variant of hdf5 in develop, found 'sharde'", "try shared"),
        ("%[virtuals=mpii] mpich", "a virtual package that a spec in develop depends on, found 'mpii'", "try mpi"),
        ("%gccc", "a compiler or direct dependency of the specs in develop, found 'gccc'", "there is hdf5, mpi"),
        ("os=rhel99", "a value of os of the specs in develop, found 'rhel99'", "try rhel9"),
        ("namespace=builtn", "a value of namespace of the specs in develop, found 'builtn'", "try builtin"),
        ("target=zen44", "a target that archspec or the dataset knows, found 'zen44'", "try zen4"),
        (
            "target=zen4:x86_64_v2",
            "a range of targets from an ancestor to one that runs its binaries, found zen4:x86_64_v2",
            "try target=x86_64_v2:zen4",
        ),
        ("hdf5 ^mpi@3", "the virtual package mpi without versions, found @3", "caches do not record"),
        ("mpi@3", "the virtual package mpi without versions, found @3", "caches do not record"),
    ],
)
def test_names_that_no_spec_has_are_refused(text: str, message: str, hint: str, tmp_path: Path) -> None:
    mpich = node_record("mpich", "b" * 32, os="rhel9")
    zlib = node_record("zlib", "a" * 32, os="rhel9")
    edges = [edge_to(mpich, virtuals=("mpi",)), edge_to(zlib)]
    hdf5 = node_record("hdf5", "c" * 32, *edges, os="rhel9", parameters={"shared": True})
    dataset = build_index(tmp_path, mpich, zlib, hdf5)
    with pytest.raises(ArgumentError) as raised:
        cs.find(dataset, text)
    assert raised.value.exit_code == 2
    assert raised.value.message == f"expected {message}"
    assert str(raised.value.hint).startswith(hint)
    assert found(dataset, "/c") == {"c" * 32}
    assert not found(dataset, "/d")
