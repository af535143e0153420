"""Cached values are put back into a node in every form that they may have, and the hash says whether that is all."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

import cachestats as cs
from cachestats.analysis.differences import Edge, Spec
from cachestats.analysis.proof import Prover
from cachestats.requirement import External
from cachestats.targets import node_targets
from conftest import in_corpus
from tests.support.nodes import FLAGS, edge, hashed, variants_text

Node = dict[str, Any]
Z = edge("z", "2", ["link"], [])
PATCH, OTHER, THIRD = ("1234567" + "a" * 57, "7654321" + "b" * 57, "1111111" + "c" * 57)
NODE: Node = {
    "name": "a",
    "version": "1.0",
    "arch": {"platform": "linux", "platform_os": "rhel9", "target": "x86_64_v3"},
    "compiler": {"name": "gcc", "version": "13.2.0"},
    "namespace": "builtin",
    "parameters": {"build_system": "cmake", "libs": ["shared", "static"], "shared": True} | {key: [] for key in FLAGS},
    "package_hash": "p====",
    "dependencies": [edge("b", "1", ["build", "link"], ["mpi"]), Z],
}


def spec_of(node: Node, **values: Any) -> Spec:
    """Return what a dataset says of a node."""
    target, compiler, settings = node["arch"]["target"], node.get("compiler"), node["parameters"]
    needs = [
        Edge(one["name"], "1", one["hash"], frozenset(reasons["deptypes"]), frozenset(reasons["virtuals"]), None)
        for one in node.get("dependencies", [])
        for reasons in [one.get("parameters") or {"deptypes": one["type"], "virtuals": []}]
    ]
    needs.sort(key=lambda one: one.hash)
    known = {
        "version": node["version"],
        "compiler": f"{compiler['name']}@{compiler['version']}" if compiler else None,
        "platform": node["arch"]["platform"],
        "os": node["arch"]["platform_os"],
        "target": target if isinstance(target, str) else target["name"],
        "variants": variants_text(settings),
        "flags": " ".join(f"{name}='{' '.join(settings[name])}'" for name in FLAGS if settings.get(name)),
        "namespace": node["namespace"],
        "package_hash": node["package_hash"],
    }
    form = 4 if not needs or "parameters" in node["dependencies"][0] else 3
    return Spec(node["name"], hashed(node), known | values, form, None, tuple(needs))


def prover(*nodes: Node) -> Prover:
    return Prover({hashed(node): json.dumps(node).encode() for node in nodes})


def settings(**changed: Any) -> Node:
    return {"parameters": NODE["parameters"] | changed}


def without(*keys: str) -> Node:
    return {key: value for key, value in NODE["parameters"].items() if key not in keys}


def variants(**changed: Any) -> Node:
    """Return parameters with other variants, which stand before the flags and by their names."""
    found = {key: value for key, value in (NODE["parameters"] | changed).items() if key not in FLAGS}
    return {"parameters": dict(sorted(found.items())) | {key: [] for key in FLAGS}}


CHANGES: dict[str, Node] = {
    "nothing": {},
    "version": {"version": "2.0"},
    "platform": {"arch": NODE["arch"] | {"platform": "darwin"}},
    "OS": {"arch": NODE["arch"] | {"platform_os": "rhel8"}},
    "generic target": {"arch": NODE["arch"] | {"target": "x86_64_v4"}},
    "target of a vendor": {"arch": NODE["arch"] | {"target": node_targets("zen4")[0]}},
    "target with a part number": {"arch": NODE["arch"] | {"target": node_targets("neoverse_v1")[-1]}},
    "compiler": {"compiler": {"name": "gcc", "version": "14"}},
    "compiler of another name": {"compiler": {"name": "clang", "version": "14.0.0"}},
    "namespace": {"namespace": "mine"},
    "recipe": {"package_hash": "q===="},
    "switch": settings(shared=False),
    "value": settings(build_system="make"),
    "list": settings(libs=["static"]),
    "list that becomes a value": settings(libs="shared,any"),
    "order of a list": settings(libs=["static", "shared"]),
    "new switch": variants(mpi=True),
    "new value": variants(cxxstd="17"),
    "new list of one value": variants(cuda_arch=["70"]),
    "new list": variants(cuda_arch=["70", "80"]),
    "new value with a comma": variants(cuda_arch="70,80"),
    "switch that becomes a value": variants(shared="both"),
    "value that becomes a switch": variants(build_system=True),
    "variant gone": {"parameters": without("libs")},
    "variants gone and new": {"parameters": dict(sorted(without("libs", *FLAGS).items() | {("mpi", False)}))
                              | {key: [] for key in FLAGS}},
    "flags": settings(cflags=["-O3", "-g"]),
    "flag with a space": settings(ldflags=["-L /opt"]),
    "several flags": settings(cflags=["-O3"], ldlibs=["-lm", "-lz"]),
    "hash of a dependency": {"dependencies": [edge("b", "9", ["build", "link"], ["mpi"]), Z]},
    "reasons of a dependency": {"dependencies": [edge("b", "9", ["build", "link", "run"], []), Z]},
    "virtuals of a dependency": {"dependencies": [edge("b", "1", ["link"], ["blas", "lapack"]), Z]},
    "dependency gone": {"dependencies": NODE["dependencies"][:1]},
    "dependency new": {"dependencies": [*NODE["dependencies"][:1], edge("m", "3", ["run"], []), Z]},
    "two of one package": {"dependencies": [edge("b", "9", ["link"], []), edge("b", "3", ["build"], []),
                                            Z]},
    "all at once": {"version": "2.0", "arch": {"platform": "darwin", "platform_os": "sonoma", "target": "aarch64"},
                    "compiler": {"name": "oneapi", "version": "1"}, "namespace": "mine", "package_hash": "q====",
                    "dependencies": [edge("z", "8", ["link"], [])]} | settings(shared=False, cflags=["-g"]),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_values_are_put_back_in_the_form_they_have(change: str) -> None:
    cached = NODE | CHANGES[change]
    assert prover(NODE).is_whole(spec_of(NODE), spec_of(cached))
    assert prover(cached).is_whole(spec_of(cached), spec_of(NODE)), "and the other way round"
    if change != "nothing":
        unseen = cached | {"unheard": "of"}
        assert not prover(NODE).is_whole(spec_of(NODE), spec_of(unseen)), "more differs than is known"


def test_names_of_compilers_are_those_of_the_time() -> None:
    cached = NODE | {"compiler": {"name": "clang", "version": "14"}}
    assert prover(NODE).is_whole(spec_of(NODE), spec_of(cached, compiler="llvm@14"))
    oneapi = NODE | {"compiler": {"name": "oneapi", "version": "2024.2.1"}}
    assert prover(NODE).is_whole(spec_of(NODE), spec_of(oneapi, compiler="intel-oneapi-compilers@2024.2.1"))


def test_the_features_of_a_target_may_be_those_of_another_node() -> None:
    older = {**node_targets("zen4")[0], "features": ["avx512f"]}
    cached = NODE | {"arch": NODE["arch"] | {"target": older}}
    assert not prover(NODE).is_whole(spec_of(NODE), spec_of(cached))
    other = NODE | {"name": "other", "arch": NODE["arch"] | {"target": older}}
    assert prover(NODE, other).is_whole(spec_of(NODE), spec_of(cached))


def patched(*patches: str, order: tuple[str, ...] = ()) -> Node:
    parameters = variants(patches=sorted(patches))["parameters"]
    keys = ("name", "version", "arch", "compiler", "namespace", "parameters", "patches", "package_hash", "dependencies")
    node = NODE | {"parameters": parameters, "patches": [*(order or patches)], "package_hash": "q===="}
    return {key: node[key] for key in keys}


def test_checksums_of_patches_are_those_of_other_nodes() -> None:
    one = patched(PATCH)
    assert prover(one).is_whole(spec_of(one), spec_of(NODE)), "patches gone"
    assert not prover(NODE).is_whole(spec_of(NODE), spec_of(one)), "a dataset has seven characters of each"
    assert prover(NODE, one | {"name": "b"}).is_whole(spec_of(NODE), spec_of(one))
    three = patched(PATCH, OTHER, THIRD, order=(OTHER, PATCH, THIRD))
    assert prover(NODE, three | {"name": "b"}).is_whole(spec_of(NODE), spec_of(three)), "in the order of applying"
    kept = three | {"version": "2.0"}
    assert prover(three).is_whole(spec_of(three), spec_of(kept)), "the same patches stay as they are"


def test_edges_of_format_3_have_their_types_by_themselves() -> None:
    node = NODE | {"dependencies": [{"name": "b", "hash": "1", "type": ["build", "link"]}]}
    cached = node | {
        "dependencies": [{"name": "b", "hash": "1", "type": ["link"]}, {"name": "c", "hash": "2", "type": ["run"]}]
    }
    assert prover(node).is_whole(spec_of(node), spec_of(cached))
    bare = {key: value for key, value in node.items() if key != "dependencies"}
    old = spec_of(cached)
    assert prover(bare).is_whole(spec_of(bare), old)
    assert prover(cached).is_whole(old, spec_of(bare))


def test_what_stands_between_dependencies_and_the_rest_stays_there() -> None:
    notes = {"annotations": {"original_specfile_version": 5}}
    node = {key: value for key, value in NODE.items() if key not in ("compiler", "dependencies")} | notes
    keys = [key for key in NODE if key != "compiler"]
    cached = {key: (NODE | notes)[key] for key in [*keys, "annotations"]}
    assert prover(node).is_whole(spec_of(node), spec_of(cached))
    newer = {key: (cached | {"provided_virtuals": ["mpi"]})[key] for key in
             ["name", "version", "arch", "namespace", "parameters", "package_hash", "provided_virtuals",
              "dependencies", "annotations"]}  # fmt: skip
    changed = {key: value for key, value in newer.items() if key != "dependencies"}
    assert prover(changed).is_whole(spec_of(changed), spec_of(newer))


def test_what_is_not_known_stays_as_it_is() -> None:
    node = NODE | settings(cflags=["-g"])
    told = spec_of(node | {"version": "2.0"} | settings(cflags=["-g"], shared=False))
    less = {key: value for key, value in told.values.items() if key not in ("flags", "namespace", "package_hash")}
    assert prover(node).is_whole(spec_of(node), Spec("a", told.hash, less, None, None, None))


GLIBC: Node = {key: value for key, value in NODE.items() if key != "dependencies"} | {
    "name": "glibc", "version": "2.34", "parameters": {"build_system": "autotools"} | {key: [] for key in FLAGS},
    "external": {"path": "/usr", "module": None, "extra_attributes": {}},
}  # fmt: skip


def external(node: Node, **supposed: str) -> Spec:
    place = node["external"]
    modules = tuple(place["module"] or ())
    values = {"version": node["version"], "variants": variants_text(node["parameters"]), **supposed}
    return Spec("glibc", hashed(node), values, None, External("glibc", node["version"], (), place["path"], modules))


def test_externals_are_put_back_as_far_as_they_are_known() -> None:
    def is_whole(cached: Spec, *others: Node) -> bool:
        own = spec_of(GLIBC)
        return prover(GLIBC, *others).is_whole(Spec("glibc", own.hash, own.values, 4, external(GLIBC).external), cached)

    moved = GLIBC | {"external": GLIBC["external"] | {"path": "/opt"}}
    assert is_whole(external(moved))
    module = GLIBC | {"external": {"path": None, "module": ["glibc/2"], "extra_attributes": {}}}
    assert is_whole(external(module))
    assert is_whole(external(GLIBC | {"version": "2.28"}))
    # With another version goes another recipe, which only another node may tell.
    older = GLIBC | {"version": "2.28", "package_hash": "q===="}
    assert not is_whole(external(older))
    assert is_whole(external(older), older | {"arch": NODE["arch"] | {"platform_os": "x"}})
    # It may be for another system, as its owner is, or not.
    elsewhere = GLIBC | {"arch": NODE["arch"] | {"platform_os": "rhel8", "target": "x86_64_v2"}}
    assert not is_whole(external(elsewhere))
    assert is_whole(external(elsewhere, os="rhel8", target="x86_64_v2"))
    assert is_whole(external(elsewhere, os="rhel8", target="x86_64_v2", compiler="gcc@9"))
    assert is_whole(external(GLIBC, os="rhel8"))


@pytest.mark.parametrize(
    "node",
    [
        NODE | {"build_spec": {"name": "a", "hash": "b" * 32}},
        NODE | {"annotations": {"original_specfile_version": 3}},
    ],
)
def test_what_cannot_be_hashed_again_is_not_proven(node: Node) -> None:
    wanted = spec_of(NODE)
    nodes = {wanted.hash: json.dumps(node).encode()}
    assert not Prover(nodes).is_whole(wanted, spec_of(NODE | {"version": "2"}))
    assert not Prover({}).is_whole(wanted, spec_of(NODE | {"version": "2"}))


def test_no_more_forms_are_tried_than_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cachestats.analysis.proof._MOST_FORMS", 3)
    many = variants(**{f"v{number}": "1" for number in range(12)})
    assert prover(NODE).is_whole(spec_of(NODE), spec_of(NODE | many))
    lists = variants(**{f"v{number}": ["1"] for number in range(12)})
    assert not prover(NODE).is_whole(spec_of(NODE), spec_of(NODE | lists))


def test_real_differences_between_stacks_are_proven(sample: cs.Dataset) -> None:
    snapshot = "develop-2024-06-02"
    environment = cs.read_environment(in_corpus(f"mirrors/{snapshot}/e4s-neoverse_v1/spack.lock"))
    specs = sample.specs.filter(snapshot=snapshot, stack="e4s")
    dependencies = sample.dependencies.filter(snapshot=snapshot)
    found = cs.match(environment, specs, dependencies=dependencies)
    near = found.filter(status="near")
    assert near.height == 310
    # One has patches, of which the dataset has seven characters each, that no spec of the environment has.
    supposed = near.filter(proof="supposed")
    assert supposed["package"].to_list() == ["llvm"]
    assert "patches=" in supposed["near_variants"][0]
    assert near.filter(pl.col("causes").str.contains("target neoverse_v1 instead of x86_64_v3")).height == 310
