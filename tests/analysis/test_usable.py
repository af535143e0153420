"""What a host can use, against plain SQL over the columns of `requirements`, and what must hold whatever the specs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import archspec.cpu
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import cachestats as cs
from cachestats.analysis.reuse import REUSED
from cachestats.errors import ArgumentError
from cachestats.hosts import host_of
from cachestats.naming import version_key
from cachestats.packages_yaml import DeclaredExternal
from cachestats.report.matrix import Cell, Matrices
from cachestats.targets import host_target, runnable, target_order
from tests.support.cli import run
from tests.support.indices import build_index, edge_to, glibc, needs_libc, node_record
from tests.support.judging import CUDA, HOSTS, RULES, RUNS, Frames, ancestors, ask, hosts, needs
from tests.support.site import page, write
from tests.support.site import spec as site_spec

NEAREST_FIRST = ("external", "incomplete", "libc", "os", "format", "target", "platform", "excluded")


DECLARES_CUDA = (DeclaredExternal.parse("cuda@12", prefix="/usr/local/cuda"),)


def agrees_with_sql(frames: Frames, host: cs.Host, rules: Any) -> None:
    """Compare what is said of each spec with DuckDB, and that of each version with what is said of its specs."""
    specs, _ = frames
    each = cs.reusable(specs, host=host, spack=rules)
    query = "SELECT DISTINCT snapshot, package, version, hash, target, status, why FROM judged"
    assert sorted(each.rows()) == sorted(ask(query, frames, [host], rules))
    keys = [(row[1], version_key(row[2]), row[2], row[0], row[3]) for row in each.rows()]
    assert keys == sorted(keys)
    versions: dict[tuple[str, str], list[tuple[str, str, str | None]]] = {}
    for _, package, version, _, *said in each.rows():
        versions.setdefault((package, version), []).append(tuple(said))
    found = cs.usable(specs, host=host, spack=rules)
    assert found.select("package", "version").rows() == [*versions]
    for (*_, cell, best, number, status, by), said in zip(found.rows(), versions.values(), strict=True):
        built_for = [target for target, its_status, _ in said if its_status in REUSED]
        expected = "native" if host.target in built_for else "usable" if built_for else "missing"
        assert (cell, number) == (expected, len(built_for))
        assert not built_for or best in built_for
        assert not any(best in ancestors(target) for target in built_for)
        ways = [(NEAREST_FIRST.index(status), status, why) for _, status, why in said if status not in REUSED]
        nearest = [(status, why) for place, status, why in ways if place == min(place for place, *_ in ways)]
        assert (best is None) == (cell == "missing")
        assert (status, by) in (nearest if cell == "missing" else [(None, None)])


@pytest.mark.slow
@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("host", HOSTS, ids=str)
def test_every_host_is_as_in_sql(host: cs.Host, rules: Any, many: pl.DataFrame, many_needs: pl.DataFrame) -> None:
    agrees_with_sql((many, many_needs), host, rules)
    found = cs.usable(many, host=host, spack=rules)
    texts = ("package", "version", "cell", "best_target", "num_specs", "status", "by")
    assert dict(found.schema) == dict.fromkeys(texts, pl.String) | {"num_specs": pl.Int64}


@given(needs, hosts, st.sampled_from(RULES))
def test_any_specs_are_as_in_sql(frames: Frames, host: cs.Host, rules: Any) -> None:
    agrees_with_sql(frames, host, rules)


@given(needs, hosts, st.sampled_from(RULES), st.randoms(use_true_random=False))
def test_neither_row_order_nor_repeats_matter(frames: Frames, host: cs.Host, rules: Any, draw: random.Random) -> None:
    specs, _ = frames
    shuffled = specs.sample(fraction=1, shuffle=True, seed=draw.randrange(1 << 30))
    for question in (cs.usable, cs.reusable, cs.usable_by_system):
        again = question(pl.concat([shuffled, specs]).lazy(), host=host, spack=rules)
        assert again.equals(question(specs, host=host, spack=rules))


def used(specs: pl.DataFrame, host: cs.Host, rules: Any) -> set[tuple[Any, ...]]:
    found = cs.reusable(specs, host=host, spack=rules)
    return set(found.filter(pl.col("status").is_in(REUSED)).select("snapshot", "hash").rows())


@given(needs, hosts, st.sampled_from(RULES), st.data())
def test_what_an_ancestor_can_use_its_descendants_can(
    frames: Frames, host: cs.Host, rules: Any, data: st.DataObject
) -> None:
    specs, _ = frames
    ancestor = replace(host, target=data.draw(st.sampled_from(runnable(host.target))))
    assert used(specs, ancestor, rules) <= used(specs, host, rules)
    above, below = (cs.usable(specs, host=one, spack=rules) for one in (host, ancestor))
    assert below.select("package", "version").equals(above.select("package", "version"))
    assert (below["num_specs"] <= above["num_specs"]).all()


@given(needs, st.sampled_from(["zen4", "x86_64_v3"]), st.sampled_from(["0.23", "1.1"]))
def test_what_a_glibc_can_use_newer_ones_can(frames: Frames, target: str, rules: Any) -> None:
    versions = ("2.4", "2.9", "2.28", "2.34", "2.35", "2.100")
    found = [used(frames[0], cs.Host(target, libc=f"glibc@{version}"), rules) for version in versions]
    assert all(older <= newer for older, newer in pairwise(found))


@pytest.mark.slow
@settings(max_examples=50)
@given(needs, hosts, st.sampled_from(RULES))
def test_who_declares_an_external_can_use_more_and_no_others_change(frames: Frames, host: cs.Host, rules: Any) -> None:
    specs, _ = frames
    without, declaring = (replace(host, externals=externals) for externals in ((), DECLARES_CUDA))
    before, after = (cs.reusable(specs, host=one, spack=rules) for one in (without, declaring))
    assert before.equals(cs.reusable(specs, host=host, spack=rules))
    changed = before["status"] != after["status"]
    assert set(before.filter(changed).select("status", "by").rows()) <= {("external", "cuda@12.4 at /usr/local/cuda")}
    assert after.filter(status="external").is_empty()
    assert set(after.filter(changed)["status"]) <= set(REUSED)
    agrees_with_sql(frames, declaring, rules)


def spec(hash_: str, requirement: str, **fields: Any) -> dict[str, Any]:
    """Return a spec of one package and version."""
    words = dict(word.split("=", 1) for word in requirement.split() if "=" in word)
    same = {"package": "hdf5", "version": "1.14", "snapshot": "develop"} | {
        key: words[key] for key in ("platform", "os", "target")
    }
    return same | {"hash": hash_, "requirement": requirement} | fields


def test_of_two_ancestors_the_nearer_is_better() -> None:
    # archspec lists aarch64 before armv8.5a, of which it is an ancestor.
    targets = ("aarch64", "armv8.5a", "neoverse_v1", "zen2", "x86_64_v4", "zen3")
    specs = pl.DataFrame(
        [
            spec(target, f"platform=linux os=rhel9 target={target} libc=glibc@2.34 format=5 spack=1.1")
            for target in targets
        ]
    )
    assert cs.usable(specs, host="neoverse_v2:rhel9").rows() == [("hdf5", "1.14", "usable", "armv8.5a", 2, None, None)]
    assert cs.usable(specs, host="zen4:rhel9").rows() == [("hdf5", "1.14", "usable", "zen3", 3, None, None)]
    without = specs.filter(pl.col("target") != "zen3")
    assert cs.usable(without, host="zen4:rhel9")["best_target"].item() == "x86_64_v4"
    assert cs.usable(specs, host="neoverse_v1:rhel9").rows() == [
        ("hdf5", "1.14", "native", "neoverse_v1", 2, None, None)
    ]


def test_what_is_missing_says_what_stands_in_the_way_of_the_nearest() -> None:
    linux = "platform=linux os=ubuntu24.04 target=x86_64_v3"
    nearer = [
        "platform=darwin os=sonoma target=m1 format=5 spack=1.1",
        f"{linux} target=zen5 libc=glibc@2.28 format=5 spack=1.1",
        f"{linux} libc=glibc@2.28 format=4 spack=1.1",
        f"{linux} libc=glibc@2.28 format=4 spack=0.21",
        f"{linux} libc=glibc@2.100 format=5 spack=1.1",
        f"{linux} libc=glibc@2.39 format=5 spack=1.1",
        f"{linux} libc=glibc@2.28 format=5 missing=zlib/abc spack=1.1",
        f"{linux} libc=glibc@2.28 format=5 'external={CUDA}' spack=1.1",
    ]
    specs = [spec(f"{place}", text) for place, text in enumerate(nearer)]
    specs.append(spec("x", f"{linux} libc=glibc@2.28 format=5 excluded=compiler-wrapper spack=1.1"))
    found = []
    for number in range(1, len(nearer) + 1):
        rows = pl.DataFrame([*specs[:number], specs[-1]])
        found.append(cs.usable(rows, host="zen4:rhel9").select("cell", "num_specs", "status", "by").row(0))
    assert found == [
        ("missing", 0, "platform", "darwin"),
        ("missing", 0, "target", "zen5"),
        ("missing", 0, "format", "format 4"),
        ("missing", 0, "os", "ubuntu24.04"),
        ("missing", 0, "libc", "glibc@2.100"),
        ("missing", 0, "libc", "glibc@2.39"),
        ("missing", 0, "incomplete", "zlib/abc"),
        ("missing", 0, "external", "cuda@12.4 at /usr/local/cuda"),
    ]
    (never,) = cs.usable(pl.DataFrame(specs[-1:]), host="zen4:rhel9").select("status", "by").rows()
    assert never == ("excluded", "compiler-wrapper")


def test_what_a_machine_runs_is_what_the_table_says_and_ancestors_come_last() -> None:
    for machine in archspec.cpu.TARGETS:
        order = runnable(machine)
        assert order[0] == machine
        assert sorted(order) == sorted(RUNS.filter(runs_on=machine)["target"])
        for place, target in enumerate(order):
            assert not {*runnable(target)[1:]} & {*order[:place]}
    assert runnable("unheard") == ("unheard",)
    assert host_target() in archspec.cpu.TARGETS


@given(
    needs,
    st.sampled_from(["zen4", "x86_64_v3", "m2", "unheard"]),
    st.sampled_from(["linux", "linux", "darwin", "cray"]),
    st.sampled_from(RULES),
    st.sampled_from([None, DECLARES_CUDA]),
)
def test_a_target_alone_has_an_answer_for_each_libc_and_operating_system(
    frames: Frames, target: str, platform: str, rules: Any, externals: Any
) -> None:
    specs, requirements = frames
    host = cs.Host(target, platform=platform, externals=externals)
    found = cs.usable_by_system(specs, host=host, spack=rules)
    libcs, oses = set(), set()
    for row in requirements.rows(named=True):
        if row["platform"] != platform or not {*row["target"].split(",")} <= {*runnable(target)}:
            continue
        if platform != "linux" or (rules or row["reuse_rules"]) == "0.21":
            oses |= {*row["os"].split(",")}
        elif row["libc"] and " at " not in row["libc"]:
            libcs.add((row["libc"], tuple(map(int, row["libc_version"].split("."))), row["libc_version"]))
    systems = [f"{name}@{version}" for name, _, version in sorted(libcs)]
    assert found["system"].to_list() == (systems + sorted(oses) or ["any"])
    one_by_one = [replace(host, libc=system) for system in systems]
    one_by_one += [replace(host_of(target, platform, os), externals=externals) for os in sorted(oses)]
    query = """
        SELECT (SELECT count(DISTINCT package) FROM mine), (SELECT count(DISTINCT (snapshot, hash)) FROM mine),
            count(DISTINCT package)
        FROM specs
    """
    mine = f", mine AS (SELECT * FROM judged WHERE status IN {REUSED})"
    for one, counts in zip(one_by_one or [host], found.drop("system").rows(), strict=True):
        assert ask(f"{mine} {query}", frames, [one], rules) == [counts]


def hosts_of(specs: pl.DataFrame) -> list[cs.Host]:
    """Return the hosts with every target and every operating system of a platform."""
    targets, oses = (specs.select(name, "platform").unique() for name in ("target", "os"))
    return [host_of(*row) for row in targets.join(oses, on="platform").select("target", "platform", "os").rows()]


def cells_in_sql(frames: Frames, rows: str, host: cs.Host | None, rules: Any) -> list[tuple[object, ...]]:
    """Answer with DuckDB what hosts of each target can use."""
    specs, requirements = frames
    if rows == "stack":
        specs = specs.filter(pl.col("stack").ne_missing("root"))
    targets = set(specs["target"])
    asked = hosts_of(specs) if host is None else [replace(host, target=target) for target in targets]
    is_row = "os = host_os" if rows == "os" and host is None else "true"
    query = f"""
        , found AS (
            SELECT "{rows}" AS name, runs_on AS target, bool_or(status = 'native') AS is_native
            FROM judged WHERE status IN {REUSED} AND {is_row} GROUP BY ALL)
        SELECT every.name, every.target,
            CASE WHEN is_native THEN 'native' WHEN found.target IS NOT NULL THEN 'usable' ELSE 'missing' END
        FROM (SELECT * FROM (SELECT DISTINCT "{rows}" AS name FROM specs), (SELECT DISTINCT target FROM specs)) AS every
        LEFT JOIN found ON every.name IS NOT DISTINCT FROM found.name AND every.target = found.target
        ORDER BY 1 NULLS LAST, 2 NULLS LAST
    """
    return ask(query, (specs, requirements), asked, rules)


AXES = ("package", "version", "stack", "os", "platform", "snapshot", "compiler")


@pytest.mark.slow
@pytest.mark.parametrize("rows", AXES)
def test_the_cells_of_targets_are_as_in_sql(rows: Any, many: pl.DataFrame, many_needs: pl.DataFrame) -> None:
    for host, rules in ((None, None), (None, "0.23"), (HOSTS[1], None)):
        found = cs.coverage(many, rows=rows, columns="target", usable=True, host=host, spack=rules)
        assert found.rows() == cells_in_sql((many, many_needs), rows, host, rules)
        assert found.columns == [rows, "target", "value"]


@given(
    needs,
    st.sampled_from(AXES),
    st.none() | st.sampled_from([one for one in HOSTS if one.target != "unheard"]),
    st.sampled_from(RULES),
)
def test_the_cells_of_any_specs_are_as_in_sql(frames: Frames, rows: Any, host: cs.Host | None, rules: Any) -> None:
    found = cs.coverage(frames[0], rows=rows, columns="target", usable=True, host=host, spack=rules)
    assert found.rows() == cells_in_sql(frames, rows, host, rules)


@given(needs, st.none() | hosts, st.sampled_from(RULES))
def test_a_cell_is_the_best_that_a_host_of_its_column_finds(frames: Frames, host: cs.Host | None, rules: Any) -> None:
    specs, _ = frames
    assume(specs.height)
    found = cs.coverage(specs, rows="package", columns="target", usable=True, host=host, spack=rules)
    cells = {row[:2]: row[2] for row in found.rows()}
    rank = ["missing", "usable", "native"]
    best = dict.fromkeys(cells, "missing")
    asked = hosts_of(specs)
    for one in [replace(host, target=target) for target in set(specs["target"])] if host else asked:
        for package, _, cell, *_ in cs.usable(specs, host=one, spack=rules).rows():
            best[package, one.target] = max(best[package, one.target], cell, key=rank.index)
    assert cells == best


@given(needs)
def test_what_is_native_is_counted_and_the_matrix_is_the_pivot(frames: Frames) -> None:
    specs, _ = frames
    cells = cs.coverage(specs, rows="package", columns="target", usable=True)
    counts = cs.coverage(specs, rows="package", columns="target")
    native = cells.filter(value="native").select("package", "target")
    assert set(native.rows()) <= set(counts.select("package", "target").rows())
    matrix = cs.coverage_matrix(specs, rows="package", columns="target", usable=True)
    assert matrix.columns[1:] == sorted(specs["target"].unique(), key=target_order)
    long = matrix.unpivot(index="package", variable_name="target", value_name="value")
    assert sorted(long.rows()) == cells.rows()


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("", "expected TARGET:OS, TARGET:LIBC or host, found ''"),
        (["zen4"], r"expected a host, found \['zen4'\]\nhint: pass cachestats.Host"),
        ("zen4:rhel99", "expected an operating system whose libc is known, found 'rhel99'"),
        ("zen4:glibc@new", "expected a libc with its version, such as glibc@2.34, found 'glibc@new'"),
        (
            "zen4",
            "expected the operating system or libc of the host, .* found zen4 with any linux\nhint: such as zen4:",
        ),
    ],
)
def test_no_host_is_an_error(host: Any, message: str, demo: cs.Dataset) -> None:
    for question in (cs.usable, cs.reusable):
        with pytest.raises(ArgumentError, match=message):
            question(demo.specs, host=host)
    with pytest.raises(ArgumentError, match=message):
        cs.gaps(demo.specs, by="target", host=host)


def test_where_operating_systems_are_compared_a_libc_is_not_enough(demo: cs.Dataset) -> None:
    with pytest.raises(
        ArgumentError, match=r"expected the operating system of the host.*\n.*such as zen4:ubuntu24\.04;"
    ):
        cs.usable(demo.specs, host="zen4:glibc@2.39", spack="0.21")
    assert cs.usable(demo.specs, host="zen4:glibc@2.39", spack="1.1").filter(cell="missing").is_empty()


def test_a_wrong_question_says_what_to_ask(demo: cs.Dataset) -> None:
    with pytest.raises(
        ArgumentError,
        match="expected the columns hash, package, requirement, .*keep version in the frame".replace(".*", r"(?s:.*)"),
    ):
        cs.usable(demo.specs.drop("version"), host="zen4:rhel9")
    with pytest.raises(ArgumentError, match="keep requirement in the frame"):
        cs.usable_by_system(demo.specs.drop("requirement"), host="zen4")
    with pytest.raises(ArgumentError, match=r"expected target as columns and no measure .* found os and specs"):
        cs.coverage(demo.specs, rows="package", columns="os", usable=True)
    with pytest.raises(ArgumentError, match="found target and share"):
        cs.coverage_matrix(demo.specs, rows="package", columns="target", measure="share", usable=True)
    with pytest.raises(ArgumentError, match="keep platform in the frame"):
        cs.coverage(demo.specs.drop("platform"), rows="package", columns="target", usable=True)
    for options in ({"host": HOSTS[0]}, {"spack": "1.1"}):
        with pytest.raises(ArgumentError, match="expected a host or rules only with usable, found them without it"):
            cs.coverage(demo.specs, rows="package", columns="target", **options)


def test_frames_of_every_kind_give_equal_answers(
    demo: cs.Dataset, kinds: Callable[[pl.DataFrame], dict[str, Any]]
) -> None:
    host = cs.Host("neoverse_v2", os="ubuntu24.04")
    questions: tuple[Callable[[Any], pl.DataFrame], ...] = (
        lambda specs: cs.usable(specs, host=host),
        lambda specs: cs.reusable(specs, host=host, spack="0.23"),
        lambda specs: cs.usable_by_system(specs, host="neoverse_v2"),
        lambda specs: cs.coverage(specs, rows="stack", columns="target", usable=True),
        lambda specs: cs.coverage(specs, rows="stack", columns="target", usable=True, host=host),
    )
    expected = [question(demo.specs) for question in questions]
    assert not any(answer.is_empty() for answer in expected)
    for name, frame in kinds(demo.specs.collect()).items():
        for place, question in enumerate(questions):
            assert question(frame).equals(expected[place]), (name, place)


ODD = ("a b", "x:y", "\x1b[31m", "'", "sonoma", "ubuntu22.04", "rhel8.4", "ž", "linux os=rhel9")


@given(st.sampled_from(ODD), st.sampled_from(ODD), st.sampled_from(["linux", "darwin", *ODD]), st.booleans())
def test_any_name_is_data_and_what_is_built_on_a_system_runs_on_it(
    tmp_path_factory: pytest.TempPathFactory, os: str, target: str, platform: str, is_old: bool
) -> None:
    snapshot = "develop-2024-01-07" if is_old else "develop"
    folder = tmp_path_factory.mktemp("odd")
    text = page("a", snapshot, [site_spec(os=os, target=target, platform=platform)])
    dataset = cs.build_dataset(write(folder / "site", {(snapshot, "a"): text}), out=folder / "dataset")
    cells = cs.coverage(dataset.specs, rows="package", columns="target", usable=True)
    assert cells.rows() == [("a", target, "native")]
    assert Matrices(dataset.at(snapshot)).of("a") == ([target], {os: [Cell("native", 1)]})
    cs.usable_by_system(dataset.specs, host="zen4")
    cs.coverage(dataset.specs, rows="os", columns="target", usable=True, host=HOSTS[0])
    assert cs.usable(dataset.specs, host=HOSTS[1])["cell"].item() in ("usable", "missing")


def test_a_system_of_which_nobody_knows_the_libc_runs_what_is_built_on_it(tmp_path: Path) -> None:
    """Not what was built on others, or what needs that."""
    libc, other = glibc("2.41"), glibc("2.35")
    zlib = node_record("zlib", "", needs_libc(other))
    alone = node_record("alone", "", needs_libc(libc), os="brand-new1")
    both = node_record("both", "", needs_libc(libc), edge_to(zlib), os="brand-new1")
    dataset = build_index(tmp_path, libc, other, zlib, alone, both)
    found = cs.coverage(dataset.specs, rows="package", columns="target", usable=True)
    assert found.rows() == [
        ("alone", "x86_64_v3", "native"),
        ("both", "x86_64_v3", "missing"),
        ("zlib", "x86_64_v3", "native"),
    ]


def test_a_page_of_a_system_of_which_nobody_knows_the_libc_is_usable_on_it_alone(tmp_path: Path) -> None:
    site = write(tmp_path / "site", {("develop", "a"): page("a", specs=[site_spec(os="brand-new1")])})
    specs = cs.build_dataset(site, out=tmp_path / "dataset").specs
    for os, expected in (
        ("brand-new1", (None, None)),
        ("brand-new2", ("libc", "libc of brand-new1 is not known")),
        (None, ("libc", "libc of brand-new1 is not known")),
    ):
        found = cs.usable(specs, host=cs.Host("zen4", os=os, libc="glibc@2.41"))
        assert found.select("status", "by").row(0) == expected


def test_a_binary_of_an_old_system_is_reused_on_a_new_one(tmp_path: Path) -> None:
    """zlib-ng was built on ubuntu18.04: since 0.22 Spack takes it on ubuntu22.04, which has a newer glibc."""
    old = {"os": "ubuntu18.04"}
    libc = glibc("2.27", **old)
    zlib = node_record("zlib-ng", "zl", needs_libc(libc), version="2.1.6", **old)
    specs = build_index(tmp_path, libc, zlib, database="7").specs
    found = cs.usable(specs, host="x86_64_v3:ubuntu22.04")
    assert found.rows() == [("zlib-ng", "2.1.6", "native", "x86_64_v3", 1, None, None)]
    assert cs.usable(specs, host="zen4:rhel9")["cell"].item() == "usable"
    assert cs.usable(specs, host="zen4:ubuntu22.04", spack="0.21").select("status", "by").row(0) == (
        "os",
        "ubuntu18.04",
    )
    assert cs.usable(specs, host="zen4:glibc@2.26").select("status", "by").row(0) == ("libc", "glibc@2.27")
    assert cs.usable(specs, host="zen4:ubuntu22.04", spack="1.1").select("status", "by").row(0) == (
        "format",
        "format 4",
    )
    assert cs.usable_by_system(specs, host="zen4").rows() == [("glibc@2.27", 1, 1, 1)]


def test_what_names_no_libc_has_one_answer_for_all(tmp_path: Path) -> None:
    specs = build_index(tmp_path, node_record("py-pip"), node_record("py-flit", target="zen5")).specs
    assert cs.usable_by_system(specs, host="zen4").rows() == [("any", 1, 1, 2)]
    assert cs.usable_by_system(specs, host="zen4", spack="0.23").rows() == [("any", 0, 0, 2)]


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> cs.Dataset:
    """Return the dataset of an index of which two packages need externals, and one for macOS that declares its own."""
    libc = glibc("2.35")
    cuda = node_record("cuda", version="12.4.1", external="/usr/local/cuda")
    mpich = node_record("cray-mpich", version="8.1", external="/opt/cray")
    zlib = node_record("zlib", "", needs_libc(libc))
    hypre = node_record("hypre", "", needs_libc(libc), edge_to(cuda), edge_to(zlib))
    hdf5 = node_record("hdf5", "", needs_libc(libc), edge_to(mpich, "link", "run"), edge_to(hypre))
    builds = node_record("builds", "", needs_libc(libc), edge_to(cuda, "build"))
    return build_index(tmp_path_factory.mktemp("declared"), libc, cuda, mpich, zlib, hypre, hdf5, builds)


def test_each_system_is_asked_with_what_the_host_declares(declared: cs.Dataset) -> None:
    host = cs.Host("zen4", externals=DECLARES_CUDA)
    for rules, system in (("0.21", "ubuntu22.04"), ("0.23", "glibc@2.35")):
        assert cs.usable_by_system(declared.specs, host="zen4", spack=rules).rows() == [(system, 2, 2, 4)]
        assert cs.usable_by_system(declared.specs, host=host, spack=rules).rows() == [(system, 3, 3, 4)]


def test_what_needs_externals_is_counted_apart(declared: cs.Dataset, tmp_path: Path) -> None:
    ask = ("usable", declared.path, "--host", "zen4:rhel10", "--format", "json")
    done = run(*ask)
    cuda, mpich = "cuda@12.4.1 at /usr/local/cuda", "cray-mpich@8.1 at /opt/cray"
    rows = [(row["package"], row["cell"], row["status"], row["by"]) for row in json.loads(done.stdout)]
    assert rows == [
        ("builds", "usable", None, None),
        ("hdf5", "missing", "external", f"{mpich}; {cuda}"),
        ("hypre", "missing", "external", cuda),
        ("zlib", "usable", None, None),
    ]
    talk = done.stderr.decode().splitlines()
    assert talk[0] == (
        "zen4 with rhel10 (glibc 2.39) can use 2 of 4 packages in develop, 50.0%, by the rules of Spack 1.1; "
        "4 versions: 0 native, 2 usable, 2 missing"
    )
    more = "1 more package if the host declares {}; list what it declares with --externals packages.yaml"
    assert sorted(talk[1:]) == sorted([more.format(cuda), more.format(f"{mpich}; {cuda}")])
    packages = tmp_path / "packages.yaml"
    packages.write_text("packages: {cuda: {externals: [{spec: cuda@12.4 %gcc, prefix: /usr/local/cuda}]}}")
    done = run(*ask, "--externals", packages)
    rows = [(row["package"], row["cell"], row["by"]) for row in json.loads(done.stdout)]
    assert rows[1:3] == [("hdf5", "missing", mpich), ("hypre", "usable", None)]
    assert done.stderr.decode().splitlines() == [
        "not checked, because caches do not record it: %gcc of cuda",
        "zen4 with rhel10 (glibc 2.39) can use 3 of 4 packages in develop, 75.0%, by the rules of Spack 1.1; "
        "4 versions: 0 native, 3 usable, 1 missing",
        f"1 more package if the host declares {mpich}",
    ]
    other = tmp_path / "other.yaml"
    other.write_text("packages: {cray-mpich: {externals: [{spec: cray-mpich, prefix: /opt/cray}]}}")
    done = run(*ask, "--externals", packages, "--externals", other)
    assert "can use 4 of 4 packages" in done.stderr.decode()
    elsewhere = run(*ask, "--externals", other).stderr.decode()
    assert f"2 more packages if the host declares {cuda}" in elsewhere
    wide = json.loads(
        run(
            "coverage",
            declared.path,
            "--rows",
            "package",
            "--columns",
            "target",
            "--usable",
            "--os",
            "rhel10",
            "--externals",
            packages,
            "--format",
            "json",
        ).stdout
    )
    assert [row["value"] for row in wide] == ["native", "missing", "native", "native"]


def test_the_command_says_how_much_a_host_can_use(demo: cs.Dataset) -> None:
    host = ("--target", "neoverse_v2", "--os", "ubuntu22.04")
    done = run("usable", demo.path, *host, "--format", "json")
    assert [tuple(row.values()) for row in json.loads(done.stdout)] == [
        ("py-filelock", "3.12.4", "native", "neoverse_v2", 1, None, None),
        ("py-propcache", "0.3.1", "missing", None, 0, "libc", "glibc@2.39"),
    ]
    assert done.stderr.decode() == (
        "neoverse_v2 with ubuntu22.04 (glibc 2.35) can use 1 of 2 packages in develop, 50.0%, by the rules of "
        "Spack 1.1; 2 versions: 1 native, 0 usable, 1 missing\nobstacles for the others: glibc@2.39 (1)\n"
    )
    assert run("usable", demo.path, *host).stdout.decode().splitlines()[2].split() == [
        "py-filelock", "3.12.4", "native", "neoverse_v2", "1", "-", "-",
    ]  # fmt: skip
    for same in (
        ("--host", "neoverse_v2:ubuntu22.04"),
        ("--host", "neoverse_v2:glibc@2.35"),
        (*host[:2], "--libc", "glibc@2.35"),
    ):
        assert run("usable", demo.path, *same, "--format", "json").stdout == done.stdout
    assert run("usable", demo.path, "--host", "host").stderr.decode().startswith(f"{cs.host()} can use ")
    on_darwin = run("usable", demo.path, "--host", "m1:sequoia").stderr.decode()
    assert on_darwin.startswith("m1 with sequoia can use 2 of 2 packages")


def test_the_command_says_by_whose_rules(demo: cs.Dataset) -> None:
    ask = ("usable", demo.path, "--host", "zen4:ubuntu24.04", "--snapshot", "all")
    assert "by the rules of Spack 0.23 and 1.1, each for its own snapshots; 2 versions: " in run(*ask).stderr.decode()
    for version, rules in (("0.16", "0.21"), ("0.22.1", "0.23"), ("v1.0.2", "1.1"), ("newest", "1.1")):
        done = run(*ask, "--spack", version)
        assert f"by the rules of Spack {rules}; 2 versions: " in done.stderr.decode()
        done = run("reusable", *ask[1:], "--spack", version, "--format", "json")
        assert done.stderr.decode().endswith(f"by the rules of Spack {rules}\n")
        expected = cs.reusable(demo.specs, host="zen4:ubuntu24.04", spack=rules)
        assert json.loads(done.stdout) == expected.to_dicts()
    assert (
        json.loads(run("reusable", *ask[1:], "--format", "json").stdout)
        == cs.reusable(demo.specs, host="zen4:ubuntu24.04").to_dicts()
    )
    for version, near in (("0.9", "0.13"), ("3.0", "1.3")):
        failed = run(*ask, "--spack", version, code=2).stderr.decode()
        assert (
            f"expected a version of Spack from 0.13 to 0.23 or from 1.0 to 1.3, or newest, found '{version}'" in failed
        )
        assert f"; the nearest is {near}\n" in failed


def test_a_target_alone_is_told_what_each_system_gives(demo: cs.Dataset) -> None:
    done = run("usable", demo.path, "--target", "m1", "--format", "json")
    assert json.loads(done.stdout) == cs.usable_by_system(demo.specs.filter(snapshot="develop"), host="m1").to_dicts()
    assert done.stderr.decode() == (
        "what m1 can use in develop, for each libc or operating system that the cache was built for, by the rules of "
        "Spack 1.1; choose one with --os or --libc\n"
    )
    old = run("usable", demo.path, "--target", "zen4", "--spack", "0.21", "--format", "json")
    systems = [(row["system"], row["packages"]) for row in json.loads(old.stdout)]
    assert systems == [("ubuntu18.04", 1), ("ubuntu22.04", 2), ("ubuntu24.04", 2)]
    failed = run("usable", demo.path, "--host", "zen4:glibc@2.34", "--spack", "0.21", code=2).stderr.decode()
    assert failed.startswith("error: expected the operating system of the host")
    nowhere = run("usable", demo.path, "--target", "m1", "--platform", "windows").stderr.decode().splitlines()
    assert nowhere[1:] == ["hint: nothing fits on windows; for darwin and linux, try --os sonoma or --os ubuntu22.04"]
    elsewhere = run("usable", demo.path, "--host", "m1:windows10.0.20348").stderr.decode().splitlines()
    assert elsewhere[-1] == nowhere[1]


def test_the_command_names_what_it_does_not_know(demo: cs.Dataset) -> None:
    for target, near in (("zen44", "zen4, "), ("ZEN4", "zen4"), ("unheard", "zen4, neoverse_v2, m2")):
        failed = run("usable", demo.path, "--target", target, code=2).stderr.decode()
        assert f"that archspec or the dataset knows, found '{target}'\nhint: try {near}" in failed
    for options, words in (
        (("--target", "zen4", "--os", "ubuntu2204"), "found 'ubuntu2204'\nhint: try ubuntu22.04, "),
        (("--host", "zen4:uclibc@1.0"), "expected a libc that Spack knows, glibc or musl, found 'uclibc@1.0'"),
        (("--host", "zen4:glibc@x"), "expected a libc with its version, such as glibc@2.34, found 'glibc@x'"),
        ((), "expected a host, found none\nhint: give one, such as --host zen4:rhel9, --target zen4 --os rhel9, or"),
    ):
        assert words in run("usable", demo.path, *options, code=2).stderr.decode()
    unheard = run("usable", demo.path, "--target", "zen4", "--os", "unheard7", "--libc", "glibc@2.39")
    assert unheard.stderr.decode().startswith("zen4 with unheard7 (glibc 2.39) can use 2 of 2 packages")
    nothing = run("usable", demo.path, "--host", "zen4:rhel9", "--where", "os=sequoia", "--where", "stack=e4s").stderr
    assert nothing == b"no specs in develop, os=sequoia, stack=e4s\n"


def test_coverage_shows_what_is_usable(demo: cs.Dataset) -> None:
    axes = ("coverage", demo.path, "--rows", "os", "--columns", "target", "--usable")
    done = run(*axes)
    rows = [line.split() for line in done.stdout.decode().splitlines()[2:]]
    # Of aarch64 and its descendants only the first is built for macOS.
    assert rows[0] == ["sequoia", "native", "missing", "missing", "missing", "missing"]
    assert rows[4] == ["ubuntu24.04", "native", "usable", "usable", "missing", "native"]
    assert done.stderr.decode() == (
        "what the hosts that it is built for can use in develop, by the rules of Spack 1.1: 5 rows (os) by 5 columns "
        "(target); a cell is usable if any spec in it is\n"
    )
    failed = run("coverage", demo.path, "--rows", "target", "--columns", "os", "--usable", code=2)
    assert "expected target as columns" in failed.stderr.decode()
    # With a host, whose system has a libc of 2.34, rows are what was built on older ones.
    rows = [line.split() for line in run(*axes, "--os", "rhel9").stdout.decode().splitlines()[2:]]
    reached = {row[0]: row.index("native") for row in rows if "native" in row}
    assert reached == {"ubuntu18.04": 5, "ubuntu20.04": 4}  # x86_64_v3 and ppc64le
    without = run("coverage", demo.path, "--rows", "os", "--columns", "target", "--os", "rhel9", code=2).stderr.decode()
    assert "expected --usable with options that describe a host, found them alone\nhint: add --usable" in without
