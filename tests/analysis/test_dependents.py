"""What depends on a package, against a recursive query in plain SQL."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cachestats as cs
from cachestats.analysis.dependents import dependents_and_totals
from cachestats.axes import GROUP_AXES
from cachestats.errors import ArgumentError
from cachestats.schema import DEPTYPES
from conftest import in_corpus
from tests.support.cli import run
from tests.support.graphs import one_snapshot
from tests.support.indices import build_index, edge_to, node_record

Cache = tuple[pl.DataFrame, pl.DataFrame]

DEPENDENTS = """
    WITH RECURSIVE mine AS (FROM edges WHERE (NEEDED) AND snapshot IN (SELECT snapshot FROM specs)),
    ends AS (
        SELECT hash FROM specs WHERE package = $package
        UNION SELECT dependency_hash FROM mine WHERE dependency_package = $package),
    direct AS (SELECT DISTINCT hash FROM mine WHERE dependency_hash IN (FROM ends)),
    needing(hash) AS (
        FROM direct UNION SELECT mine.hash FROM needing JOIN mine ON mine.dependency_hash = needing.hash),
    counted AS (
        SELECT DISTINCT
            package, AXIS AS name, hash, hash IN (FROM direct) AS is_direct, hash IN (FROM needing) AS is_needing
        FROM specs WHERE KEPT)
    SELECT package, name, sum(is_direct::INT) AS num_direct, sum(is_needing::INT) AS num_specs, count(*) AS num_all
    FROM counted GROUP BY ALL HAVING num_specs > 0
    ORDER BY num_specs DESC, num_direct DESC, package, name NULLS LAST
"""


def check(specs: pl.DataFrame, edges: pl.DataFrame, package: str, *, by: Any, deptypes: Any, union: bool) -> None:
    """Compare the answer with SQL, and the totals with those of one that is not split."""
    found, totals = dependents_and_totals(specs, package, dependencies=edges, by=by, deptypes=deptypes, union=union)
    query = (
        DEPENDENTS.replace("NEEDED", " OR ".join(f"is_{deptype}" for deptype in deptypes))
        .replace("AXIS", by or "NULL")
        .replace("KEPT", "true" if by != "stack" or union else "stack IS DISTINCT FROM 'root'")
    )
    axes = [by] if by else []
    expected = duckdb.execute(query, {"package": package}).fetchall()
    assert found.columns == ["package", *axes, "num_direct", "num_specs", "num_all"]
    assert found.rows() == [row if by else (row[0], *row[2:]) for row in expected]
    assert set(found.schema.values()) == {pl.String, pl.Int64}
    whole = cs.dependents(specs, package, dependencies=edges, by=None, deptypes=deptypes)
    assert (whole["num_direct"].sum(), whole["num_specs"].sum()) == totals[:2]
    assert totals.num_all == specs["hash"].n_unique()


@given(
    one_snapshot(),
    st.sampled_from("pqr"),
    st.sampled_from([None, *GROUP_AXES]),
    st.lists(st.sampled_from(DEPTYPES), min_size=1, max_size=4).map(tuple),
    st.booleans(),
)
def test_any_cache_is_as_in_sql(cache: Cache, package: str, by: Any, deptypes: Any, union: bool) -> None:
    specs, edges = cache
    typed = edges.filter(pl.any_horizontal(f"is_{deptype}" for deptype in deptypes)).join(
        specs.select("snapshot").unique(), on="snapshot", how="semi"
    )
    if specs.is_empty() or package in {*specs["package"], *typed["dependency_package"]}:
        check(specs, edges, package, by=by, deptypes=deptypes, union=union)
    else:
        with pytest.raises(ArgumentError, match=f"expected a package of the specs or .* found '{package}'"):
            cs.dependents(specs, package, dependencies=edges, by=by, deptypes=deptypes)


@pytest.mark.slow
@pytest.mark.parametrize("package", ["hdf5", "gcc-runtime", "glibc", "cmake", "gcc"])
def test_the_sample_is_as_in_sql(package: str, sample: cs.Dataset) -> None:
    specs, edges = sample.specs.collect(), sample.dependencies.collect()
    for by in (None, *GROUP_AXES):
        for union in (False, True):
            check(specs, edges, package, by=by, deptypes=DEPTYPES, union=union)
    check(specs, edges, package, by="stack", deptypes=("link", "run"), union=False)


def test_frames_of_every_kind_give_equal_answers(
    sample: cs.Dataset, kinds: Callable[[pl.DataFrame], dict[str, Any]]
) -> None:
    subset = sample.at("develop-2024-03-17")
    specs, edges = kinds(subset.specs.collect()), kinds(subset.dependencies.collect())
    expected = cs.dependents(subset, "openblas")
    assert expected.height > 10
    for name in specs:
        assert cs.dependents(specs[name], "openblas", dependencies=edges[name]).equals(expected), name


@pytest.mark.parametrize("snapshot", ["develop-2024-06-02", "develop-2025-05-25"])
@pytest.mark.parametrize(
    "spec", ["zlib-ng@2.1:", "hdf5+mpi", "*+shared %gcc", "hdf5 ^mpi", "xz cmake@3.27:", "mpi+romio"]
)
def test_an_expression_means_the_specs_that_satisfy_it(spec: str, snapshot: str, sample: cs.Dataset) -> None:
    subset = sample.at(snapshot)
    specs, edges = subset.specs.collect(), subset.dependencies.collect()
    found = cs.find(subset, spec)["hash"]
    assert found.len()
    name = pl.when(pl.col("dependency_hash").is_in(found.implode())).then(pl.lit("!"))
    marked = edges.with_columns(dependency_package=name.otherwise("dependency_package"))
    expected = cs.dependents(specs, "!", dependencies=marked)
    assert expected.height
    assert cs.dependents(subset, spec).equals(expected)
    assert cs.dependents(specs, spec, dependencies=edges).equals(expected)
    assert cs.dependents(subset.where(spec="not hdf5"), spec).equals(
        expected.filter(pl.col("package") != "hdf5"), null_equal=True
    )


def test_filters_choose_what_is_counted_and_not_what_it_depends_on(tmp_path: Path) -> None:
    zlib = node_record("zlib", os="rhel9")
    hdf5 = node_record("hdf5", "hdf5", edge_to(zlib))
    dataset = build_index(tmp_path, zlib, hdf5, node_record("py-h5py", "h5py", edge_to(hdf5, "build", "run")))
    assert cs.dependents(dataset.where(os="ubuntu22.04"), "zlib", by=None).rows() == [
        ("hdf5", 1, 1, 1), ("py-h5py", 0, 1, 1),
    ]  # fmt: skip
    assert cs.dependents(dataset.where(package="py-h5py"), "zlib", by="os").rows() == [
        ("py-h5py", "ubuntu22.04", 0, 1, 1)
    ]
    assert cs.dependents(dataset, "zlib", by=None, deptypes=["run"]).is_empty()
    assert cs.dependents(dataset, "zlib").is_empty()  # the only stack is root
    assert cs.dependents(dataset, "zlib", union=True)["stack"].to_list() == ["root", "root"]


def test_a_wrong_question_says_what_there_is(sample: cs.Dataset, demo: cs.Dataset) -> None:
    for question, words in (
        (
            {"package": "hdf55"},
            "expected a package of the specs or of their dependencies, found 'hdf55'\nhint: try hdf5",
        ),
        ({"package": "hdf5+mpj"}, "expected a variant of hdf5 in develop-2025-05-25, found 'mpj'\nhint: try mpi"),
        ({"package": "hdf55@1"}, "expected a package or virtual package of .* found 'hdf55'\nhint: try hdf5"),
        ({"package": "hdf5@@"}, "expected a version after '@', found '@' at character 5:\n  hdf5@@\n      \\^"),
        ({"package": "hdf5", "by": "version"}, "as by, found 'version'"),
        ({"package": "hdf5", "deptypes": ["links"]}, "as a type of dependency, found 'links'"),
    ):
        with pytest.raises(ArgumentError, match=words):
            cs.dependents(sample, **question)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="found none for develop: the site's pages lack them"):
        cs.dependents(demo, "py-filelock")
    with pytest.raises(ArgumentError, match="expected dependencies of the specs, found none"):
        cs.dependents(sample.specs, "hdf5")


def test_the_verb_lists_dependents_and_puts_them_in_proportion(sample: cs.Dataset, tmp_path: Path) -> None:
    done = run("dependents", sample.path, "hdf5", "--format", "json")
    expected, totals = dependents_and_totals(sample, "hdf5")
    assert json.loads(done.stdout) == expected.to_dicts()
    assert totals == (31, 42, 1413)
    assert done.stderr.decode() == "develop-2025-05-25: 42 of 1,413 specs depend on hdf5, 3.0%; 31 directly\n"
    few = run("dependents", sample.path, "py-torch", "--deptype", "link,run", "--where", "stack=e4s", "--by", "none")
    stack = sample.newest.where(stack="e4s")
    expected, totals = dependents_and_totals(stack, "py-torch", by=None, deptypes=["link", "run"])
    assert f", stack=e4s: {totals.num_specs} of 576 specs depend on py-torch (link, run), " in few.stderr.decode()
    assert len(few.stdout.decode().splitlines()) == expected.height + 2 > 2
    none = run("dependents", sample.path, "py-h5py", "--where", "stack=radiuss")
    assert none.stderr.decode().splitlines()[0].endswith(": 0 of 282 specs depend on py-h5py, 0.0%; 0 directly")
    some = run("dependents", sample.path, "zlib-ng@2.2: %gcc", "--by", "none")
    expected, totals = dependents_and_totals(sample, "zlib-ng@2.2: %gcc", by=None)
    assert len(some.stdout.decode().splitlines()) == expected.height + 2
    assert f"{totals.num_specs:,} of 1,413 specs depend on zlib-ng@2.2: %gcc, " in some.stderr.decode()
    unknown = run("dependents", sample.path, "hdf55", code=2).stderr.decode()
    assert "found 'hdf55'\nhint: try hdf5" in unknown
    only_root = build_index(tmp_path, zlib := node_record("zlib"), node_record("hdf5", "hdf5", edge_to(zlib)))
    said = run("dependents", only_root.path, "zlib").stderr.decode()
    assert "develop: 1 of 2 specs depends on zlib, 50.0%; 1 directly\nhint: the only stack is root" in said


def test_the_verb_says_of_which_snapshots_nothing_can_be_said(demo: cs.Dataset, tmp_path: Path) -> None:
    assert (
        b"expected dependencies, found none for develop: pages do" in run("dependents", demo.path, "x", code=2).stderr
    )
    pages, mirror = in_corpus("site/_cache/develop-2024-04-14"), in_corpus("mirrors/develop-2024-03-17")
    cs.build_dataset(pages, mirror, out=tmp_path / "both")
    done = run("dependents", tmp_path / "both", "hdf5", "--by", "snapshot")
    said = done.stderr.decode().splitlines()
    assert said[0].startswith("develop-2024-03-17: ")
    assert said[1] == "left out develop-2024-04-14: pages do not list dependencies, only indices do"
