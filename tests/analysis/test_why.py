"""Why a package depends on another, against a search of all chains in plain Python."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable
from functools import cache as remembered
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cachestats as cs
from cachestats.analysis.why import chains_and_totals
from cachestats.errors import ArgumentError
from cachestats.naming import version_key
from cachestats.schema import DEPTYPES
from tests.support.cli import run
from tests.support.graphs import one_snapshot
from tests.support.indices import build_index, edge_to, node_record

Cache = tuple[pl.DataFrame, pl.DataFrame]


def by_hand(
    specs: pl.DataFrame, edges: pl.DataFrame, package: str, dependency: str, deptypes: Any, *, union: bool
) -> list[tuple[Any, ...]]:
    """Return what `why` should, from a list of all shortest chains of every spec."""
    needs: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    names: dict[str, tuple[str, str | None]] = {}
    snapshots = {*specs["snapshot"]}
    for row in edges.rows(named=True):
        types = {deptype for deptype in DEPTYPES if row[f"is_{deptype}"]}
        if types & {*deptypes} and row["snapshot"] in snapshots:
            needs[row["hash"]][row["dependency_hash"]] |= types
            if row["dependency_package"] is not None:
                names[row["dependency_hash"]] = (row["dependency_package"], row["dependency_version"])
    stacks = defaultdict(set)
    for row in specs.rows(named=True):
        names[row["hash"]] = (row["package"], row["version"])
        if row["package"] == package:
            stacks[row["hash"]] |= {row["stack"]} - ({None} if union else {None, "root"})

    @remembered
    def distance(hash_: str) -> float:
        found = (
            1 if names.get(needed, ("",))[0] == dependency else 1 + distance(needed) for needed in needs[hash_].copy()
        )
        return min(found, default=math.inf)

    def chains(hash_: str, length: float) -> list[tuple[str, ...]]:
        if length == 1:
            return [(hash_, needed) for needed in needs[hash_] if names.get(needed, ("",))[0] == dependency]
        nearer = [needed for needed in needs[hash_] if distance(needed) == length - 1]
        return [(hash_, *rest) for needed in nearer for rest in chains(needed, length - 1)]

    def label(hash_: str) -> str:
        name, version = names.get(hash_, ("", None))
        return f"{name}{'' if version is None else f'@{version}'}/{hash_[:7]}"

    paths: dict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
    for hash_ in sorted(sorted(stacks), key=lambda one: version_key(names[one][1] or ""), reverse=True):
        for chain in sorted(chains(hash_, distance(hash_))):
            paths[tuple(names.get(one, ("",))[0] for one in chain)].append(chain)
    rows = []
    for path, found in paths.items():
        starts = {chain[0] for chain in found}
        example = found[0]
        types = [[one for one in DEPTYPES if one in needs[up][low]] for up, low in pairwise(example)]
        rows.append(
            (
                " > ".join(path), len(path) - 1, len(starts),
                ", ".join(sorted(set().union(*(stacks[start] for start in starts)))) or None,
                " > ".join(map(label, example)), " > ".join(map(",".join, types)),
            )
        )  # fmt: skip
    return sorted(rows, key=lambda row: (row[1], -row[2], row[0]))


def check(cache: Cache, package: str, dependency: str, deptypes: Any = DEPTYPES, *, union: bool = False) -> int:
    """Compare the answer with the search by hand, check the totals, and return the number of rows."""
    found, totals = chains_and_totals(
        cache[0], package, dependency, dependencies=cache[1], deptypes=deptypes, union=union
    )
    assert found.rows() == by_hand(*cache, package, dependency, deptypes, union=union)
    assert [*found.schema.items()][1:3] == [("length", pl.Int64), ("num_specs", pl.Int64)]
    needing = cs.dependents(cache[0], dependency, dependencies=cache[1], by=None, deptypes=deptypes)
    counts = needing.filter(package=package).select("num_direct", "num_specs").rows() or [(0, 0)]
    assert totals == (*counts[0], cache[0].filter(package=package)["hash"].n_unique())
    return found.height


@given(
    one_snapshot(),
    st.sampled_from("pqr"),
    st.sampled_from("pqr"),
    st.lists(st.sampled_from(DEPTYPES), min_size=1, max_size=4).map(tuple),
    st.booleans(),
)
def test_any_cache_is_as_found_by_hand(cache: Cache, package: str, dependency: str, deptypes: Any, union: bool) -> None:
    try:
        check(cache, package, dependency, deptypes, union=union)
    except ArgumentError:
        followed = cache[1].filter(pl.any_horizontal(f"is_{deptype}" for deptype in deptypes))
        there = {*cache[0]["package"], *followed["dependency_package"]}
        assert cache[0].height
        assert not {package, dependency} <= there


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "dependency"),
    [
        ("hdf5", "zlib-ng"), ("py-torch", "ncurses"), ("petsc", "xz"), ("gcc-runtime", "gcc"), ("python", "glibc"),
        ("zlib-ng", "hdf5"),
    ],
)  # fmt: skip
def test_the_sample_is_as_found_by_hand(package: str, dependency: str, sample: cs.Dataset) -> None:
    cache = sample.specs.collect(), sample.dependencies.collect()
    assert bool(check(cache, package, dependency)) == (package != "zlib-ng")
    check(cache, package, dependency, ("link", "run"), union=True)


def test_frames_of_every_kind_give_equal_answers(
    sample: cs.Dataset, kinds: Callable[[pl.DataFrame], dict[str, Any]]
) -> None:
    subset = sample.at("develop-2024-03-17")
    specs, edges = kinds(subset.specs.collect()), kinds(subset.dependencies.collect())
    for ends in (("petsc", "xz"), ("petsc+mpi", "xz@5:")):
        expected = cs.why(subset, *ends)
        assert not expected.is_empty()
        for name in specs:
            assert cs.why(specs[name], *ends, dependencies=edges[name]).equals(expected), name


def test_what_is_not_cached_ends_a_chain_and_filters_choose_where_chains_begin(tmp_path: Path) -> None:
    cuda = node_record("cuda", version="12", external="/usr/local/cuda")
    magma = node_record("magma", "m", edge_to(cuda), version="2", os="rhel9")
    old = node_record("py-torch", "q", edge_to(magma), edge_to(cuda, "run"), version="1.9")
    new = node_record("py-torch", "n", edge_to(magma, "build", "link"), version="1.10")
    dataset = build_index(tmp_path, cuda, magma, old, new)
    direct = ("py-torch > cuda", 1, 1, "root", "py-torch@1.9/qaaaaaa > cuda@12/cudaaaa", "run")
    example = "py-torch@1.10/naaaaaa > magma@2/maaaaaa > cuda@12/cudaaaa"
    through = ("py-torch > magma > cuda", 2, 1, "root", example, "build,link > link")
    assert cs.why(dataset, "py-torch", "cuda", union=True).rows() == [direct, through]
    assert cs.why(dataset.where(os="ubuntu22.04"), "py-torch", "cuda", union=True).rows() == [direct, through]
    assert cs.why(dataset.where(version="1.10"), "py-torch", "cuda", union=True).rows() == [through]
    assert cs.why(dataset, "py-torch", "cuda", deptypes=["build", "link"])["num_specs"].to_list() == [2]
    assert cs.why(dataset.where(os="rhel9"), "py-torch", "cuda").is_empty()
    assert cs.why(dataset, "cuda", "magma").is_empty()
    for names in (("py-torch", "cud"), ("py-torhc", "cuda")):
        with pytest.raises(ArgumentError, match="hint: try"):
            cs.why(dataset, *names)


def test_expressions_choose_both_ends_cached_or_not(tmp_path: Path) -> None:
    cuda = node_record("cuda", version="12", external="/usr/local/cuda", parameters={"dev": True})
    missing = node_record("cuda", "lost", version="11")
    magma = node_record("magma", "m", edge_to(cuda, virtuals=("gpu",)), edge_to(missing), version="2")
    torch = node_record("py-torch", "q", edge_to(magma), version="1.9")
    dataset = build_index(tmp_path, cuda, magma, torch)
    begin, types = "py-torch@1.9/qaaaaaa > magma@2/maaaaaa", "link > link"
    row = ("py-torch > magma > cuda", 2, 1, "root")
    known, lost = (*row, f"{begin} > cuda@12/cudaaaa", types), (*row, f"{begin} > cuda/lostaaa", types)
    for end in ("cuda@12:", "cuda+dev", "gpu+dev", "/cudaaaa", "cuda@12 cuda@13"):
        assert cs.why(dataset, "py-torch@1", end, union=True).rows() == [known]
    assert cs.why(dataset, "py-torch", "/lost", union=True).rows() == [lost]
    for begins, end in (("py-torch@2:", "cuda"), ("py-torch", "cuda@13:"), ("py-torch", "cuda~dev"), ("/z", "/y")):
        assert cs.why(dataset, begins, end, union=True).is_empty()


@pytest.mark.parametrize("snapshot", ["develop-2024-06-02", "develop-2025-05-25"])
def test_chains_between_expressions_are_those_between_specs_that_satisfy_them(
    snapshot: str, sample: cs.Dataset
) -> None:
    subset = sample.at(snapshot)
    specs, edges = subset.specs.collect(), subset.dependencies.collect()
    for begins, package, ends, end in (
        ("hdf5+mpi", "hdf5", "zlib-ng@2.1:", "zlib-ng"),
        ("python@3.11:", "python", "ncurses~symlinks target=x86_64_v3", "ncurses"),
    ):
        is_end = pl.col("dependency_hash").is_in(cs.find(subset, ends)["hash"].implode())
        name = pl.when(is_end).then(pl.lit("!")).otherwise("dependency_package")
        marked = edges.with_columns(dependency_package=name)
        expected = cs.why(subset.where(spec=begins).specs.collect(), package, "!", dependencies=marked)
        expected = expected.with_columns(pl.col("path", "example").str.replace("!", end, literal=True))
        assert expected.height
        assert cs.why(subset, begins, ends).equals(expected)
        assert cs.why(specs, begins, ends, dependencies=edges).equals(expected)


def test_the_verb_shows_trees_or_rows(sample: cs.Dataset) -> None:
    done = run("why", sample.path, "py-torch", "ncurses")
    assert done.stdout.decode().splitlines() == [
        "py-torch > cmake > ncurses: 6 of 6 specs, in e4s, ml-linux-x86_64-cpu",
        "py-torch@2.7.0/7cilmbf",
        "└── cmake@3.31.6/xfzflee (build)",
        "    └── ncurses@6.5/uxrrdg4 (build, link)",
        "",
        "py-torch > python > ncurses: 6 of 6 specs, in e4s, ml-linux-x86_64-cpu",
        "py-torch@2.7.0/7cilmbf",
        "└── python@3.12.9/svjuf5f (build, link, run)",
        "    └── ncurses@6.5/uxrrdg4 (build, link)",
    ]
    here = "develop-2025-05-25"
    assert done.stderr.decode() == f"{here}: 6 of 6 specs of py-torch depend on ncurses, 100.0%; 0 directly\n"
    rows = run("why", sample.path, "py-torch", "ncurses", "--format", "json")
    assert json.loads(rows.stdout) == cs.why(sample, "py-torch", "ncurses").to_dicts()
    linked = run("why", sample.path, "py-torch", "cmake", "--deptype", "link")
    assert linked.stderr.decode() == f"no spec of py-torch in {here} depends on cmake (link)\n"
    assert not linked.stdout
    reverse = "no spec of zlib-ng in {} depends on hdf5, but 8 of 8 specs of hdf5 depend on zlib-ng\n"
    assert run("why", sample.path, "zlib-ng", "hdf5").stderr.decode() == reverse.format(here)
    nowhere = run("why", sample.path, "hdf5", "zlib-ng", "--where", "stack=build_systems")
    assert nowhere.stderr.decode() == f"no specs of hdf5 in {here}, stack=build_systems\n"
    few = run("why", sample.path, "hdf5+fortran", "zlib-ng@2:").stderr.decode()
    assert few == f"{here}: 4 of 4 specs of hdf5+fortran depend on zlib-ng@2:, 100.0%; 4 directly\n"
    unknown = run("why", sample.path, "hdf5", "zlib-n", code=2).stderr.decode()
    assert "found 'zlib-n'\nhint: try zlib-ng" in unknown


def test_the_verb_refuses_pages(demo: cs.Dataset) -> None:
    said = run("why", demo.path, "py-filelock", "python", code=2).stderr.decode()
    assert "expected dependencies, found none for develop: pages do not list dependencies" in said
