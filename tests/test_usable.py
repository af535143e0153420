"""What a machine can use, against the same question in plain SQL over the table `targets`, and its invariants."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from typing import Any

import archspec.cpu
import duckdb
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import cachestats as cs
from cachestats.errors import ArgumentError
from cachestats.naming import version_key
from cachestats.schema import SPECS
from cachestats.targets import host_target, runnable, target_order, targets_table
from tests.test_cli import run

MACHINES = ["x86_64", "x86_64_v3", "x86_64_v4", "zen2", "zen4", "icelake", "aarch64", "armv8.2a", "armv8.5a"]
MACHINES += ["neoverse_v1", "neoverse_v2", "unheard"]
RUNS = pl.DataFrame(targets_table(["unheard"]))

some_specs = st.lists(
    st.fixed_dictionaries(
        {
            "package": st.sampled_from("ab"),
            "version": st.sampled_from(["1.9", "1.10", "main"]),
            "snapshot": st.sampled_from(["develop", "v1.0"]),
            "hash": st.sampled_from("uvwxyz"),
            "target": st.sampled_from(MACHINES),
            "os": st.sampled_from(["ubuntu22.04", "rhel9"]),
            "platform": st.sampled_from(["linux", "linux", "darwin"]),
            "compiler": st.sampled_from(["gcc@13", None]),
            "stack": st.sampled_from(["e4s", "root", None]),
        }
    ),
    max_size=15,
).map(
    # A hash stands for all that a spec is.
    lambda rows: pl.DataFrame(rows, schema=SPECS.polars()).with_columns(
        hash=pl.concat_str("hash", "package", "version", "target", "os", "platform")
    )
)
machines = st.fixed_dictionaries(
    {"target": st.sampled_from(MACHINES), "os": st.sampled_from([None, "rhel9"])},
    optional={"platform": st.sampled_from(["linux", "darwin"])},
)


def agrees_with_sql(specs: pl.DataFrame, found: pl.DataFrame, machine: dict[str, Any]) -> None:
    """Compare an answer with DuckDB's; `best` there are the targets that no better one is there for."""
    runs = RUNS
    named = {"linux": "linux"} | machine
    where = f"runs_on = '{machine['target']}' AND platform = '{named.get('platform', 'linux')}'"
    if machine["os"]:
        where += f" AND os = '{machine['os']}'"
    query = f"""
        WITH mine AS (SELECT * FROM specs JOIN runs USING (target) WHERE {where}),
        best AS (
            SELECT package, version, target, is_native FROM mine WHERE NOT EXISTS (
                FROM mine AS other JOIN runs AS up ON up.runs_on = other.target
                WHERE (other.package, other.version) = (mine.package, mine.version)
                AND up.target = mine.target AND other.target <> mine.target))
        SELECT package, version,
            CASE WHEN bool_or(is_native) THEN 'native' WHEN count(target) > 0 THEN 'usable' ELSE 'missing' END,
            coalesce(list(DISTINCT target) FILTER (target IS NOT NULL), []),
            (SELECT count(DISTINCT (snapshot, hash)) FROM mine
             WHERE (mine.package, mine.version) = (every.package, every.version))
        FROM (SELECT DISTINCT package, version FROM specs) AS every LEFT JOIN best USING (package, version)
        GROUP BY ALL
    """
    rows = sorted(duckdb.sql(query).fetchall(), key=lambda row: (row[0], version_key(row[1]), row[1]))
    assert not runs.is_empty()
    assert [(row[0], row[1], row[2], row[4]) for row in rows] == [(*row[:3], row[4]) for row in found.rows()]
    for (*_, best, _), (*_, among, _) in zip(found.rows(), rows, strict=True):
        assert best in among if among else best is None


@pytest.mark.parametrize("target", MACHINES)
@pytest.mark.parametrize("os", ["ubuntu22.04", "ventura", None])
def test_every_machine_is_as_in_sql(target: str, os: str | None, many: pl.DataFrame) -> None:
    machine = {"target": target, "os": os, "platform": "darwin" if os == "ventura" else "linux"}
    found = cs.usable(many, **machine)
    assert dict(found.schema) == {
        "package": pl.String,
        "version": pl.String,
        "cell": pl.String,
        "best_target": pl.String,
        "num_specs": pl.Int64,
    }
    agrees_with_sql(many, found, machine)


@given(some_specs, machines)
def test_any_specs_are_as_in_sql(specs: pl.DataFrame, machine: dict[str, Any]) -> None:
    agrees_with_sql(specs, cs.usable(specs, **machine), machine)


@given(some_specs, machines, st.randoms(use_true_random=False))
def test_neither_row_order_nor_repeats_matter(
    specs: pl.DataFrame, machine: dict[str, Any], draw: random.Random
) -> None:
    shuffled = specs.sample(fraction=1, shuffle=True, seed=draw.randrange(1 << 30))
    assert cs.usable(pl.concat([shuffled, specs]).lazy(), **machine).equals(cs.usable(specs, **machine))


@given(some_specs, machines, st.data())
def test_what_an_ancestor_can_use_its_descendants_can(
    specs: pl.DataFrame, machine: dict[str, Any], data: st.DataObject
) -> None:
    ancestor = data.draw(st.sampled_from(runnable(machine["target"])))
    above = cs.usable(specs, **machine)
    below = cs.usable(specs, **machine | {"target": ancestor})
    assert below.select("package", "version").equals(above.select("package", "version"))
    assert (below["num_specs"] <= above["num_specs"]).all()
    assert set(below.filter(pl.col("cell") != "missing").select("package", "version").rows()) <= set(
        above.filter(pl.col("cell") != "missing").select("package", "version").rows()
    )


def test_of_two_ancestors_the_nearer_is_better() -> None:
    # archspec lists aarch64 before armv8.5a, of which it is an ancestor.
    rows = [("aarch64", "a"), ("armv8.5a", "b"), ("neoverse_v1", "c"), ("zen2", "d"), ("x86_64_v4", "e"), ("zen3", "f")]
    specs = pl.DataFrame(
        {
            "package": "hdf5",
            "version": "1.14",
            "snapshot": "develop",
            "hash": [hash_ for _, hash_ in rows],
            "platform": "linux",
            "os": "rhel9",
            "target": [target for target, _ in rows],
        }
    )
    assert cs.usable(specs, target="neoverse_v2").rows() == [("hdf5", "1.14", "usable", "armv8.5a", 2)]
    assert cs.usable(specs, target="zen4").rows() == [("hdf5", "1.14", "usable", "zen3", 3)]
    assert cs.usable(specs.filter(pl.col("target") != "zen3"), target="zen4")["best_target"].item() == "x86_64_v4"
    assert cs.usable(specs, target="neoverse_v1").rows() == [("hdf5", "1.14", "native", "neoverse_v1", 2)]


def test_what_a_machine_runs_is_what_the_table_says_and_ancestors_come_last() -> None:
    for machine in archspec.cpu.TARGETS:
        order = runnable(machine)
        assert order[0] == machine
        assert sorted(order) == sorted(RUNS.filter(runs_on=machine)["target"])
        for place, target in enumerate(order):
            assert not {*runnable(target)[1:]} & {*order[:place]}
    assert runnable("unheard") == ("unheard",)
    assert host_target() in archspec.cpu.TARGETS


def cells_in_sql(specs: pl.DataFrame, rows: str) -> list[tuple[object, ...]]:
    """Answer with DuckDB what machines of each target can use."""
    assert not RUNS.is_empty()
    systems = "SELECT DISTINCT target AS runs_on, platform, os FROM specs"
    if rows == "os":
        systems = "SELECT DISTINCT a.target AS runs_on, platform, b.os FROM specs AS a JOIN specs AS b USING (platform)"
    query = f"""
        WITH found AS (
            SELECT "{rows}" AS name, runs_on, bool_or(is_native) AS is_native
            FROM specs JOIN RUNS USING (target) JOIN ({systems}) AS systems USING (runs_on, platform, os) GROUP BY ALL)
        SELECT every.name, every.runs_on,
            CASE WHEN is_native THEN 'native' WHEN found.runs_on IS NOT NULL THEN 'usable' ELSE 'missing' END
        FROM (SELECT * FROM (SELECT DISTINCT "{rows}" AS name FROM specs),
                            (SELECT DISTINCT target AS runs_on FROM specs)) AS every
        LEFT JOIN found ON every.name IS NOT DISTINCT FROM found.name AND every.runs_on = found.runs_on
        ORDER BY 1 NULLS LAST, 2 NULLS LAST
    """
    if rows == "stack":
        query = query.replace("FROM specs", "FROM (FROM specs WHERE stack IS DISTINCT FROM 'root') AS specs")
    return duckdb.sql(query).fetchall()


@pytest.mark.parametrize("rows", ["package", "version", "stack", "os", "platform", "snapshot", "compiler"])
def test_the_cells_of_targets_are_as_in_sql(rows: str, many: pl.DataFrame) -> None:
    found = cs.coverage(many, rows=rows, columns="target", usable=True)
    assert found.rows() == cells_in_sql(many, rows)
    assert found.columns == [rows, "target", "value"]


@given(some_specs, st.sampled_from(["package", "stack", "os", "platform", "compiler"]))
def test_the_cells_of_any_specs_are_as_in_sql(specs: pl.DataFrame, rows: str) -> None:
    assert cs.coverage(specs, rows=rows, columns="target", usable=True).rows() == cells_in_sql(specs, rows)


@given(some_specs)
def test_a_cell_is_the_best_that_a_machine_of_its_column_finds(specs: pl.DataFrame) -> None:
    assume(specs.height)
    cells = {row[:2]: row[2] for row in cs.coverage(specs, rows="package", columns="target", usable=True).rows()}
    rank = ["missing", "usable", "native"]
    best = dict.fromkeys(cells, "missing")
    for target, platform, os in specs.select("target", "platform", "os").unique().rows():
        for package, _, cell, _, _ in cs.usable(specs, target=target, os=os, platform=platform).rows():
            best[package, target] = max(best[package, target], cell, key=rank.index)
    assert cells == best


@given(some_specs)
def test_what_is_native_is_what_is_counted_and_the_matrix_is_the_pivot(specs: pl.DataFrame) -> None:
    cells = cs.coverage(specs, rows="package", columns="target", usable=True)
    counts = cs.coverage(specs, rows="package", columns="target")
    assert cells.filter(value="native").drop("value").equals(counts.drop("value"))
    matrix = cs.coverage_matrix(specs, rows="package", columns="target", usable=True)
    assert matrix.columns[1:] == sorted(specs["target"].unique(), key=target_order)
    long = matrix.unpivot(index="package", variable_name="target", value_name="value")
    assert sorted(long.rows()) == cells.rows()


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        ({"target": ""}, "expected the name of one target, found ''"),
        ({"target": ["zen4"]}, r"expected the name of one target, found \['zen4'\]"),
        ({"target": "zen4", "os": 22.04}, "one os, found 22.04"),
        ({"target": "zen4", "os": ""}, "one os, found ''"),
        ({"target": "zen4", "platform": None}, "one platform, found None"),
    ],
)
def test_no_machine_is_an_error(machine: dict[str, Any], message: str, demo: cs.Dataset) -> None:
    with pytest.raises(ArgumentError, match=message):
        cs.usable(demo.specs, **machine)


def test_a_wrong_question_says_what_to_ask(demo: cs.Dataset) -> None:
    with pytest.raises(ArgumentError, match="expected the columns hash, os, package, platform"):
        cs.usable(demo.specs.drop("version"), target="zen4")
    with pytest.raises(ArgumentError, match=r"expected target as columns and no measure .* found os and specs"):
        cs.coverage(demo.specs, rows="package", columns="os", usable=True)
    with pytest.raises(ArgumentError, match="found target and share"):
        cs.coverage_matrix(demo.specs, rows="package", columns="target", measure="share", usable=True)
    with pytest.raises(ArgumentError, match="keep platform in the frame"):
        cs.coverage(demo.specs.drop("platform"), rows="package", columns="target", usable=True)


def test_frames_of_every_kind_give_equal_answers(
    demo: cs.Dataset, kinds: Callable[[pl.DataFrame], dict[str, Any]]
) -> None:
    machine = {"target": "neoverse_v2", "os": "ubuntu22.04"}
    expected = cs.usable(demo.specs, **machine)
    cells = cs.coverage(demo.specs, rows="stack", columns="target", usable=True)
    for name, frame in kinds(demo.specs.collect()).items():
        assert cs.usable(frame, **machine).equals(expected), name
        assert cs.coverage(frame, rows="stack", columns="target", usable=True).equals(cells), name


def test_the_command_says_how_much_a_machine_can_use(demo: cs.Dataset) -> None:
    machine = ("--target", "neoverse_v2", "--os", "ubuntu22.04")
    done = run("usable", demo.path, *machine, "--format", "json")
    assert [tuple(row.values()) for row in json.loads(done.stdout)] == [
        ("py-filelock", "3.12.4", "native", "neoverse_v2", 1),
        ("py-propcache", "0.3.1", "missing", None, 0),
    ]
    assert done.stderr.decode() == (
        "neoverse_v2 with ubuntu22.04 can use 1 of the 2 packages of develop, 50.0%; "
        "of 2 versions 1 native, 0 usable, 1 missing\n"
    )
    assert run("usable", demo.path, *machine).stdout.decode().splitlines()[2].split() == [
        "py-filelock", "3.12.4", "native", "neoverse_v2", "1",
    ]  # fmt: skip
    on_darwin = run("usable", demo.path, "--target", "m1", "--platform", "darwin").stderr.decode()
    assert on_darwin.startswith("m1 with any darwin can use 2 of the 2 packages")
    on_linux = run("usable", demo.path, "--target", "m1").stderr.decode()
    assert on_linux.startswith("m1 with any linux can use 2 of the 2 packages")
    nowhere = run("usable", demo.path, "--target", "m1", "--platform", "windows").stderr.decode().splitlines()
    assert nowhere[1:] == [
        "hint: no platform is windows; there is darwin, linux",
        "hint: on darwin it can use 2 packages: add --platform darwin",
        "hint: on linux it can use 2 packages: add --platform linux",
    ]
    here = run("usable", demo.path, "--target", "host").stderr.decode()
    assert here.startswith(f"{host_target()} with any {sys.platform} can use ")


def test_the_command_names_what_it_does_not_know(demo: cs.Dataset) -> None:
    for target, near in (("zen44", "zen4, "), ("ZEN4", "zen4"), ("unheard", "aarch64, neoverse_v1")):
        failed = run("usable", demo.path, "--target", target, code=2).stderr.decode()
        assert f"or that is in develop, found '{target}'\nhint: try {near}" in failed
    known = run("usable", demo.path, "--target", "zen4", "--os", "ubuntu2204").stderr.decode()
    assert known.endswith("hint: no os is ubuntu2204; there is ubuntu22.04, ubuntu24.04, ubuntu20.04\n")
    nothing = run("usable", demo.path, "--target", "zen4", "--where", "package=py-filelok").stderr.decode()
    assert nothing == "no specs in develop, package=py-filelok\nhint: no package is py-filelok; there is py-filelock\n"
    assert "Missing option '--target'" in run("usable", demo.path, code=2).stderr.decode()


def test_coverage_shows_what_is_usable(demo: cs.Dataset) -> None:
    done = run("coverage", demo.path, "--rows", "os", "--columns", "target", "--usable")
    rows = [line.split() for line in done.stdout.decode().splitlines()[2:]]
    # Of aarch64 and its descendants only the first is built for macOS.
    assert rows[0] == ["sequoia", "native", "missing", "missing", "missing", "missing"]
    assert rows[4] == ["ubuntu24.04", "native", "usable", "usable", "missing", "native"]
    assert done.stderr.decode() == "what is usable of develop: 5 rows (os) by 5 columns (target)\n"
    failed = run("coverage", demo.path, "--rows", "target", "--columns", "os", "--usable", code=2)
    assert "expected target as columns" in failed.stderr.decode()
