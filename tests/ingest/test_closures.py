"""What a host can reuse, against Spack's own answers and against plain loops over an index."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cachestats as cs
from cachestats.analysis.reuse import REUSED
from cachestats.errors import ArgumentError
from cachestats.ingest.assemble import assemble
from cachestats.ingest.closures import add_requirements, requirements_table
from cachestats.ingest.part import count_requirements
from cachestats.parse.index import read_index
from cachestats.parse.records import Fragment
from cachestats.requirement import Requirement
from cachestats.schema import REQUIREMENTS, SPECS
from conftest import CORPUS
from tests.support.indices import build_index, edge_to, glibc, needs_libc, node_record
from tests.support.judging import ask
from tests.support.reference import reused

ORACLE = CORPUS / "oracle"


def reused_hashes(specs: Any, host: cs.Host, spack: Any = None) -> set[str]:
    found = cs.reusable(specs, host=host, spack=spack)
    return set(found.filter(pl.col("status").is_in([*REUSED, "external"]))["hash"])


def oracle_host(text: str) -> cs.Host:
    target, os, libc = text.split(":")
    return cs.Host(target=target, os=os, libc=None if libc.startswith("none") else libc)


@pytest.mark.slow
def test_it_is_what_spacks_own_objects_say(indexed: cs.Dataset) -> None:
    oracle = json.loads((ORACLE / "reuse.json").read_text())
    compared = 0
    for snapshot, by_rules in oracle.items():
        specs = indexed.specs.filter(pl.col("snapshot") == snapshot).collect()
        index = json.loads((CORPUS / "mirrors" / snapshot / "build_cache/index.json").read_text())
        for rules, hosts in by_rules.items():
            for text, expected in hosts.items():
                host = oracle_host(text)
                found = reused_hashes(specs, host, rules)
                packages = specs.filter(pl.col("hash").is_in(list(found)))["package"].n_unique()
                digest = hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()
                assert (len(found), packages, digest) == tuple(expected.values()), (snapshot, rules, text)
                name, _, version = (host.libc or "").partition("@")
                libc = (name, version) if host.libc else None
                by_hand = reused(index, target=host.target, os=str(host.os), libc=libc, rules=rules)
                assert found == by_hand, (snapshot, rules, text)
                compared += 1
    assert compared == 120


def test_each_snapshot_is_judged_by_the_rules_of_the_spack_that_wrote_it(indexed: cs.Dataset) -> None:
    assert dict(indexed.snapshots.select("snapshot", "reuse_rules").collect().iter_rows()) == {
        "develop-2024-03-17": "0.21",
        "develop-2024-04-14": "0.21",
        "develop-2024-06-02": "0.23",
        "develop-2025-03-09": "0.23",
        "develop-2025-05-25": "1.1",
    }
    oracle = json.loads((ORACLE / "reuse.json").read_text())
    host = cs.Host(target="zen4", os="ubuntu22.04")
    found = cs.reusable(indexed.specs, host=host).filter(pl.col("status").is_in(REUSED))
    counts = dict(found.group_by("snapshot").len().iter_rows())
    rules = dict(indexed.snapshots.select("snapshot", "reuse_rules").collect().iter_rows())
    assert counts == {name: oracle[name][rules[name]]["zen4:ubuntu22.04:glibc@2.35"]["specs"] for name in rules}


def test_what_the_solver_took_can_be_reused(indexed: cs.Dataset) -> None:
    """Spack's solver on Debian 12 took all of an environment, and most of 30 packages, from the cache."""
    specs = indexed.specs.filter(pl.col("snapshot") == "develop-2024-06-02").collect()
    found = reused_hashes(specs, cs.Host(target="x86_64_v4", os="debian12"))
    lockfile = json.loads((CORPUS / "environments/reuse.spack.lock").read_text())
    taken = {key for key, node in lockfile["concrete_specs"].items() if "external" not in node}
    assert len(taken) == 71
    assert taken <= found
    solver = json.loads((ORACLE / "solver.json").read_text())
    usable = set(specs.filter(pl.col("hash").is_in(list(found)))["package"])
    took = {package for package, answer in solver.items() if answer["root_from_cache"]}
    assert took <= usable
    assert len(usable.intersection(solver) - took) <= 3


# Generated indices: DAGs, and sometimes cycles, of few specs with everything that rules look at.
NAMES = ["a", "b", "c", "gcc-runtime", "compiler-wrapper"]
GLIBC = {f"glibc{number}": version for number, version in enumerate(["2.9", "2.35", "2.39"])}
EXTERNALS = ["cuda", "apple-libuuid"]
HOSTS = [
    cs.Host(target="zen4", os="ubuntu22.04"),
    cs.Host(target="zen4", os="rhel9"),
    cs.Host(target="x86_64_v3", os="ubuntu24.04"),
    cs.Host(target="zen4", libc="musl@1.2.5", os="alpine3.20"),
    cs.Host(target="m2", os="sonoma"),
    cs.Host(target="unheard", os="ubuntu22.04"),
]


@st.composite
def indices(draw: st.DrawFn) -> dict[str, Any]:
    """Return an index of a few specs."""
    keys = [f"{number:032}" for number in range(draw(st.integers(1, 7)))]
    installs: dict[str, Any] = {}
    for name, version in GLIBC.items():
        path = draw(st.sampled_from(["/usr", "/usr", "/opt"]))
        installs[name] = external("glibc", version, path)
    for name in EXTERNALS:
        installs[name] = external(name, "1.0", f"/opt/{name}")
    has_cycles = draw(st.booleans())
    for place, key in enumerate(keys):
        ends = keys if has_cycles else keys[place + 1 :]
        ends = [end for end in ends if end != key] + EXTERNALS + ["gone"]
        edges = [
            link(end, draw(st.sampled_from([["build"], ["link"], ["run"], ["build", "link", "run"], ["test"]])), [])
            for end in draw(st.sets(st.sampled_from(ends), max_size=3))
        ]
        if draw(st.integers(0, 3)):
            edges.append(link(draw(st.sampled_from(list(GLIBC))), ["link"], ["libc"]))
        platform, oses = draw(
            st.sampled_from([("linux", ["ubuntu22.04", "rhel8"])] * 3 + [("darwin", ["ventura", "sonoma"])])
        )
        node: dict[str, Any] = {
            "name": draw(st.sampled_from(NAMES)),
            "version": "1.0",
            "arch": {
                "platform": platform,
                "platform_os": draw(st.sampled_from(oses)),
                "target": draw(
                    st.sampled_from(["x86_64", "x86_64_v3", "zen4", "aarch64", "unheard", {"name": "zen3"}])
                ),
            },
            "namespace": "builtin",
            "parameters": draw(st.sampled_from([{"mpi": True}] * 4 + [{"dev_path": "/home/me/src"}])),
            "dependencies": edges,
            "hash": key,
        }
        if draw(st.integers(0, 3)) == 0:
            node["annotations"] = {"original_specfile_version": draw(st.sampled_from([4, 5]))}
        if draw(st.integers(0, 5)) == 0:
            node["build_spec"] = {"name": node["name"], "hash": "f" * 32}
        installs[key] = {"spec": node, "in_buildcache": bool(draw(st.integers(0, 4)))}
    return {"database": {"version": draw(st.sampled_from(["7", "8"])), "installs": installs}}


def external(name: str, version: str, path: str) -> dict[str, Any]:
    arch = {"platform": "linux", "platform_os": "ubuntu22.04", "target": "x86_64"}
    node = {
        "name": name,
        "version": version,
        "arch": arch,
        "external": {"path": path, "module": None},
        "parameters": {},
    }
    return {"spec": node, "in_buildcache": False}


def link(key: str, deptypes: list[str], virtuals: list[str]) -> dict[str, Any]:
    return {"name": key, "hash": key, "parameters": {"deptypes": deptypes, "virtuals": virtuals}}


def tables_of(index: dict[str, Any], rules: Any = "1.1") -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tables `specs` and `requirements` of an index."""
    piece = read_index(json.dumps(index).encode(), origin="index", snapshot="develop", stack="root")
    assert isinstance(piece, Fragment)
    assert not piece.findings
    tables = assemble([piece])
    specs = add_requirements(tables.specs, tables.dependencies, rules)
    table = requirements_table("develop", count_requirements(specs)).cast(REQUIREMENTS.arrow())
    frame = pl.DataFrame(specs)
    assert table.column("requirement").to_pylist() == sorted(frame["requirement"].unique())
    assert sum(table.column("num_specs").to_pylist()) == frame["hash"].n_unique()
    for text in frame["requirement"].unique():
        assert str(Requirement.parse(text)) == text
    return frame, pl.DataFrame(table)


def name_ends(index: dict[str, Any]) -> dict[str, Any]:
    """Give the edges of an index the names of the packages that they lead to."""
    installs = index["database"]["installs"]
    for record in installs.values():
        for end in record["spec"].get("dependencies", []):
            end["name"] = installs[end["hash"]]["spec"]["name"] if end["hash"] in installs else "gone"
    return index


@pytest.mark.slow
@given(indices(), st.sampled_from(HOSTS), st.sampled_from(["0.21", "0.23", "1.1"]))
@settings(max_examples=300)
def test_any_index_is_judged_as_by_plain_loops(index: dict[str, Any], host: cs.Host, rules: Any) -> None:
    specs, _ = tables_of(name_ends(index))
    name, _, version = (host.libc or "").partition("@")
    libc = (name, version) if host.libc else None
    asked: dict[str, Any] = {"target": host.target, "os": str(host.os), "libc": libc, "rules": rules}
    answer = cs.reusable(specs, host=host, spack=rules)
    assert answer["hash"].is_unique().all()
    usable = set(answer.filter(pl.col("status").is_in(REUSED))["hash"])
    with_externals = usable | set(answer.filter(pl.col("status") == "external")["hash"])
    assert usable == reused(index, **asked, declared=set())
    assert with_externals == reused(index, **asked)
    assert (answer["by"].is_null() == answer["status"].is_in(REUSED)).all()


@given(indices(), st.sampled_from(HOSTS), st.sampled_from(["0.21", "0.23", "1.1"]))
def test_the_columns_of_a_requirement_say_what_its_text_does(index: dict[str, Any], host: cs.Host, rules: Any) -> None:
    frames = tables_of(name_ends(index), rules)
    query = "SELECT DISTINCT hash, status FROM judged"
    assert sorted(ask(query, frames, [host])) == sorted(
        cs.reusable(frames[0], host=host).select("hash", "status").rows()
    )


def test_what_several_specs_ask_is_joined(tmp_path: Path) -> None:
    here, old = glibc("2.35"), glibc("2.9")
    elsewhere = node_record("glibc", "other", version="2.41", external="/opt/glibc")
    uuid = node_record("apple-libuuid", version="1353", external="/sdk", platform="darwin")
    cuda = node_record("cuda", version="12.4", external="/usr/local/cuda", parameters={"dev": False})
    low = node_record("low", "", needs_libc(old), target="x86_64_v4", os="rhel8")
    high = node_record("high", "", needs_libc(here), edge_to(low), edge_to(cuda), target="zen3")
    strange = node_record("strange", "", needs_libc(elsewhere))
    mac = {"platform": "darwin", "target": "m1"}
    older = node_record("older", "", edge_to(uuid), os="ventura", **mac)
    newer = node_record("newer", "", edge_to(older), os="sonoma", **mac | {"target": "aarch64"})
    gone = node_record("gone", "zz", cached=False)
    lacks = node_record("lacks", "", edge_to(gone, "run"))
    dataset = build_index(tmp_path, here, elsewhere, old, uuid, cuda, low, high, strange, older, newer, gone, lacks)
    columns = ("platform", "os", "target", "libc", "libc_version", "libc_version_key", "missing", "externals")
    found = dataset.specs.join(dataset.scan("requirements"), on=["snapshot", "requirement"], suffix="_needed")
    rows = found.select("package", *(name if name not in SPECS.polars() else f"{name}_needed" for name in columns))
    rhel8 = ("linux", "rhel8", "x86_64_v4", "glibc", "2.9", "v0002.0009.")
    both = ("linux", "rhel8,ubuntu22.04", "x86_64_v4,zen3", "glibc", "2.35", "v0002.0035.")
    ubuntu = ("linux", "ubuntu22.04", "x86_64_v3")
    assert rows.sort("package").collect().rows() == [
        ("high", *both, None, "cuda@12.4 build_system=generic ~dev prefix=/usr/local/cuda"),
        ("lacks", *ubuntu, None, None, None, "gone/zzaaaaa", None),
        ("low", *rhel8, None, None),
        ("newer", "darwin", "sonoma", "m1", None, None, None, None, None),
        ("older", "darwin", "ventura", "m1", None, None, None, None, None),
        ("strange", *ubuntu, "glibc at /opt/glibc", "2.41", "v0002.0041.", None, None),
    ]


@pytest.mark.slow
def test_a_page_is_judged_by_what_is_usual(corpus: cs.Dataset, indexed: cs.Dataset) -> None:
    """Pages tell neither libc nor dependencies, but where every spec names its libc it is the usual one."""
    host = cs.Host(target="zen4", os="rhel9")
    for snapshot in ("develop-2024-03-17", "develop-2024-06-02", "develop-2025-03-09"):
        found = [
            reused_hashes(dataset.specs.filter(pl.col("snapshot") == snapshot), host, "0.23")
            for dataset in (corpus, indexed)
        ]
        assert found[0] == found[1], snapshot


def test_a_host_whose_libc_is_not_known_gets_an_answer_for_each(indexed: cs.Dataset) -> None:
    newest = indexed.specs.filter(pl.col("snapshot") == "develop-2025-05-25")
    with pytest.raises(ArgumentError, match="expected the operating system or libc of the host"):
        cs.usable(newest, host="zen4")
    found = cs.usable_by_system(newest, host="zen4")
    assert found.select("system", "packages").rows() == [("glibc@2.27", 242), ("glibc@2.35", 529), ("glibc@2.39", 635)]
    for system, packages in found.select("system", "packages").rows():
        cells = cs.usable(newest, host=cs.Host(target="zen4", libc=system)).filter(pl.col("cell") != "missing")
        assert cells["package"].n_unique() == packages
    oldest = indexed.specs.filter(pl.col("snapshot") == "develop-2024-03-17")
    assert cs.usable_by_system(oldest, host="zen4")["system"].to_list() == ["ubuntu18.04", "ubuntu22.04"]
    with pytest.raises(ArgumentError, match="expected the operating system of the host"):
        cs.usable(oldest, host="zen4:glibc@2.35")
