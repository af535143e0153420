"""What would hit before anything is concretized: against Spack's solver, and against plain loops over the nodes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import cachestats as cs
from cachestats.analysis.roots import summary
from cachestats.errors import ArgumentError
from cachestats.targets import runnable
from conftest import in_corpus
from tests.support.indices import Record, build_index, edge_to, glibc, needs_libc, node_record
from tests.support.site import page, write
from tests.support.site import spec as site_spec

SNAPSHOT = "develop-2024-06-02"
OF_SOLVER = cs.Host("x86_64_v4", os="debian12", libc="glibc@2.36")
RECIPES_CHANGED = {"gotcha", "py-ruamel-yaml-clib"}  # since the cache was filled, so that the solver took neither

VERSIONS = ("1.2", "1.2.3", "1.10", "2.0", "develop")  # in Spack's order
TARGETS = ("x86_64_v2", "x86_64_v3", "zen4", "neoverse_v1")
HOST = cs.Host("x86_64_v3", os="rhel9", libc="glibc@2.34")


def test_all_roots_of_an_environment_are_available_as_for_spacks_solver(indexed: cs.Dataset) -> None:
    asked = cs.read_roots(in_corpus("environments/spack.yaml"))
    concrete = cs.read_environment(in_corpus("environments/fresh.spack.lock"))
    assert {root.text for root in asked} == {root.text for root in concrete.roots}
    for roots in (asked, concrete):
        found = cs.match_roots(roots, indexed.at(SNAPSHOT), host=OF_SOLVER)
        counts = summary(found)
        assert (counts.available, counts.roots) == (10, 10)
        assert counts.added_specs == found["added_specs"].sum() == 54
    reused = cs.read_environment(in_corpus("environments/reuse.spack.lock")).specs.filter("is_root")
    best = dict(found.select("package", "version").iter_rows())
    assert best == dict(reused.select("package", "version").iter_rows())


def test_what_is_available_is_what_spacks_solver_took(indexed: cs.Dataset) -> None:
    taken = json.loads(in_corpus("oracle/solver.json").read_text())
    found = cs.match_roots([*taken], indexed.at(SNAPSHOT), host=OF_SOLVER)
    differs = {
        root for root, status in found.select("root", "status").iter_rows()
        if (status == "reusable") != taken[root]["root_from_cache"]
    }  # fmt: skip
    assert differs == RECIPES_CHANGED


class Cache:
    """A generated cache, and plain answers about it."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        self.records: list[Record] = []
        for number in range(40):
            libc = glibc(draw.choice(["2.28", "2.28", "2.35"]))
            name = draw.choice("abc")
            parameters: dict[str, Any] = {"mpi": draw.random() < 0.7, "shared": draw.random() < 0.5}
            if draw.random() < 0.6:
                parameters["api"] = draw.choice(["v1", "v2"])
            below = draw.sample(self.records, min(len(self.records), draw.randrange(3)))
            edges = [edge_to(one, draw.choice(["build", "link", "run"])) for one in below]
            self.records.append(
                node_record(
                    name, f"{chr(97 + number % 26)}{'234567'[number // 26]}{name}", needs_libc(libc), *edges,
                    version=draw.choice(VERSIONS), target=draw.choice(TARGETS), parameters=parameters,
                    compiler={"name": draw.choice(["gcc", "clang"]), "version": "12.1"},
                )
            )  # fmt: skip
        self.nodes = {digest: record["spec"] for digest, record in self.records}
        self.libcs = [glibc("2.28"), glibc("2.35")]

    def below(self, digest: str, *deptypes: str) -> set[str]:
        """Return what is reached from a node by edges of some types."""
        reached: set[str] = set()
        waiting = [digest]
        while waiting:
            for edge in self.nodes[waiting.pop()]["dependencies"]:
                other = edge["hash"]
                if other in self.nodes and other not in reached and {*deptypes} & {*edge["parameters"]["deptypes"]}:
                    reached.add(other)
                    waiting.append(other)
        return reached

    def values(self, digest: str) -> dict[str, Any]:
        parameters = self.nodes[digest]["parameters"]
        return {name: parameters[name] for name in ("mpi", "shared", "api") if name in parameters}

    def fulfils(self, digest: str, kind: str, wanted: Any) -> bool:
        spec = self.nodes[digest]
        if kind == "package":
            return bool(spec["name"] == wanted)
        if kind == "version":
            return bool(spec["version"] == wanted or spec["version"].startswith(f"{wanted}."))
        if kind == "variant":
            return bool(self.values(digest).get(wanted[0]) == wanted[1])
        if kind == "compiler":
            return bool(spec["compiler"]["name"] == wanted)
        if kind == "target":
            return bool(spec["arch"]["target"] == wanted)
        below = self.below(digest, "build", "link", "run")
        return any(self.fulfils(other, "package", wanted) for other in below)


def random_root(draw: random.Random) -> tuple[str, list[tuple[str, Any]]]:
    """Return a root as text, and its conditions in the order in which they are applied."""
    name = draw.choice("abcd")
    text, conditions = name, [("package", name)]
    if draw.random() < 0.5:
        version = draw.choice(["1", "1.2", "2", "3"])
        text, conditions = f"{text}@{version}", [*conditions, ("version", version)]
    if draw.random() < 0.3:
        api = draw.choice(["v1", "v2", "v3"])
        text, conditions = f"{text} api={api}", [*conditions, ("variant", ("api", api))]
    if draw.random() < 0.5:
        mpi = draw.random() < 0.5
        text, conditions = f"{text} {'+' if mpi else '~'}mpi", [*conditions, ("variant", ("mpi", mpi))]
    if draw.random() < 0.3:
        text, conditions = f"{text} %gcc", [*conditions, ("compiler", "gcc")]
    if draw.random() < 0.3:
        target = draw.choice(TARGETS)
        text, conditions = f"{text} target={target}", [*conditions, ("target", target)]
    if draw.random() < 0.3:
        needed = draw.choice("abc")
        text, conditions = f"{text} ^{needed}", [*conditions, ("dependency", needed)]
    return text, conditions


def usual_values(cache: Cache, package: str) -> dict[str, Any]:
    found: dict[str, list[str]] = {}
    for digest, spec in cache.nodes.items():
        if spec["name"] == package:
            for name, value in cache.values(digest).items():
                found.setdefault(name, []).append(str(value).lower())
    return {name: min(set(values), key=lambda one: (-values.count(one), one)) for name, values in found.items()}


def quality(cache: Cache, digest: str, host: cs.Host | None) -> tuple[int, int, int]:
    spec = cache.nodes[digest]
    usual = usual_values(cache, spec["name"])
    unusual = sum(str(value).lower() != usual[name] for name, value in cache.values(digest).items())
    order = runnable(host.target) if host else ()
    target = spec["arch"]["target"]
    return -VERSIONS.index(spec["version"]), unusual, order.index(target) if target in order else len(order)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("host", [None, HOST])
def test_answers_agree_with_plain_loops(seed: int, host: cs.Host | None, tmp_path: Path) -> None:
    cache = Cache(seed)
    dataset = build_index(tmp_path, *cache.records, *cache.libcs, database="7", snapshot=SNAPSHOT)
    judged = cs.reusable(dataset, host=HOST)
    reused = {row[0] for row in judged.select("hash", "status").iter_rows() if row[1] in ("native", "usable")}
    draw = random.Random(seed)
    roots = [random_root(draw) for _ in range(60)]
    added: set[str] = set()
    statuses = set()
    for row, (text, conditions) in zip(
        cs.match_roots([text for text, _ in roots], dataset, host=host).iter_rows(named=True), roots, strict=True
    ):
        left, cause = [*cache.nodes], None
        for kind, wanted in conditions:
            left = [digest for digest in left if cache.fulfils(digest, kind, wanted)]
            cause = cause or (None if left else kind)
        available = left if host is None else [digest for digest in left if digest in reused]
        status = "missing" if not left else "reusable" if host and available else "cached"
        statuses.add(status)
        assert (row["root"], row["status"], row["num_cached"]) == (text, status, len(left))
        assert row["num_reusable"] == (None if host is None else len(available))
        if not available:
            obstacle = {(verdict[1], verdict[2]) for verdict in judged.select("hash", "status", "by").iter_rows()
                        if verdict[0] in left}  # fmt: skip
            assert (row["cause"] == cause) if cause else ((row["cause"], row["by"]) in obstacle)
            assert row["closure_specs"] is None
            continue
        best = min(available, key=lambda digest: (quality(cache, digest, host), digest))
        closure = {best, *cache.below(best, "link", "run")} & {*cache.nodes}
        assert (row["hash"], row["cause"], row["closure_specs"]) == (best, None, len(closure))
        assert row["added_specs"] == len(closure - added)
        added |= closure
    assert statuses == {"missing", "cached", *(["reusable"] if host else [])}


def test_ranks_are_those_of_the_answers_one_by_one(sample: cs.Dataset) -> None:
    roots = ["hdf5+mpi", "zlib-ng", "cmake@3.29:", "no-such-package", "py-numpy target=neoverse_v1"]
    for host in (None, OF_SOLVER):
        rates = cs.root_rates(roots, sample, host=host)
        for snapshot, available in rates.select("snapshot", "available_roots").iter_rows():
            assert summary(cs.match_roots(roots, sample.at(snapshot), host=host)).available == available
        by_stack = cs.root_rates(roots, sample.at(SNAPSHOT), by="stack", host=host)
        for stack, available in by_stack.select("stack", "available_roots").iter_rows():
            there = sample.at(SNAPSHOT).where(stack=stack)
            assert summary(cs.match_roots(roots, there, host=host)).available == available
        assert rates["available_roots"].is_sorted(descending=True)
        assert rates.get_column("roots").unique().to_list() == [len(roots)]


def test_a_subset_by_an_expression_has_only_its_specs(sample: cs.Dataset) -> None:
    there = sample.at(SNAPSHOT).where(spec="hdf5+mpi")
    found = cs.match_roots(["hdf5", "hdf5~mpi", "hdf5+mpi"], there)
    assert found["status"].to_list() == ["cached", "missing", "cached"]
    assert found["num_cached"].to_list() == [there.num_specs, 0, there.num_specs]


def test_no_stack_has_what_is_nowhere(sample: cs.Dataset) -> None:
    rates = cs.root_rates("no-such-package", sample, by="stack")
    assert rates.height > 5
    assert rates["available_roots"].sum() == 0


def test_a_small_environment_is_available(tmp_path: Path) -> None:
    """The environment of the corpus in small: built for an older system, and asked for on a newer one."""
    libc = glibc("2.35")
    zlib = node_record("zlib-ng", "z", needs_libc(libc))
    hdf5 = node_record("hdf5", "h", needs_libc(libc), edge_to(zlib), parameters={"mpi": True}, version="1.14.3")
    cuda = node_record("cuda", "cuda", external="/usr/local/cuda", version="12.4")
    raja = node_record("raja", "r", needs_libc(libc), edge_to(cuda))
    dataset = build_index(tmp_path, libc, cuda, zlib, hdf5, raja, database="7", snapshot=SNAPSHOT)
    (tmp_path / "spack.yaml").write_text("spack: {specs: [hdf5+mpi, zlib-ng, raja, 'hdf5@1.12']}")
    roots = cs.read_roots(tmp_path)
    found = cs.match_roots(roots, dataset, host=OF_SOLVER)
    assert found.select("status", "cause", "by", "added_specs").rows() == [
        ("reusable", None, None, 2),
        ("reusable", None, None, 0),
        ("cached", "external", "cuda@12.4 at /usr/local/cuda", None),
        ("missing", "version", "@1.12; there is 1.14.3", None),
    ]
    (tmp_path / "packages.yaml").write_text(
        "packages: {cuda: {externals: [{spec: cuda@12.4, prefix: /usr/local/cuda}]}}"
    )
    declared = cs.Host("x86_64_v4", os="debian12", externals=cs.read_packages(tmp_path / "packages.yaml"))
    assert summary(cs.match_roots(roots, dataset, host=declared)).available == 3
    with pytest.raises(ArgumentError, match="expected the operating system or libc of the host"):
        cs.match_roots(roots, dataset, host="zen4")


WHY = {
    "hdf6": ("package", "hdf6; there is hdf5"),
    "hdf5+mpl": ("variant", "+mpl; there is mpi, map"),
    "hdf5+mpi api=v99": ("variant", "api=v99; there is api=default"),
    "hdf5@1.14.3~mpi+java": ("variant", "+java; there is ~java"),
    "py-numpy@:1.20": ("version", "@:1.20; there is 1.25.2, 1.24.4, 1.24.3"),
    "cmake os=rhel9": ("os", "os=rhel9; there is ventura, ubuntu22.04, ubuntu20.04"),
    "zlib-ng /aaaa": ("hash", "/aaaa"),
    "hdf5 ^mpich@1.0": ("dependency", "^mpich@1.0"),
}


def test_what_is_missing_says_why(sample: cs.Dataset) -> None:
    found = cs.match_roots([*WHY], sample.at(SNAPSHOT))
    assert {row[0]: row[1:] for row in found.select("root", "cause", "by").iter_rows()} == WHY
    assert found["status"].unique().to_list() == ["missing"]


def test_pages_tell_no_dependencies(tmp_path: Path) -> None:
    site = write(tmp_path / "site", {("develop", "zlib"): page("zlib", specs=[site_spec()], meta={})})
    dataset = cs.build_dataset(site, out=tmp_path / "dataset")
    found = cs.match_roots(["zlib", "zlib ^gmake"], dataset)
    assert found.select("status", "closure_specs").rows() == [("cached", None), ("unknown", None)]
    assert found["by"][1] == "dependencies are not known in develop: pages do not list them"
    assert summary(found) == (2, 1, 0, 0, 1, None)
    assert cs.root_rates(["zlib", "zlib ^gmake"], dataset).rows() == [("develop", 1, 2, 0.5, 1)]


def test_of_several_snapshots_the_newest_of_the_best_is_chosen(sample: cs.Dataset) -> None:
    found = cs.match_roots("zlib-ng", sample.at("all"))
    parts = pl.concat(cs.match_roots("zlib-ng", sample.at(name)) for name in sample.manifest.snapshots)
    assert found["num_cached"][0] == parts["num_cached"].sum()
    assert found["version"][0] in parts["version"]
    newest = parts.filter(version=found["version"][0])
    assert found["hash"][0] in newest["hash"]


@pytest.mark.parametrize(
    ("roots", "specs", "words"),
    [
        ([], None, "expected a spec, found none"),
        ([3], None, "expected a spec as text, found 3"),
        ("zlib", pl.DataFrame(), "expected a dataset or a subset of one, found DataFrame"),
    ],
)
def test_wrong_arguments_are_named(roots: Any, specs: Any, words: str, demo: cs.Dataset) -> None:
    with pytest.raises(ArgumentError, match=words):
        cs.match_roots(roots, demo if specs is None else specs)


def test_an_environment_that_does_not_tell_its_roots_is_refused(demo: cs.Dataset) -> None:
    environment = cs.Environment(demo.specs.collect(), demo.dependencies.collect())
    with pytest.raises(ArgumentError, match="expected what the roots were concretized from"):
        cs.match_roots(environment, demo)
