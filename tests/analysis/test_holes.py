"""What is broken, against a recursive query in plain SQL, on caches that were damaged on purpose."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cachestats as cs
from cachestats.axes import HOLE_ROWS
from cachestats.errors import ArgumentError
from cachestats.schema import DEPENDENCIES, DEPTYPES, SPECS
from conftest import in_corpus
from tests.support.cli import run
from tests.support.graphs import SNAPSHOTS, caches
from tests.support.indices import build_index, node_record

Cache = tuple[pl.DataFrame, pl.DataFrame]

REACHED = """
    WITH RECURSIVE cached AS (SELECT DISTINCT snapshot, hash FROM specs),
    needs AS (
        SELECT DISTINCT snapshot, hash, dependency_hash FROM edges SEMI JOIN cached USING (snapshot, hash)
        WHERE (NEEDED) AND is_external IS NOT TRUE
    ),
    reached(snapshot, hash, missing, distance) AS (
        SELECT snapshot, hash, dependency_hash, 1 FROM needs
        WHERE (snapshot, dependency_hash) NOT IN (SELECT (snapshot, hash) FROM cached)
        UNION
        SELECT needs.snapshot, needs.hash, missing, distance + 1
        FROM reached JOIN needs ON needs.snapshot = reached.snapshot AND needs.dependency_hash = reached.hash
    ),
    pairs AS (SELECT snapshot, hash, missing, min(distance) AS distance FROM reached GROUP BY ALL)
"""
BROKEN = f"""{REACHED}
    SELECT package, version, snapshot, hash, count(DISTINCT missing),
           min({{'distance': distance, 'missing': missing}}) AS nearest
    FROM pairs JOIN (SELECT DISTINCT snapshot, hash, package, version FROM specs) USING (snapshot, hash)
    GROUP BY ALL ORDER BY package, version, snapshot, hash
"""
MISSING = f"""{REACHED}
    SELECT snapshot, missing, count(*) FILTER (distance = 1), count(*) AS breaks
    FROM pairs GROUP BY ALL ORDER BY breaks DESC, 3 DESC, snapshot
"""


NEEDED: tuple[Any, ...] = ("link", "run")
indexed_caches = caches().map(lambda cache: (cache[0].with_columns(spec_format=pl.lit(5, pl.Int64)), cache[1]))
some_deptypes = st.lists(st.sampled_from(DEPTYPES), min_size=1, max_size=5).map(tuple)


def check(specs: pl.DataFrame, edges: pl.DataFrame, deptypes: Any = NEEDED) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Compare both answers with SQL, and follow every chain; return the answers."""
    found, missing = (cs.holes(specs, edges, by=by, deptypes=deptypes) for by in HOLE_ROWS)
    needed = " OR ".join(f"is_{deptype}" for deptype in deptypes)
    assert found.schema["missing"] == missing.schema["direct"] == missing.schema["breaks"] == pl.Int64
    in_sql = duckdb.sql(BROKEN.replace("NEEDED", needed)).fetchall()
    columns = ("package", "version", "snapshot", "hash", "missing")
    assert found.select(columns).rows() == [row[:5] for row in in_sql]
    assert found["missing_hash"].to_list() == [row[5]["missing"] for row in in_sql]
    assert sorted(missing.select("snapshot", "hash", "direct", "breaks").rows()) == sorted(
        duckdb.sql(MISSING.replace("NEEDED", needed)).fetchall()
    )
    assert missing.equals(
        missing.sort("breaks", "direct", "snapshot", "package", "hash", descending=[True] * 2 + [False] * 3)
    )
    links = {
        (snapshot, hash_[:7], needed[:7])
        for snapshot, hash_, needed in edges.filter(pl.any_horizontal(f"is_{deptype}" for deptype in deptypes))
        .select("snapshot", "hash", "dependency_hash")
        .rows()
    }
    packages = {
        (snapshot, hash_[:7]): name for snapshot, hash_, name in specs.select("snapshot", "hash", "package").rows()
    }
    for row, expected in zip(found.rows(named=True), in_sql, strict=True):
        names, hashes = zip(*(part.split("/") for part in row["chain"].split(" > ")), strict=True)
        assert (hashes[0], hashes[-1]) == (row["hash"][:7], row["missing_hash"][:7])
        assert len(hashes) - 1 == expected[5]["distance"]
        assert all((row["snapshot"], *pair) in links for pair in pairwise(hashes))
        assert list(names) == [*(packages[row["snapshot"], one] for one in hashes[:-1]), row["missing_package"] or ""]
    return found, missing


@pytest.mark.slow
def test_the_sample_is_whole_and_what_is_taken_from_it_is_missed(sample: cs.Dataset) -> None:
    specs, edges = sample.specs.collect(), sample.dependencies.collect()
    assert cs.holes(specs, edges).shape == (0, 8)
    assert cs.holes(specs, edges, by="missing").shape == (0, 5)
    hashes = sorted(set(specs["hash"]))
    for seed, share in ((1, 0.003), (2, 0.2)):
        taken = random.Random(seed).sample(hashes, round(len(hashes) * share))
        found, missing = check(specs.filter(~pl.col("hash").is_in(taken)), edges)
        assert found.height > 100
        assert set(missing["hash"]) <= set(taken)
        assert missing.filter(pl.col("package").is_null()).is_empty()


@given(indexed_caches, some_deptypes)
def test_any_cache_is_as_in_sql(cache: Cache, deptypes: Any) -> None:
    check(*cache, deptypes)
    assert cs.holes(*cache).equals(cs.holes(*cache, deptypes=["run", "link"]))


@given(indexed_caches, st.sampled_from([*SNAPSHOTS, None]), st.booleans())
def test_of_specs_that_no_index_tells_nothing_is_said(cache: Cache, unknown: str | None, all_of_it: bool) -> None:
    """Whether an index told a spec is what counts, not whether there are edges."""
    specs, edges = cache
    of_page = pl.col("snapshot") == (unknown or "")
    if not all_of_it:
        of_page &= pl.col("hash") == (specs["hash"].min() or "")
    specs = specs.with_columns(spec_format=pl.when(of_page).then(None).otherwise("spec_format"))
    if specs["spec_format"].null_count():
        with pytest.raises(ArgumentError, match=f"the dependencies of every snapshot, found none for {unknown}: the"):
            cs.holes(specs, edges)
    else:
        check(specs, edges)
        assert cs.holes(specs, edges.clear()).is_empty()


@given(indexed_caches, some_deptypes, st.sampled_from(DEPTYPES))
def test_more_needs_break_no_less(cache: Cache, deptypes: Any, also: Any) -> None:
    few, many = (
        set(cs.holes(*cache, deptypes=types).select("snapshot", "hash").rows())
        for types in (deptypes, [*deptypes, also])
    )
    assert few <= many


@given(indexed_caches, some_deptypes, st.randoms(use_true_random=False))
def test_neither_row_order_nor_repeats_matter_and_filling_the_holes_mends_all(
    cache: Cache, deptypes: Any, draw: random.Random
) -> None:
    specs, edges = cache
    shuffled = [
        pl.concat([frame, frame]).sample(fraction=1, shuffle=True, seed=draw.randrange(1 << 30))
        for frame in (specs, edges)
    ]
    for by in HOLE_ROWS:
        assert cs.holes(*shuffled, by=by, deptypes=deptypes).equals(cs.holes(specs, edges, by=by, deptypes=deptypes))
    missing = cs.holes(specs, edges, by="missing", deptypes=deptypes).select(
        "snapshot", "hash", package=pl.lit("p"), version=pl.lit("1"), spec_format=pl.lit(5, pl.Int64)
    )
    mended = pl.concat([specs.select(missing.columns), missing])
    told = edges.join(missing, on=["snapshot", "hash"], how="anti")  # what a missing spec needs nobody knows
    assert cs.holes(mended, told, deptypes=deptypes).is_empty()


def edges_of(*edges: tuple[str, str, str, bool | None]) -> pl.DataFrame:
    """Return dependencies of one snapshot: hash, dependency, `link`, `run` or `build`, and whether it is external."""
    rows = [
        {
            "snapshot": "develop", "hash": hash_, "dependency_hash": needed, "dependency_package": needed.upper(),
            **{f"is_{one}": one == kind for one in ("build", "link", "run", "test")}, "is_external": is_external,
        }
        for hash_, needed, kind, is_external in edges
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=DEPENDENCIES.polars())


def specs_of(hashes: str) -> pl.DataFrame:
    same = {"snapshot": "develop", "version": "1", "spec_format": 5}
    return pl.DataFrame([same | {"hash": one, "package": one.upper()} for one in hashes], schema=SPECS.polars())


def test_builds_and_externals_break_nothing() -> None:
    edges = edges_of(("a", "x", "build", False), ("b", "y", "link", True), ("c", "z", "test", None))
    assert cs.holes(specs_of("abc"), edges).is_empty()
    edges = edges_of(
        ("a", "x", "run", False), ("b", "y", "link", None), ("c", "b", "run", False), ("d", "b", "build", False)
    )
    assert cs.holes(specs_of("abcd"), edges).select("hash", "missing_package", "chain").rows() == [
        ("a", "X", "A/a > X/x"),
        ("b", "Y", "B/b > Y/y"),
        ("c", "Y", "C/c > B/b > Y/y"),
    ]


def test_what_counts_as_a_need_can_be_chosen() -> None:
    edges = edges_of(
        ("a", "w", "build", False), ("b", "x", "link", False), ("c", "y", "run", False), ("d", "z", "test", False),
        ("e", "a", "build", False), ("f", "a", "link", False),
    )  # fmt: skip
    broken = {
        deptypes: "".join(cs.holes(specs_of("abcdef"), edges, deptypes=deptypes)["hash"])
        for deptypes in (("build",), ("link",), ("run",), ("test",), ("link", "build"), DEPTYPES)
    }
    assert broken == {
        ("build",): "ae", ("link",): "b", ("run",): "c", ("test",): "d", ("link", "build"): "abef", DEPTYPES: "abcdef",
    }  # fmt: skip


def test_an_index_without_edges_has_no_holes(tmp_path: Path) -> None:
    """An old index of one spec: that it has no edges does not make it a page."""
    zlib = node_record("zlib", version="1.2.11", os="debian6", target={"name": "core2", "vendor": "GenuineIntel"})
    del zlib[1]["spec"]["dependencies"], zlib[1]["spec"]["hash"]
    dataset = build_index(tmp_path, zlib, database="6")
    assert dataset.dependencies.collect().is_empty()
    assert dataset.snapshots.select("has_dependencies").collect().item()
    for by, width in (("spec", 8), ("missing", 5)):
        assert cs.holes(dataset.specs, dataset.dependencies, by=by).shape == (0, width)
    done = run("holes", dataset.path, "--fail-over", 0)
    assert done.stderr.decode() == "no holes in develop: 0 of 1 spec broken, 0.0%; 0 missing\n"
    gaps = run("gaps", dataset.path, "--by", "target", "--format", "json")
    assert "is unknown" not in gaps.stderr.decode()


def test_a_wrong_question_says_what_there_is(sample: cs.Dataset, demo: cs.Dataset) -> None:
    with pytest.raises(ArgumentError, match="found none for develop-2025-03-09, develop: the site's pages lack them"):
        cs.holes(demo.specs, demo.dependencies)
    for deptypes, words in (
        ((), r"expected some of build, link, run, test, found \(\)\nhint: such as \['link', 'run'\]"),
        ("link", "expected some of build, link, run, test, found 'link'"),
        (["links"], "expected one of build, link, run, test as a type of dependency, found 'links'\nhint: try link"),
    ):
        with pytest.raises(ArgumentError, match=words):
            cs.holes(sample.specs, sample.dependencies, deptypes=deptypes)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="keep spec_format in the frame"):
        cs.holes(sample.specs.drop("spec_format"), sample.dependencies)
    with pytest.raises(ArgumentError, match=r"keep is_build in the frame: .* table dependencies"):
        cs.holes(sample.specs, sample.dependencies.drop("is_build"), deptypes=["build"])
    with pytest.raises(ArgumentError, match="as by, found 'package'"):
        cs.holes(sample.specs, sample.dependencies, by="package")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"keep is_external in the frame: .* table dependencies"):
        cs.holes(sample.specs, sample.dependencies.drop("is_external"))
    with pytest.raises(ArgumentError, match="of the same kind, found polars and duckdb"):
        cs.holes(sample.specs, duckdb.from_arrow(demo.dependencies.collect().to_arrow()))


def test_frames_of_every_kind_give_equal_answers(
    sample: cs.Dataset, kinds: Callable[[pl.DataFrame], dict[str, Any]]
) -> None:
    question = {"snapshot": "develop-2024-03-17"}
    some = sample.specs.filter(pl.col("package") != "openblas", **question).collect()
    needs = sample.dependencies.filter(**question).collect()
    specs, edges = kinds(some), kinds(needs)
    expected = cs.holes(some, needs)
    with_builds = cs.holes(some, needs, by="missing", deptypes=DEPTYPES)
    assert expected.height > 10
    for name in specs:
        assert cs.holes(specs[name], edges[name]).equals(expected), name
        assert cs.holes(specs[name], edges[name], by="missing", deptypes=DEPTYPES).equals(with_builds), name


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> cs.Dataset:
    """Return the dataset of an index from which one binary was taken."""
    folder = tmp_path_factory.mktemp("damaged")
    index = json.loads(in_corpus("mirrors/develop-2024-03-17/build_cache/index.json").read_text())
    for record in index["database"]["installs"].values():
        if record["spec"]["name"] == "openblas":
            record["in_buildcache"] = False
    (folder / "index.json").write_text(json.dumps(index))
    options = {"snapshots": ["develop-2024-03-17"], "stacks": ["root"]}
    return cs.build_dataset(folder / "index.json", out=folder / "dataset", **options)


def test_the_verb_shows_what_is_broken_and_fails_if_asked_to(damaged: cs.Dataset, sample: cs.Dataset) -> None:
    expected = cs.holes(damaged.specs, damaged.dependencies)
    done = run("holes", damaged.path, "--format", "json")
    assert json.loads(done.stdout) == expected.to_dicts()
    talk = done.stderr.decode()
    assert talk == f"develop-2024-03-17: {expected.height} of 828 specs broken, 11.0%; 2 missing\n"
    table = run("holes", damaged.path).stdout.decode().splitlines()
    assert table[0].split() == ["package", "version", "hash", "missing", "chain"]
    assert len(table) == expected.height + 2
    missing = run("holes", damaged.path, "--by", "missing", "--format", "json").stdout
    assert json.loads(missing) == cs.holes(damaged.specs, damaged.dependencies, by="missing").to_dicts()
    run("holes", damaged.path, "--fail-over", expected.height)
    failed = run("holes", damaged.path, "--fail-over", expected.height - 1, code=1)
    assert (
        f"error: expected at most {expected.height - 1} specs to be broken, found {expected.height}, "
        in failed.stderr.decode()
    )
    assert (
        json.loads(run("holes", damaged.path, "--fail-over", 0, "--format", "json", code=1).stdout)
        == expected.to_dicts()
    )
    share = expected.height / 828
    run("holes", damaged.path, "--fail-over", share)
    run("holes", damaged.path, "--fail-over", f"{share * 99}%", code=1)
    package = expected["package"][0]
    of_package = run("holes", damaged.path, "--where", f"package={package}", "--format", "json")
    assert json.loads(of_package.stdout) == expected.filter(package=package).to_dicts()
    assert f"develop-2024-03-17, package={package}: " in of_package.stderr.decode()
    assert (
        b"expected package as the column of --where, found os"
        in run("holes", damaged.path, "--where", "os=x", code=2).stderr
    )
    assert {len(line.split()[2]) for line in table[2:]} == {7}
    builds = run("holes", damaged.path, "--deptype", "build,link,run", "--format", "json")
    with_builds = cs.holes(damaged.specs, damaged.dependencies, deptypes=["build", "link", "run"])
    assert json.loads(builds.stdout) == with_builds.to_dicts()
    assert f"{with_builds.height} of 828 specs broken" in builds.stderr.decode()
    assert with_builds.height > expected.height
    unheard = run("holes", damaged.path, "--deptype", "link,runs", code=2).stderr.decode()
    assert "expected some of build, link, run, test, found 'runs'" in unheard
    whole = run("holes", sample.path, "--snapshot", "all", "--fail-over", 0)
    assert whole.stderr.decode() == "no holes in 5 snapshots: 0 of 8,216 specs broken, 0.0%; 0 missing\n"


def test_the_verb_says_of_which_snapshots_nothing_can_be_said(demo: cs.Dataset, tmp_path: Path) -> None:
    said = run("holes", demo.path, code=2).stderr.decode()
    assert "expected dependencies, found none for develop: pages do not list dependencies" in said
    pages, mirror = in_corpus("site/_cache/develop-2024-04-14"), in_corpus("mirrors/develop-2024-03-17")
    cs.build_dataset(pages, mirror, out=tmp_path / "both")
    done = run("holes", tmp_path / "both", "--snapshot", "all")
    assert done.stderr.decode().splitlines() == [
        "no holes in develop-2024-03-17: 0 of 830 specs broken, 0.0%; 0 missing",
        "left out develop-2024-04-14: pages do not list dependencies, only indices do",
    ]
    assert b"hint: try --snapshot develop-2024-03-17" in run("holes", tmp_path / "both", code=2).stderr
