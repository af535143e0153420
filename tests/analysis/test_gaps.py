"""Gaps, their weights and the coverage of columns against the same questions in plain SQL, and their invariants."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cachestats as cs
from cachestats.analysis.reuse import REUSED
from cachestats.axes import GAP_AXES
from cachestats.errors import ArgumentError
from cachestats.packages_yaml import DeclaredExternal
from cachestats.schema import DEPENDENCIES, SPECS
from tests.support.cli import run
from tests.support.judging import ask

Kinds = Callable[[pl.DataFrame], dict[str, Any]]

WEIGHTS = """
    WITH RECURSIVE mine AS (FROM dependencies WHERE snapshot IN (SELECT snapshot FROM specs)),
    named AS (
        SELECT hash AS dependency_hash, package AS dependency_package FROM specs
        UNION SELECT dependency_hash, dependency_package FROM mine WHERE dependency_package IS NOT NULL),
    edges AS (
        SELECT DISTINCT hash, dependency_hash, named.dependency_package
        FROM mine LEFT JOIN named USING (dependency_hash)),
    direct AS (SELECT DISTINCT package, dependency_hash, dependency_package FROM specs JOIN edges USING (hash)),
    below AS (
        FROM direct UNION
        SELECT package, edges.dependency_hash, edges.dependency_package
        FROM below JOIN edges ON below.dependency_hash = edges.hash)
    SELECT dependency_package AS package,
        (SELECT count(DISTINCT package) FROM direct
         WHERE direct.dependency_package = below.dependency_package AND package <> direct.dependency_package) AS direct,
        count(DISTINCT package) AS total
    FROM below WHERE package <> dependency_package GROUP BY dependency_package
"""


def in_sql(
    specs: pl.DataFrame,
    by: str,
    *,
    packages: list[str] | None = None,
    dependencies: pl.DataFrame | None = None,
    union: bool = False,
    reused: pl.DataFrame | None = None,
) -> list[tuple[object, ...]]:
    """Answer with DuckDB what is missing; `reused` are the specs that a host can reuse, if one is asked about."""
    usable = specs if reused is None else reused
    assert usable.width
    where = "WHERE stack IS DISTINCT FROM 'root'" if by == "stack" and not union else ""
    asked = "SELECT DISTINCT package FROM mine" if packages is None else "SELECT DISTINCT unnest($packages) AS package"
    weights = duckdb.sql("SELECT '' AS package, 0 AS direct, 0 AS total").pl()
    if dependencies is not None:
        weights = duckdb.sql(WEIGHTS).pl()
    unknown = "NULL" if dependencies is None else "0"
    assert weights.width == 3
    return duckdb.execute(
        f"""
        WITH mine AS (SELECT "{by}" AS name, package FROM specs {where}),
        has AS (SELECT DISTINCT "{by}" AS name, package FROM usable {where}),
        wide AS (SELECT package, count(*) AS num FROM has GROUP BY ALL)
        SELECT name, package, coalesce(num, 0), coalesce(direct, {unknown}), coalesce(total, {unknown})
        FROM (SELECT * FROM (SELECT DISTINCT name FROM mine), ({asked})) AS every
        LEFT JOIN wide USING (package) LEFT JOIN weights USING (package)
        WHERE NOT EXISTS (
            FROM has WHERE has.name IS NOT DISTINCT FROM every.name AND has.package = every.package)
        ORDER BY name NULLS LAST, total DESC NULLS LAST, direct DESC NULLS LAST, num DESC NULLS LAST, package
        """,
        {} if packages is None else {"packages": packages},
    ).fetchall()


def coverage_in_sql(
    specs: pl.DataFrame,
    by: str,
    *,
    packages: list[str] | None = None,
    union: bool = False,
    reused: pl.DataFrame | None = None,
) -> list[tuple[object, ...]]:
    """Answer with DuckDB how much each column has."""
    usable = specs if reused is None else reused
    assert usable.width
    where = "WHERE stack IS DISTINCT FROM 'root'" if by == "stack" and not union else ""
    asked = "SELECT DISTINCT package FROM mine" if packages is None else "SELECT DISTINCT unnest($packages) AS package"
    return duckdb.execute(
        f"""
        WITH mine AS (SELECT "{by}" AS name, package FROM specs {where}), packages AS ({asked}),
        total AS (SELECT count(*) AS num FROM packages),
        has AS (SELECT DISTINCT "{by}" AS name, package FROM usable {where})
        SELECT every.name, count(asked.package) AS has, num - has, has / num AS share
        FROM (SELECT DISTINCT name FROM mine) AS every
        LEFT JOIN (FROM has SEMI JOIN packages USING (package)) AS asked ON asked.name IS NOT DISTINCT FROM every.name,
        total
        GROUP BY every.name, num ORDER BY share, every.name NULLS LAST
        """,
        {} if packages is None else {"packages": packages},
    ).fetchall()


SOME = ["hdf5", "zlib-ng", "nothing-has-it"]


@pytest.mark.slow
@pytest.mark.parametrize("by", GAP_AXES)
def test_every_column_is_as_in_sql(by: str, many: pl.DataFrame) -> None:
    for packages in (None, SOME):
        found = cs.gaps(many, by=by, packages=packages)
        assert found.columns == [by, "package", "num_columns", "num_direct_dependents", "num_dependents"]
        assert [*found.schema.values()][2:] == [pl.Int64] * 3
        assert found.rows() == in_sql(many, by, packages=packages)
        shares = cs.column_coverage(many, by=by, packages=packages)
        assert shares.columns == [by, "num_packages", "num_gaps", "share"]
        assert [*shares.schema.values()][1:] == [pl.Int64, pl.Int64, pl.Float64]
        assert shares.rows() == coverage_in_sql(many, by, packages=packages)


@pytest.mark.slow
@pytest.mark.parametrize("rules", [None, "0.23"])
@pytest.mark.parametrize("by", ["stack", "os", "snapshot"])
def test_the_gaps_of_a_host_are_as_in_sql(by: Any, rules: Any, many: pl.DataFrame, many_needs: pl.DataFrame) -> None:
    for host in (cs.Host("zen4", os="rhel9"), cs.Host("m2", os="sonoma")):
        query = f"SELECT DISTINCT snapshot, hash FROM judged WHERE status IN {REUSED}"
        hashes = pl.DataFrame(ask(query, (many, many_needs), [host], rules), ["snapshot", "hash"], orient="row")
        reused = many.join(hashes, on=["snapshot", "hash"], how="semi")
        never = cs.reusable(many, host=host, spack=rules).filter(status="excluded")
        asked = many.join(never, on=["snapshot", "hash"], how="anti")
        assert 0 < reused.height < asked.height
        question = {"by": by, "host": host, "spack": rules}
        assert cs.gaps(many, **question).rows() == in_sql(asked, by, reused=reused)
        assert cs.column_coverage(many, **question).rows() == coverage_in_sql(asked, by, reused=reused)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["stack", "target", "snapshot"])
def test_weights_are_as_in_sql(by: str, sample: cs.Dataset) -> None:
    dependencies = sample.dependencies.collect()
    everything = sample.specs.collect()
    for specs in (everything.filter(snapshot="develop-2024-06-02"), everything):
        found = cs.gaps(specs, by=by, dependencies=dependencies)
        assert found.rows() == in_sql(specs, by, dependencies=dependencies)
    assert (found["num_dependents"] > found["num_direct_dependents"]).any()


hashes = "stuvwxyz"
of_packages = st.none() | st.lists(st.sampled_from("abcd"), min_size=1, max_size=4)
some_specs = st.lists(
    st.fixed_dictionaries(
        {
            "snapshot": st.sampled_from(["develop", "v1.0"]),
            "hash": st.sampled_from(hashes),
            "stack": st.none() | st.sampled_from(["root", "e4s", "ml"]),
            "target": st.sampled_from(["zen4", "m1"]),
        }
    ),
    max_size=15,
)
LINUX = "platform=linux os=ubuntu22.04 target=x86_64_v3"
REQUIREMENTS = {
    f"{LINUX} libc=glibc@2.28 format=5 spack=1.1": True,
    f"{LINUX} libc=glibc@2.35 format=5 spack=1.1": False,
    f"{LINUX} libc=glibc@2.28 format=5 'external=cuda@12 prefix=/usr' spack=1.1": False,
}
"""Of some requirements, whether a zen4 with RHEL 9 fulfils them."""

# A hash stands for a spec of one package, which can only depend on what was there before it.
some_edges = st.lists(
    st.tuples(
        st.sampled_from(["develop", "v1.0", "v0.9"]),
        st.tuples(st.sampled_from(hashes), st.sampled_from(hashes)).filter(lambda pair: pair[0] < pair[1]),
        st.booleans(),
    ),
    max_size=15,
)
packages = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([*REQUIREMENTS])), min_size=len(hashes), max_size=len(hashes)
)


def tables(
    specs: list[dict[str, Any]], edges: list[tuple[str, tuple[str, str], bool]], packages: list[tuple[str, str]]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    package = {hash_: name for hash_, (name, _) in zip(hashes, packages, strict=True)}
    of_hash = {
        hash_: {"package": name, "requirement": requirement}
        for hash_, (name, requirement) in zip(hashes, packages, strict=True)
    }
    return (
        pl.DataFrame([row | of_hash[row["hash"]] for row in specs], schema=SPECS.polars()),
        pl.DataFrame(
            [
                {"snapshot": snapshot, "hash": hash_, "dependency_hash": below}
                | {"dependency_package": package[below] if is_named else None}
                for snapshot, (hash_, below), is_named in edges
            ],
            schema=DEPENDENCIES.polars(),
        ),
    )


given_tables = given(st.builds(tables, some_specs, some_edges, packages), st.sampled_from(["stack", "target"]))


@given(
    st.builds(tables, some_specs, some_edges, packages),
    st.sampled_from(["stack", "target", "snapshot", "compiler"]),
    of_packages,
    st.booleans(),
    st.booleans(),
)
def test_any_specs_are_as_in_sql(
    frames: tuple[pl.DataFrame, pl.DataFrame], by: str, packages: list[str] | None, union: bool, of_host: bool
) -> None:
    specs, edges = frames
    question: dict[str, Any] = {"by": by, "packages": packages, "union": union}
    asked = question | ({"host": "zen4:rhel9"} if of_host else {})
    is_usable = pl.col("requirement").is_in([text for text, fulfilled in REQUIREMENTS.items() if fulfilled])
    expected = question | ({"reused": specs.filter(is_usable)} if of_host else {})
    assert cs.gaps(specs, **asked).rows() == in_sql(specs, **expected)
    known = None if edges.join(specs, on="snapshot", how="semi").is_empty() else edges
    assert cs.gaps(specs, **asked, dependencies=edges).rows() == in_sql(specs, **expected, dependencies=known)
    assert cs.column_coverage(specs, **asked).rows() == coverage_in_sql(specs, **expected)


@given_tables
def test_what_is_there_and_what_is_missing_make_up_the_whole(
    frames: tuple[pl.DataFrame, pl.DataFrame], by: str
) -> None:
    specs, edges = frames
    missing = cs.gaps(specs, by=by, dependencies=edges)
    there = cs.coverage(specs, rows=by, columns="package")
    cells = [*missing.select(by, "package").rows(), *there.select(by, "package").rows()]
    assert len(cells) == len(set(cells)) == there[by].n_unique() * there["package"].n_unique()
    shares = cs.column_coverage(specs, by=by)
    assert shares["num_gaps"].sum() == missing.height
    assert shares["num_packages"].sum() == there.height
    assert (missing["num_columns"] > 0).all()
    assert (missing["num_dependents"] >= missing["num_direct_dependents"]).all()
    assert (missing["num_dependents"] < specs["package"].n_unique()).all()


@given(st.builds(tables, some_specs, some_edges, packages), st.randoms(use_true_random=False))
def test_neither_row_order_nor_repeats_matter(frames: tuple[pl.DataFrame, pl.DataFrame], draw: random.Random) -> None:
    specs, edges = frames
    expected = cs.gaps(specs, by="stack", dependencies=edges)
    seed = draw.randrange(1 << 30)
    again, edges_again = (
        pl.concat([frame.sample(fraction=1, shuffle=True, seed=seed), frame]).lazy() for frame in frames
    )
    assert cs.gaps(again, by="stack", dependencies=edges_again).equals(expected)


def test_chains_lead_from_spec_to_spec() -> None:
    specs, edges = tables(
        [
            {"snapshot": "develop", "hash": "u", "stack": "e4s"},
            {"snapshot": "develop", "hash": "v", "stack": "ml"},
            {"snapshot": "develop", "hash": "w", "stack": "ml"},
            {"snapshot": "develop", "hash": "x", "stack": "ml"},
        ],
        # a needs the b that needs nothing; the other b needs that one, and c.
        [("develop", ("u", "v"), True), ("develop", ("w", "v"), True), ("develop", ("w", "x"), True)],
        [(name, "") for name in ("", "", "a", "b", "b", "c", "", "")],
    )
    found = cs.gaps(specs, by="stack", dependencies=edges)
    assert found.rows() == [("e4s", "b", 1, 1, 1), ("e4s", "c", 1, 1, 1), ("ml", "a", 1, 0, 0)]


@pytest.mark.parametrize("count", [49, 98, 103])
def test_who_has_everything_has_a_share_of_exactly_one(count: int) -> None:
    specs = pl.DataFrame({"package": [f"package-{number}" for number in range(count)], "stack": "e4s"})
    assert cs.column_coverage(specs, by="stack").rows() == [("e4s", count, 0, 1.0)]


def test_what_no_dependencies_tell_has_no_weight(demo: cs.Dataset) -> None:
    for dependencies in (demo.dependencies, pl.DataFrame(schema=demo.dependencies.collect_schema())):
        found = cs.gaps(demo.specs, by="target", dependencies=dependencies.lazy())
        assert found.equals(cs.gaps(demo.specs, by="target"))


@given(st.builds(tables, some_specs, some_edges, packages), st.sampled_from(["stack", "target"]))
def test_a_host_has_no_fewer_gaps_and_no_other_weights(frames: tuple[pl.DataFrame, pl.DataFrame], by: Any) -> None:
    specs, edges = frames
    every, of_host = (cs.gaps(specs, by=by, dependencies=edges, host=host) for host in (None, "zen4:rhel9"))
    key = [by, "package"]
    assert every.join(of_host, on=key, how="anti", nulls_equal=True).is_empty()
    both = every.join(of_host, on=[*key, "num_direct_dependents", "num_dependents"], how="semi", nulls_equal=True)
    assert both.height == every.height
    declared = cs.Host("zen4", os="rhel9", externals=(DeclaredExternal.parse("cuda", prefix="/usr"),))
    assert cs.gaps(specs, by=by, host=declared).height <= of_host.height


def test_a_circle_of_dependencies_is_named() -> None:
    specs = pl.DataFrame({"snapshot": "s", "hash": ["u", "v"], "package": ["a", "b"], "stack": ["e4s", "ml"]})
    edges = pl.DataFrame(
        {"snapshot": "s", "hash": ["u", "v", "w"], "dependency_hash": ["v", "w", "v"], "dependency_package": "c"}
    )
    with pytest.raises(ArgumentError, match=r"without a cycle, found (v > w > v|w > v > w)\n"):
        cs.gaps(specs, by="stack", dependencies=edges)


def test_a_wrong_question_says_what_there_is(demo: cs.Dataset) -> None:
    for function in (cs.gaps, cs.column_coverage):
        with pytest.raises(ArgumentError, match="as by, found 'stak'\nhint: try stack"):
            function(demo.specs, by="stak")
        with pytest.raises(ArgumentError, match="as by, found 'package'"):
            function(demo.specs, by="package")
        with pytest.raises(ArgumentError, match="keep package in the frame"):
            function(demo.specs.drop("package"), by="stack")
        for packages in ("hdf5", [], [1]):
            with pytest.raises(ArgumentError, match="expected a list of at least one package as packages, found"):
                function(demo.specs, by="stack", packages=packages)
    with pytest.raises(ArgumentError, match="it should have the columns of the table dependencies"):
        cs.gaps(demo.specs, by="stack", dependencies=demo.dependencies.drop("dependency_hash"))
    with pytest.raises(ArgumentError, match="expected reuse rules only with a host, found them without one"):
        cs.gaps(demo.specs, by="stack", spack="1.1")
    with pytest.raises(ArgumentError, match="keep requirement in the frame"):
        cs.gaps(demo.specs.drop("requirement"), by="stack", host="zen4:rhel9")
    edges = duckdb.from_arrow(demo.dependencies.collect().to_arrow())
    with pytest.raises(ArgumentError, match="frames of the same kind, found polars and duckdb"):
        cs.gaps(demo.specs, by="stack", dependencies=edges)


def test_frames_of_every_kind_give_equal_answers(sample: cs.Dataset, kinds: Kinds) -> None:
    specs = sample.specs.filter(pl.col("snapshot").is_in(["develop-2024-03-17", "develop-2024-04-14"])).collect()
    dependencies = sample.dependencies.filter(snapshot="develop-2024-04-14").collect()
    expected = cs.gaps(specs, by="stack", dependencies=dependencies)
    shares = cs.column_coverage(specs, by="stack", packages=SOME)
    of_host = cs.gaps(specs, by="stack", host="zen4:ubuntu22.04")
    assert of_host.height > expected.height
    edges = kinds(dependencies)
    for name, frame in kinds(specs).items():
        assert cs.gaps(frame, by="stack", host="zen4:ubuntu22.04").equals(of_host), name
        assert cs.gaps(frame, by="stack", dependencies=edges[name]).equals(expected), name
        assert cs.column_coverage(frame, by="stack", packages=SOME).equals(shares), name


def test_the_command_shows_what_is_missing_and_how_much_that_is(demo: cs.Dataset, sample: cs.Dataset) -> None:
    done = run("gaps", demo.path, "--by", "target")
    assert [line.split() for line in done.stdout.decode().splitlines()][::2] == [
        ["target", "package", "num_columns"],
        ["neoverse_v1", "py-propcache", "2"],
        ["ppc64le", "py-propcache", "2"],
    ]
    assert done.stderr.decode() == (
        "gaps in develop: 3 of 10 pairs of target and package are missing, 30.0%; "
        "neoverse_v1 has the fewest, 1 of 2 packages, 50.0%\n"
        "how many others need a package is unknown for develop: pages do not list dependencies, only indices do\n"
    )
    assert json.loads(run("gaps", demo.path, "--by", "target", "--format", "json").stdout)[0] == {
        "target": "neoverse_v1", "package": "py-propcache", "num_columns": 2,
        "num_direct_dependents": None, "num_dependents": None,
    }  # fmt: skip
    name = "develop-2024-06-02"
    answer = json.loads(
        run("gaps", sample.path, "--by", "stack", "--snapshot", name, "--union", "--format", "json").stdout
    )
    expected = cs.gaps(
        sample.specs.filter(snapshot=name),
        by="stack",
        dependencies=sample.dependencies.filter(snapshot=name),
        union=True,
    )
    assert [tuple(row.values()) for row in answer] == expected.rows()
    assert "num_dependents" in run("gaps", sample.path, "--by", "stack").stdout.decode()


def test_what_only_another_host_could_use_is_a_gap(demo: cs.Dataset) -> None:
    host = ("--host", "zen4:ubuntu22.04")
    done = run("gaps", demo.path, "--by", "os", *host, "--format", "json")
    expected = cs.gaps(demo.specs.filter(snapshot="develop"), by="os", host="zen4:ubuntu22.04")
    assert json.loads(done.stdout) == expected.to_dicts()
    assert expected.filter(os="ubuntu24.04")["package"].to_list() == ["py-filelock", "py-propcache"]
    assert done.stderr.decode().startswith("gaps in develop for zen4 with ubuntu22.04 (glibc 2.35): 7 of 10 pairs of ")
    newer = run("gaps", demo.path, "--by", "os", "--host", "zen4:ubuntu24.04").stderr.decode()
    assert newer.startswith("gaps in develop for zen4 with ubuntu24.04 (glibc 2.39): 5 of 10 pairs of ")
    run("gaps", demo.path, "--by", "os", *host, "--where", "os=ubuntu22.04", "--fail-under", "100%")
    failed = run("gaps", demo.path, "--by", "os", *host, "--fail-under", "100%", code=1).stderr.decode()
    assert "ubuntu24.04 0 (0.0%)" in failed
    for options, words in (
        (("--host", "zen4"), "expected the operating system or libc of the host"),
        (("--spack", "1.1"), "expected a host with --spack, found none"),
        (("--os", "rhel9"), "expected --target with --os, found none"),
    ):
        assert words in run("gaps", demo.path, "--by", "os", *options, code=2).stderr.decode()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--fail-under", "50%"), 0, ""),
        (
            ("--fail-under", "51%"),
            1,
            "error: expected at least 51.0% of the packages in every target, "
            "found less in neoverse_v1 1 (50.0%), neoverse_v2 1 (50.0%), ppc64le 1 (50.0%)\n",
        ),
        (("--fail-under", "1", "--where", "target=aarch64"), 0, "0 of 2 pairs of target and package are missing, 0.0%"),
        (
            ("--fail-under", "1", "--where", "os=sequoia", "--where", "target=aarch64", "--where", "target=*_v3"),
            1,
            "found less in x86_64_v3 0 (0.0%)",
        ),
        (("--fail-under", "1", "--where", "os=sequoia", "--where", "target!=*_v3"), 0, "0 of 2 pairs of target"),
        (
            ("--fail-under", "1", "--where", "os=sequoia", "--where", "target=ppc64le"),
            1,
            "found less in ppc64le 0 (0.0%)\n",
        ),
        (
            ("--fail-under", "1", "--where", "os=sequoia", "--where", "stack=radiuss"),
            1,
            "found less in all, as there are no specs\n",
        ),
        (("--where", "os=sequoia", "--where", "stack=radiuss"), 0, "no specs in develop, os=sequoia, stack=radiuss\n"),
        # The packages in question have no say in what the columns are.
        (("--fail-under", "1", "--where", "package=py-propcache"), 1, "develop, package=py-propcache: 3 of 5 pairs"),
        (("--where", "package!=py-f*"), 0, "develop, package!=py-f*: 3 of 5 pairs"),
        (("--where", "package=hdf5"), 2, "expected a package of the specs in develop, found 'hdf5'"),
        (
            ("--where", "package=hdf5", "--packages", "/etc/hostname"),
            2,
            "expected --packages or --where package=NAME, found both",
        ),
        (("--fail-under", "lots"), 2, "expected a share such as 1%"),
        (("--packages", "/no/such/file"), 2, "expected a text file, found '/no/such/file'"),
    ],
)
def test_the_command_is_a_check(options: tuple[str, ...], code: int, words: str, demo: cs.Dataset) -> None:
    assert words in run("gaps", demo.path, "--by", "target", *options, code=code).stderr.decode()


def test_a_column_of_what_has_none_is_called_so(demo: cs.Dataset) -> None:
    question = ("gaps", demo.path, "--by", "compiler_name", "--fail-under", "1", "--where", "compiler_name=none")
    assert "none has the fewest, 1 of 1 package, 100.0%" in run(*question).stderr.decode()


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("# ours\npy-filelock\n\nhdf5  # soon\n", 0, "5 of 10 pairs"),
        ("py-filelock hdf5\n", 2, "the name of one package on line 1 of"),
        ("py-filelock\nhdf5\x1b[31m", 2, r"on line 2 of"),
        ("# none\n", 2, "expected the names of packages in"),
        ("\udcff", 2, "expected a text file"),
    ],
)
def test_the_packages_in_question_may_be_given(
    text: str, code: int, words: str, demo: cs.Dataset, tmp_path: Path
) -> None:
    (tmp_path / "packages.txt").write_bytes(text.encode(errors="surrogateescape"))
    done = run("gaps", demo.path, "--by", "target", "--packages", tmp_path / "packages.txt", code=code)
    assert words in done.stderr.decode()
    assert "\x1b" not in done.stderr.decode()


def test_a_host_has_what_it_can_reuse(sample: cs.Dataset) -> None:
    """The gaps for a host are those of a cache that holds nothing but what it can reuse, or Spack never reuses."""
    specs = sample.specs.filter(snapshot="develop-2025-05-25").collect()
    verdicts = cs.reusable(specs, host="zen4:rhel8")
    lists = {status: frame["hash"].to_list() for (status,), frame in verdicts.group_by("status")}
    assert lists["excluded"]
    asked = specs.filter(~pl.col("hash").is_in(lists["excluded"]))
    reused = asked.filter(pl.col("hash").is_in(lists["usable"]))
    packages = asked["package"].unique().to_list()
    found = cs.gaps(specs, by="stack", host="zen4:rhel8")
    expected = cs.gaps(reused, by="stack", packages=packages)
    assert found.equals(expected)
    assert cs.column_coverage(specs, by="stack", host="zen4:rhel8").equals(
        cs.column_coverage(reused, by="stack", packages=packages)
    )
    with pytest.raises(ArgumentError, match="expected reuse rules only with a host"):
        cs.gaps(specs, by="stack", spack="1.1")
    done = run("gaps", sample.path, "--by", "stack", "--host", "zen4:rhel8", "--format", "json")
    assert [tuple(row.values())[:3] for row in json.loads(done.stdout)] == [
        row[:3] for row in cs.gaps(specs, by="stack", host="zen4:rhel8", dependencies=sample.dependencies).rows()
    ]
    assert b" for zen4 with rhel8 (glibc 2.28): " in done.stderr
