"""Why specs miss: in environments that differ from a cache in known things, these are what is found, and proven."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cachestats as cs
from cachestats.analysis.causes import hits_if_target_changed
from cachestats.errors import ArgumentError
from cachestats.targets import node_targets
from conftest import ROOT, in_corpus
from tests.support.nodes import FLAGS, changed_dag, edge, hashed, lockfile, node, tables

Nodes = dict[str, dict[str, Any]]
COMMITTED = ROOT / "data" / "developer-tools.spack.lock.gz"
OF_SPACK_1 = "mirrors/develop-2025-05-25/radiuss/spack.lock"


@cache
def read(path: Path) -> tuple[Nodes, list[str]]:
    """Return the nodes of a lockfile by hash, and its roots."""
    content = path.read_bytes()
    found = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    return found["concrete_specs"], [union["hash"] for union in found["roots"]]


def environment_of(nodes: Nodes, folder: Path) -> cs.Environment:
    """Return an environment of which all that nobody needs are the roots."""
    needed = {one["hash"] for each in nodes.values() for one in each.get("dependencies", [])}
    content = lockfile(nodes, [key for key in nodes if key not in needed], 6)
    content["_meta"]["specfile-version"] = 4
    (folder / "spack.lock").write_text(json.dumps(content))
    return cs.read_environment(folder / "spack.lock")


def changeable(nodes: Nodes) -> list[str]:
    """Return the hashes of specs whose package has one build only: of it there is one cached spec to compare with."""
    names = [one["name"] for one in nodes.values()]
    return sorted(key for key, one in nodes.items() if names.count(one["name"]) == 1 and "external" not in one)


def change(one: dict[str, Any], kind: str) -> tuple[dict[str, Any], tuple[str, str, str, str] | None]:
    """Return the fields of a node after a change, and the cause: its package, field, what is wanted and what cached."""
    package, arch, parameters = one["name"], one["arch"], one["parameters"]
    target = arch["target"]["name"] if isinstance(arch["target"], dict) else arch["target"]
    if kind == "version":
        # With another version goes another recipe: its checksum covers the source.
        return {"version": "0.changed", "package_hash": "new===="}, (package, "version", "0.changed", one["version"])
    if kind == "variant":
        switches = [name for name, value in parameters.items() if isinstance(value, bool)]
        if not switches:
            return {"parameters": {"another": True} | parameters}, (package, "variants", "+another", "")
        name, value = switches[-1], parameters[switches[-1]]
        signs = "~+" if value else "+~"
        return {"parameters": parameters | {name: not value}}, (package, "variants", signs[0] + name, signs[1] + name)
    if kind == "flag":
        return {"parameters": parameters | {"cflags": ["-O3", "-g"]}}, (package, "flags", "cflags='-O3 -g'", "")
    if kind == "recipe":
        return {"package_hash": "new===="}, (package, "recipe", "new====", one["package_hash"])
    if kind == "namespace":
        return {"namespace": "mine"}, (package, "namespace", "mine", "builtin")
    if kind == "target":
        return {"arch": arch | {"target": node_targets("zen4")[0]}}, (package, "target", "zen4", target)
    assert kind == "os"
    return {"arch": arch | {"platform_os": "plan9"}}, (package, "os", "plan9", arch["platform_os"])


KINDS = ("version", "variant", "flag", "recipe", "namespace", "target", "os")


def above(nodes: Nodes, changed: str) -> set[str]:
    """Return the hashes of what depends on a spec, itself included, by looking at all until no more are found."""
    found = {changed}
    while True:
        more = {
            key for key, one in nodes.items() if any(each["hash"] in found for each in one.get("dependencies", []))
        } - found
        if not more:
            return found
        found |= more


def check_changes(nodes: Nodes, changes: dict[str, str], folder: Path, cures: bool = True) -> None:
    """Change some specs of an environment, compare it with a cache of all that was before, and check what is found."""
    made = {key: change(nodes[key], kind) for key, kind in changes.items()}
    environment = environment_of(changed_dag(nodes, {key: fields for key, (fields, _) in made.items()}), folder)
    specs, dependencies = tables(nodes)
    found = cs.causes(environment, specs, dependencies=dependencies)
    misses = {key: above(nodes, key) for key in changes}
    expected = {
        cause: (
            len(misses[key].difference(*(misses[other] for other in changes if other != key))),
            len(misses[key]),
            "proven",
        )
        for key, (_, cause) in made.items()
    }
    columns = ("package", "field", "wanted", "cached", "cures", "misses", "proof")
    assert {row[:4]: row[4:] for row in found.select(columns).rows()} == expected
    matches = cs.match(environment, specs, dependencies=dependencies)
    missing = set[str]().union(*misses.values())
    assert (matches["status"] == "near").sum() == len(missing)
    assert (matches["status"] == "hit").sum() == matches.height - len(missing)
    near = matches.filter(status="near")
    assert set(near["near_hash"]) == missing
    assert set(near["proof"]) == {"proven"}
    words = dict(found.select("words", pl.struct("package", "field")).rows())
    for row in near.to_dicts():
        mine = {made[key][1][:2] for key in changes if row["near_hash"] in misses[key]}  # type: ignore[index]
        assert {tuple(words[one].values()) for one in row["causes"].split("; ")} == mine
        assert row["cause_fields"].split(",") == sorted({one[1] for one in mine})


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_deep_down_is_found_and_proven(kind: str, tmp_path: Path) -> None:
    nodes, _ = read(COMMITTED)
    deep = max(changeable(nodes), key=lambda key: len(above(nodes, key)))
    assert len(above(nodes, deep)) > 80
    check_changes(nodes, {deep: kind}, tmp_path)


@pytest.mark.slow
@settings(max_examples=30)
@given(st.data())
def test_any_changes_of_an_environment_are_found_and_proven(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    nodes, _ = read(COMMITTED)
    changes = data.draw(
        st.dictionaries(st.sampled_from(changeable(nodes)), st.sampled_from(KINDS), min_size=1, max_size=4)
    )
    check_changes(nodes, one_of_each_setting(changes), tmp_path_factory.mktemp("changed"))


def one_of_each_setting(changes: dict[str, str]) -> dict[str, str]:
    """Leave out changes of a target or OS after the first: the same target of two packages is one cause."""
    seen: set[str] = set()
    left = {}
    for key, kind in changes.items():
        if kind not in seen:
            left[key] = kind
        if kind in ("target", "os"):
            seen.add(kind)
    return left


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_changes_are_found_where_compilers_are_dependencies(kind: str, tmp_path: Path) -> None:
    nodes, _ = read(in_corpus(OF_SPACK_1))
    some = changeable(nodes)
    for key in (max(some, key=lambda key: len(above(nodes, key))), some[0], some[len(some) // 2]):
        check_changes(nodes, {key: kind}, tmp_path)


def test_another_libc_and_another_compiler_are_named(tmp_path: Path) -> None:
    nodes, _ = read(in_corpus(OF_SPACK_1))
    specs, dependencies = tables(nodes)
    for name, field in (("glibc", "libc"), ("gcc", "version")):
        (key,) = (key for key, one in nodes.items() if one["name"] == name)
        environment = environment_of(changed_dag(nodes, {key: {"version": "99"}}), tmp_path)
        found = cs.causes(environment, specs, dependencies=dependencies)
        words = f"{name} 99 instead of {nodes[key]['version']}"
        misses = len(above(nodes, key)) - 1  # an external is no spec of the environment
        assert found.rows() == [(name, field, "99", nodes[key]["version"], words, misses, misses, "proven")]


def test_a_target_that_differs_everywhere_is_one_cause(tmp_path: Path) -> None:
    nodes, _ = read(COMMITTED)
    changes = {key: {"arch": one["arch"] | {"target": "x86_64_v4"}} for key, one in nodes.items()}
    environment = environment_of(changed_dag(nodes, changes), tmp_path)
    specs, dependencies = tables(nodes)
    found = cs.causes(environment, specs, dependencies=dependencies)
    # glibc, which is external, is for another target, too: of the dataset that is not known, but of the hash.
    words = "target x86_64_v4 instead of x86_64_v3"
    assert found.rows() == [(None, "target", "x86_64_v4", "x86_64_v3", words, 145, 145, "proven")]
    matches = cs.match(environment, specs, dependencies=dependencies)
    assert set(matches["proof"]) == {"proven"}
    assert hits_if_target_changed(matches).rows() == [("x86_64_v3", 145)]
    assert hits_if_target_changed(matches, machine="zen4").rows() == [("x86_64_v3", 145)]
    assert hits_if_target_changed(matches, machine="m2").is_empty()
    # With anything else the target alone is not enough.
    some = next(key for key in changeable(nodes) if nodes[key]["name"] == "openssl")
    changes[some] |= {"package_hash": "new===="}
    environment = environment_of(changed_dag(nodes, changes), tmp_path)
    matches = cs.match(environment, specs, dependencies=dependencies)
    assert hits_if_target_changed(matches).rows() == [("x86_64_v3", 145 - len(above(nodes, some)))]
    assert hits_if_target_changed(matches.clear()).rows() == []
    # Of an OS it is not the target that would have to change.
    changes = {key: {"arch": one["arch"] | {"platform_os": "plan9"}} for key, one in nodes.items()}
    environment = environment_of(changed_dag(nodes, changes), tmp_path)
    assert hits_if_target_changed(cs.match(environment, specs, dependencies=dependencies)).is_empty()


def test_without_dependencies_only_the_spec_itself_is_compared(tmp_path: Path) -> None:
    nodes, _ = read(COMMITTED)
    some = next(key for key in changeable(nodes) if nodes[key]["name"] == "zlib-ng")
    environment = environment_of(changed_dag(nodes, {some: {"namespace": "mine"}}), tmp_path)
    specs, _ = tables(nodes)
    matches = cs.match(environment, specs)
    row = matches.filter(package="zlib-ng").row(0, named=True)
    assert (row["differs"], row["causes"]) == ("namespace", "zlib-ng, repository mine instead of builtin")
    assert row["proof"] == "proven", "its own dependencies are the cached ones"
    row = matches.filter(package="libxml2").row(0, named=True)
    assert (row["differs"], row["cause_fields"], row["proof"]) == ("dependencies", "dependencies", "supposed")
    assert row["causes"] == "libxml2: a dependency, or something that no column shows"


def test_where_pages_alone_tell_of_specs_nothing_more_is_known(tmp_path: Path) -> None:
    nodes, _ = read(COMMITTED)
    some = next(key for key in changeable(nodes) if nodes[key]["name"] == "zlib-ng")
    environment = environment_of(changed_dag(nodes, {some: {"package_hash": "new===="}}), tmp_path)
    specs, dependencies = tables(nodes)
    nothing = {name: pl.lit(None, specs.schema[name]) for name in ("flags", "namespace", "package_hash", "spec_format")}
    matches = cs.match(environment, specs.with_columns(**nothing), dependencies=dependencies.clear())
    row = matches.filter(package="zlib-ng").row(0, named=True)
    assert (row["differs"], row["proof"]) == ("dependencies", "supposed")
    # An index of the same snapshot may know of it.
    both = pl.concat([specs.with_columns(**nothing), specs])
    row = cs.match(environment, both, dependencies=dependencies).filter(package="zlib-ng").row(0, named=True)
    assert (row["differs"], row["proof"]) == ("recipe", "proven")


def small(name: str, needs: dict[str, str], **fields: Any) -> dict[str, Any]:
    """Return a node of version 4 with all that an index has; `needs` are hashes by name."""
    return {
        "name": name,
        "version": "1.0",
        "arch": {"platform": "linux", "platform_os": "rhel9", "target": "x86_64_v3"},
        "compiler": {"name": "gcc", "version": "13.2.0"},
        "namespace": "builtin",
        "parameters": {"build_system": "cmake", "shared": True} | {name: [] for name in FLAGS},
        "package_hash": "p====",
        **({"dependencies": [edge(one, digest, ["link"], []) for one, digest in needs.items()]} if needs else {}),
    } | fields


def dag(*nodes: tuple[str, list[str], dict[str, Any]]) -> Nodes:
    """Return nodes by hash: of each its label, which begins with its name, what it needs, and its other fields."""
    hashes: dict[str, str] = {}
    found: Nodes = {}
    for label, needs, fields in nodes:
        one = small(label[0], {each[0]: hashes[each] for each in needs}, **fields)
        hashes[label] = hashed(one)
        found[hashes[label]] = one | {"hash": hashes[label]}
    return found


def explained(wanted: Nodes, cached: Nodes, folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return matches and causes."""
    environment = environment_of(wanted, folder)
    specs, dependencies = tables(cached)
    return (
        cs.match(environment, specs, dependencies=dependencies),
        cs.causes(environment, specs, dependencies=dependencies),
    )


def test_of_specs_that_look_alike_the_one_whose_dependencies_agree_most_is_chosen(tmp_path: Path) -> None:
    # Two trees of a, b, c and z, of which c differs. The environment has the second, with another z.
    first = [("z", [], {}), ("c", ["z"], {"package_hash": "one"}), ("b", ["c", "z"], {}), ("a", ["b"], {})]
    second = [(f"{label}2" if label != "z" else label, [f"{one}2" if one != "z" else one for one in needs],
               {"package_hash": "two"} if label == "c" else fields) for label, needs, fields in first]  # fmt: skip
    cached = dag(*first, *second[1:])
    wanted = dag(("z", [], {"version": "9"}), *second[1:])
    matches, causes = explained(wanted, cached, tmp_path)
    assert causes["words"].to_list() == ["z 9 instead of 1.0"]
    assert causes.select("cures", "misses", "proof").row(0) == (4, 4, "proven")
    by_package = {one["name"]: key for key, one in dag(("z", [], {}), *second[1:]).items()}
    assert dict(matches.select("package", "near_hash").rows()) == by_package


@pytest.mark.parametrize("most", ["x86_64_v2", "zen2"])
def test_specs_for_the_system_of_most_are_chosen(most: str, tmp_path: Path) -> None:
    there = {"platform": "linux", "platform_os": "rhel9"}
    few = "zen2" if most == "x86_64_v2" else "x86_64_v2"
    usual, rare = ({"arch": there | {"target": target}} for target in (most, few))
    cached = dag(("a", [], rare), ("a2", [], usual), ("b", [], usual), ("c", [], usual), ("d", [], rare))
    wanted = dag(("a", [], {}), ("b", [], {}), ("c", [], {}), ("d", [], {}))
    matches, _ = explained(wanted, cached, tmp_path)
    targets = dict(matches.select("package", "near_target").rows())
    assert targets == {"a": most, "b": most, "c": most, "d": few}


def glibc_of(fields: dict[str, Any]) -> Nodes:
    place = {"path": "/usr", "module": None, "extra_attributes": {}}
    one = small("glibc", {}, version="2.34", external=place) | fields
    return {hashed(one): one | {"hash": hashed(one)}}


def user_of(name: str, glibc: dict[str, Any], fields: dict[str, Any]) -> Nodes:
    """Return a spec that needs an external glibc."""
    (digest,) = glibc_of(glibc)
    one = small(name, {}, dependencies=[edge("glibc", digest, ["link"], ["libc"])]) | fields
    return {hashed(one): one | {"hash": hashed(one)}}


some_fields = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from(["1.0", "2.0"]),
        "package_hash": st.sampled_from(["p====", "q===="]),
        "namespace": st.just("mine"),
        "arch": st.sampled_from(["zen2", "x86_64_v2"]).map(
            lambda target: {"platform": "linux", "platform_os": "rhel9", "target": target}
        ),
        "compiler": st.sampled_from([{"name": "gcc", "version": "9"}, {"name": "clang", "version": "14"}]),
        "parameters": st.sampled_from([{"shared": False}, {"patches": ["1234567" + "a" * 57]}, {"cflags": ["-g"]}]).map(
            lambda settings: {"build_system": "cmake"} | settings | {name: [] for name in FLAGS if name not in settings}
        ),
        "external": st.just({"path": "/usr", "module": None}),
        "annotations": st.sampled_from([{"original_specfile_version": 3}, {"original_specfile_version": 5}]),
    },
)


@st.composite
def some_dags(draw: st.DrawFn) -> Nodes:
    """Return specs of few packages, each with any that stand before it as dependencies."""
    labels = draw(st.lists(st.sampled_from(["a", "b", "c", "a2", "b2"]), min_size=1, unique=True))
    nodes = []
    for place, label in enumerate(labels):
        needs = draw(st.lists(st.sampled_from(labels[:place]), unique=True)) if place else []
        nodes.append((label, needs, draw(some_fields)))
    return dag(*nodes)


@given(some_dags(), some_dags(), st.data())
def test_causes_are_those_of_the_matches(
    tmp_path_factory: pytest.TempPathFactory, wanted: Nodes, cached: Nodes, data: st.DataObject
) -> None:
    environment = environment_of(wanted, tmp_path_factory.mktemp("any"))
    specs, dependencies = tables(cached)
    # Some of it is known from pages only, and some not at all.
    known = data.draw(
        st.lists(st.sampled_from(["index", "page", "gone"]), min_size=specs.height, max_size=specs.height)
    )
    source = pl.Series(known, dtype=pl.String)
    not_of_pages = pl.col("flags", "namespace", "package_hash", "spec_format")
    specs = specs.with_columns(source=source).with_columns(pl.when(pl.col("source") == "index").then(not_of_pages))
    specs = specs.filter(pl.col("source") != "gone").drop("source")
    matches = cs.match(environment, specs, dependencies=dependencies)
    found = cs.causes(environment, specs, dependencies=dependencies)
    near = matches.filter(status="near")
    assert near["proof"].null_count() == near["differs"].null_count() == near["near_hash"].null_count() == 0
    texts = [text.split("; ") if text else [] for text in near["causes"]]
    for words, misses in found.group_by("words").agg(pl.col("misses").sum()).rows():
        assert misses == sum(words in text for text in texts)
    cured = [text[0] for text, differs in zip(texts, near["differs"], strict=True)
             if len(text) == 1 and "representation" not in differs]  # fmt: skip
    assert {words: cures for words, cures in found.select("words", "cures").rows() if cures} == {
        words: cured.count(words) for words in cured
    }
    assert {words for text in texts for words in text} == set(found["words"])
    order = found.select("cures", "misses").rows()
    assert order == sorted(order, reverse=True)
    hits_if_target_changed(matches)


def with_glibc(glibc: dict[str, Any], owner: dict[str, Any]) -> Nodes:
    """Return an external glibc, and a spec that needs it, each with these fields."""
    return glibc_of(glibc) | user_of("a", glibc, owner)


def test_an_external_is_taken_to_be_for_the_system_of_what_needs_it(tmp_path: Path) -> None:
    rhel8 = {"arch": {"platform": "linux", "platform_os": "rhel8", "target": "x86_64_v3"}}
    wanted = with_glibc({}, {})

    def causes(glibc: dict[str, Any], owner: dict[str, Any]) -> list[Any]:
        return explained(wanted, with_glibc(glibc, owner), tmp_path)[1].select("words", "misses", "proof").rows()

    os = "os rhel9 instead of rhel8"
    assert causes(rhel8, rhel8) == [(os, 1, "proven")]
    assert causes({"version": "2.28"} | rhel8, rhel8) == [
        (os, 1, "proven"),
        ("glibc 2.34 instead of 2.28", 1, "proven"),
    ]
    # Its recipe is another, too, which nothing tells: that it is for the same system explains it best.
    assert causes({"package_hash": "new"} | rhel8, rhel8) == [(os, 1, "supposed")]
    # Here nothing does.
    assert causes({"package_hash": "new"}, {}) == [("glibc: something that no column shows", 1, "supposed")]
    # What is wanted is not for the system of what needs it, so neither needs to be the other.
    odd = {"arch": {"platform": "linux", "platform_os": "fedora40", "target": "x86_64_v3"}}
    found = explained(with_glibc(odd, {}), with_glibc(odd | {"package_hash": "new"}, rhel8), tmp_path)[1]
    assert found.select("words", "proof").rows() == [
        ("os rhel9 instead of rhel8 (a)", "proven"), ("glibc: something that no column shows", "supposed")
    ]  # fmt: skip
    # One of those that need it tells, if not each of them.
    for moved, stays in ("ab", "ba"):
        wanted_two = with_glibc({}, {}) | user_of("b", {}, {})
        cached_two = glibc_of(rhel8) | user_of(moved, rhel8, rhel8) | user_of(stays, rhel8, {})
        found = explained(wanted_two, cached_two, tmp_path)[1]
        assert found.select("words", "misses", "proof").rows() == [(os, 2, "proven")]
    # Nothing shows a difference where formats do.
    notes = {"annotations": {"original_specfile_version": 5}}
    assert explained(wanted, with_glibc({"package_hash": "new"} | notes, notes), tmp_path)[1].is_empty()
    # What cures nothing by itself is proven where it stands.
    newer = explained(wanted, with_glibc({"package_hash": "new"}, {"version": "0.9"}), tmp_path)[1]
    assert newer.select("words", "cures", "proof").rows() == [
        ("a 1.0 instead of 0.9", 0, "proven"), ("glibc: something that no column shows", 0, "supposed")
    ]  # fmt: skip


def test_a_difference_of_representation_is_no_cause_and_nothing_cures_it(tmp_path: Path) -> None:
    # Since Spack 1.0 the compiler is a dependency, and so is what wraps it.
    old = dag(("z", [], {}), ("a", ["z"], {}))
    gcc = node("gcc", "", version="13.2.0", external={"path": "/usr"}, package_hash="p====")
    gcc["hash"] = hashed(gcc)
    note = {"annotations": {"original_specfile_version": 5}}
    wrapper = {key: value for key, value in (small("compiler-wrapper", {}) | note).items() if key != "compiler"}
    wrapper["hash"] = hashed(wrapper)
    new: Nodes = {gcc["hash"]: gcc, wrapper["hash"]: wrapper}
    toolchain = [
        edge("gcc", gcc["hash"], ["build"], ["c"]),
        edge("compiler-wrapper", wrapper["hash"], ["build"], []),
    ]
    digest = ""
    for name in "za":
        needs = [*toolchain, *([edge("z", digest, ["link"], [])] if digest else [])]
        one = {key: value for key, value in small(name, {}).items() if key != "compiler"}
        one |= {"dependencies": needs} | note
        digest = hashed(one)
        new[digest] = one | {"hash": digest}
    for wanted, cached in ((new, old), (old, new)):
        matches, causes = explained(wanted, cached, tmp_path)
        near = matches.filter(status="near")
        assert near.select("package", "differs", "causes", "cause_fields", "proof").rows() == [
            ("z", "representation", None, None, "supposed"),
            ("a", "dependencies,representation", None, None, "supposed"),
        ]
        assert causes.is_empty()
        assert hits_if_target_changed(matches).is_empty()
    elsewhere = {key: {"arch": one["arch"] | {"target": "zen4"}} for key, one in old.items()}
    matches, causes = explained(changed_dag(old, elsewhere), new, tmp_path)
    assert causes.select("words", "cures").rows() == [("target zen4 instead of x86_64_v3", 0)]
    assert hits_if_target_changed(matches).is_empty()
    # What differs besides is a cause, and still cures nothing.
    changed = changed_dag(old, {key: {"version": "9"} for key, one in old.items() if one["name"] == "z"})
    matches, causes = explained(changed, new, tmp_path)
    assert causes.select("words", "cures", "misses", "proof").rows() == [("z 9 instead of 1.0", 0, 2, "supposed")]
    assert set(matches.filter(status="near")["differs"]) == {
        "version,representation", "dependencies,representation"
    }  # fmt: skip


def test_a_dependency_that_the_dataset_does_not_hold_is_told(tmp_path: Path) -> None:
    cached = dag(("z", [], {}), ("y", ["z"], {}), ("a", ["y"], {}))
    wanted = dag(("z", [], {"package_hash": "new"}), ("y", ["z"], {}), ("a", ["y"], {}))
    environment = environment_of(wanted, tmp_path)
    specs, dependencies = tables(cached)
    rest = specs.filter(pl.col("package") != "y")
    found = cs.causes(environment, rest, dependencies=dependencies)
    assert found.filter(field="unknown").select("words", "cures", "proof").rows() == [
        ("y: the cached one is not in the dataset", 1, "supposed")
    ]
    # It may be among other specs of the snapshot, which are not asked about.
    among = cs.causes(environment, rest, dependencies=dependencies, among=specs)
    assert among.select("field", "cures", "misses", "proof").rows() == [("recipe", 2, 2, "proven")]
    newer = changed_dag(wanted, {key: {"version": "2"} for key, one in wanted.items() if one["name"] == "y"})
    found = cs.causes(environment_of(newer, tmp_path), rest, dependencies=dependencies)
    assert found.filter(package="y").select("words", "proof").rows() == [("y 2 instead of 1.0", "supposed")]


def test_a_node_whose_hash_is_another_proves_nothing(tmp_path: Path) -> None:
    cached = dag(("a", [], {}))
    wanted = dag(("a", [], {"version": "9"}))
    ((digest, one),) = wanted.items()
    matches, _ = explained(wanted, cached, tmp_path)
    assert matches["proof"].to_list() == ["proven"]
    matches, _ = explained({digest: one | {"unheard": "of"}}, cached, tmp_path)
    assert matches["proof"].to_list() == ["supposed"]


def test_an_environment_without_nodes_is_compared_and_nothing_proven(tmp_path: Path) -> None:
    cached = dag(("z", [], {}), ("a", ["z"], {}))
    wanted = environment_of(dag(("z", [], {"version": "9"}), ("a", ["z"], {})), tmp_path)
    specs, dependencies = tables(cached)
    bare = cs.Environment(wanted.specs, wanted.dependencies)
    found = cs.causes(bare, specs, dependencies=dependencies)
    assert found.select("words", "cures", "misses", "proof").rows() == [("z 9 instead of 1.0", 2, 2, "supposed")]


@pytest.mark.parametrize(
    "odd", [{"patches": 5}, {"patches": [5]}, {"provided_virtuals": {"mpi": 1}}, {"external": False}, {"x": [[[]] * 3]}]
)
def test_what_else_stands_in_a_node_does_not_matter(odd: dict[str, Any], tmp_path: Path) -> None:
    cached = dag(("a", [], {"parameters": {"patches": ["1234567" + "a" * 57]}}), ("b", [], {}))
    wanted = dag(("a", [], odd), ("b", [], {"version": "2"}))
    matches, _ = explained(wanted, cached, tmp_path)
    assert dict(matches.select("package", "proof").rows()) == {"a": "supposed", "b": "proven"}


def test_environments_of_the_first_formats_are_compared_and_nothing_proven(tmp_path: Path) -> None:
    arch = {"platform": "linux", "platform_os": "rhel7", "target": "x86_64"}
    nodes = {
        "z": {"z": {"version": "1", "arch": arch, "compiler": {"name": "gcc", "version": "7"}}},
        "a": {"a": {"version": "1", "arch": arch, "dependencies": {"z": {"hash": "z", "type": ["link"]}}}},
    }
    (tmp_path / "spack.lock").write_text(json.dumps(lockfile(nodes, ["a"], 1)))
    environment = cs.read_environment(tmp_path / "spack.lock")
    specs = environment.specs.drop("is_root").with_columns(hash=pl.lit("-") + pl.col("hash"), os=pl.lit("rhel6"))
    found = cs.match(environment, specs, dependencies=environment.dependencies.clear())
    assert found.select("package", "causes", "proof").rows() == [
        ("z", "os rhel7 instead of rhel6", "supposed"), ("a", "os rhel7 instead of rhel6", "supposed")
    ]  # fmt: skip


def test_odd_variants_are_named(tmp_path: Path) -> None:
    cached = dag(("a", [], {}))
    environment = environment_of(dag(("a", [], {"version": "2"})), tmp_path)
    specs, dependencies = tables(cached)
    odd = specs.with_columns(variants=pl.lit("+b  x=''"), version=pl.lit("2"))
    found = cs.causes(environment, odd, dependencies=dependencies)
    assert found["words"].to_list() == ["a 2+shared build_system=cmake instead of +b x="]


def test_an_environment_without_a_column_is_told(tmp_path: Path) -> None:
    environment = environment_of(dag(("a", [], {})), tmp_path)
    specs, _ = tables(dag(("a", [], {})))
    for specs_of, dependencies in (
        (environment.specs.drop("build_spec_hash"), environment.dependencies),
        (environment.specs, environment.dependencies.drop("virtuals")),
    ):
        with pytest.raises(ArgumentError, match=r"expected the columns .*, found "):
            cs.match(cs.Environment(specs_of, dependencies), specs)
