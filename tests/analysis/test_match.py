"""Environments against caches: hits, the closest specs and rates as in plain SQL, and the order of building."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import cachestats as cs
from cachestats.analysis.differences import FIELDS, NOT_OF_PAGES
from cachestats.cli import cli
from cachestats.errors import ArgumentError, CheckError, SourceError
from cachestats.schema import DEPENDENCIES, SPECS
from conftest import in_corpus

DIFFERENT = {
    field: f"coalesce(specs.{field} <> environment.{field}, false)"
    if field in NOT_OF_PAGES
    else f"specs.{field} IS DISTINCT FROM environment.{field}"
    for field in FIELDS
}
NAMES = ", ".join(
    f"CASE WHEN {different} THEN '{'recipe' if field == 'package_hash' else field}' END"
    for field, different in DIFFERENT.items()
)
ALIKE = ", ".join(f"specs.{field} AS near_{field}" for field in FIELDS)
MATCHES = f"""
    WITH asked AS (SELECT *, coalesce(build_spec_hash, hash) AS asked FROM environment),
    pairs AS (
        SELECT environment.hash, [{", ".join(DIFFERENT.values())}] AS bits,
               nullif(concat_ws(',', {NAMES}), '') AS differs,
               len(list_filter(bits, lambda one: one)) AS number, min(specs.hash) AS near_hash, {ALIKE}
        FROM asked AS environment JOIN specs USING (package)
        WHERE environment.asked NOT IN (SELECT hash FROM specs) GROUP BY ALL
    ),
    closest AS (SELECT * FROM pairs QUALIFY rank() OVER (PARTITION BY hash ORDER BY number, bits) = 1),
    systems AS (
        SELECT near_platform, near_os, near_target, near_compiler, count(DISTINCT hash) AS others
        FROM closest GROUP BY ALL
    ),
    nearest AS (
        SELECT closest.*, others FROM closest JOIN systems
        ON (closest.near_platform, closest.near_os, closest.near_target, coalesce(closest.near_compiler, ''))
         = (systems.near_platform, systems.near_os, systems.near_target, coalesce(systems.near_compiler, ''))
        QUALIFY row_number() OVER (PARTITION BY hash ORDER BY others DESC, near_hash) = 1
    )
    SELECT package, hash, is_root,
           CASE WHEN near_hash IS NOT NULL THEN 'near' WHEN hits.asked IS NULL THEN 'miss' ELSE 'hit' END AS status,
           CASE WHEN near_hash IS NOT NULL THEN coalesce(differs, 'dependencies') END,
           near_hash, {", ".join(f"near_{field}" for field in FIELDS)}
    FROM asked LEFT JOIN nearest USING (hash) LEFT JOIN (SELECT DISTINCT hash AS asked FROM specs) AS hits USING (asked)
"""
COLUMNS = ("package", "hash", "is_root", "status", "differs", "near_hash", *(f"near_{field}" for field in FIELDS))


def matches_in_sql(environment: pl.DataFrame, specs: pl.DataFrame) -> list[tuple[Any, ...]]:
    """Return what hits and what is closest, as DuckDB finds it, sorted by hash."""
    return sorted(duckdb.sql(MATCHES).fetchall(), key=lambda row: row[1])


def rates_in_sql(environment: pl.DataFrame, specs: pl.DataFrame, by: str) -> list[tuple[Any, ...]]:
    """Count hits with DuckDB; in any order."""
    where = "WHERE stack IS DISTINCT FROM 'root'" if by == "stack" else ""
    place = "snapshot, stack" if by == "stack" else "snapshot"
    pairs = ", ".join(f"coalesce(places.{name}, '')" for name in place.split(", "))
    there = ", ".join(f"coalesce(specs.{name}, '')" for name in place.split(", "))
    return duckdb.sql(
        f"""WITH wanted AS (
                SELECT package, hash, coalesce(build_spec_hash, hash) AS asked, is_root FROM environment
            ),
            places AS (SELECT DISTINCT {place} FROM specs {where}),
            found AS (
                SELECT places.*, wanted.is_root,
                       exists(FROM specs WHERE ({there}) = ({pairs}) AND specs.hash = wanted.asked) AS hit,
                       exists(FROM specs WHERE ({there}) = ({pairs}) AND specs.package = wanted.package) AS near
                FROM places LEFT JOIN wanted ON true
            )
            SELECT {place}, count(*) FILTER (hit), count(is_root) AS specs,
                   CASE WHEN specs > 0 THEN count(*) FILTER (hit) / specs END, count(*) FILTER (near AND NOT hit),
                   count(*) FILTER (hit AND is_root), count(*) FILTER (is_root) AS roots,
                   CASE WHEN roots > 0 THEN count(*) FILTER (hit AND is_root) / roots END
            FROM found GROUP BY ALL"""
    ).fetchall()


def environment_of(specs: pl.DataFrame, dependencies: pl.DataFrame | None = None) -> cs.Environment:
    return cs.Environment(specs, pl.DataFrame(schema=DEPENDENCIES.polars()) if dependencies is None else dependencies)


maybe = st.none() | st.sampled_from("xy")
visible = st.fixed_dictionaries(
    {
        "package": st.sampled_from("pq"),
        "version": st.sampled_from("12"),
        "compiler": st.sampled_from([None, "gcc@1", "gcc@2"]),
        "platform": st.sampled_from(["linux", "darwin"]),
        "os": st.just("o"),
        "target": st.sampled_from(["x", "y"]),
        "variants": st.sampled_from(["", "+a"]),
        "flags": st.none() | st.sampled_from(["", "cflags=-g"]),
        "namespace": st.none() | st.just("builtin"),
        "package_hash": maybe,
    }
)
places = st.sets(
    st.tuples(st.sampled_from(["develop", "v0.9.0", "v0.21.0"]), st.sampled_from([None, "root", "e4s"])), min_size=1
)
some_specs = st.dictionaries(st.sampled_from("abcdefg"), st.tuples(visible, places)).map(
    lambda drawn: pl.DataFrame(
        [
            {"hash": hash_, "snapshot": snapshot, "stack": stack} | fields
            for hash_, (fields, where) in drawn.items()
            for snapshot, stack in where
        ],
        schema=SPECS.polars(),
    )
)
some_environments = st.dictionaries(
    st.sampled_from("efghi"), st.tuples(visible, st.booleans(), st.none() | st.sampled_from("az"))
).map(
    lambda drawn: pl.DataFrame(
        [
            {"hash": hash_, "is_root": is_root, "build_spec_hash": build_spec} | fields
            for hash_, (fields, is_root, build_spec) in drawn.items()
        ],
        schema=SPECS.polars() | {"is_root": pl.Boolean},
    )
)


@given(some_environments, some_specs, st.randoms(use_true_random=False))
def test_any_match_is_as_in_sql(specs: pl.DataFrame, cached: pl.DataFrame, draw: random.Random) -> None:
    found = cs.match(environment_of(specs), cached)
    assert found.select(COLUMNS).sort("hash").rows() == matches_in_sql(specs, cached)
    names = [*COLUMNS[3:], "causes", "cause_fields", "proof", "build_step"]
    assert found.columns == ["package", *FIELDS, "hash", "is_root", *names]
    # What need not be built stands last, which here is what hits; then the closest first.
    order = {"near": 0, "miss": 1, "hit": 2}
    rows = found.select("status", "differs", "package", "hash").rows()
    assert rows == sorted(rows, key=lambda row: (order[row[0]], len((row[1] or "").split(",")), row[2:]))
    again = pl.concat([cached, cached]).sample(fraction=1, shuffle=True, seed=draw.randrange(1 << 30))
    twice = pl.concat([specs[::-1], specs.with_columns(is_root=False)])
    assert cs.match(environment_of(twice), again.lazy()).equals(found)


@given(some_environments, some_specs, st.sampled_from(["snapshot", "stack"]))
def test_any_rates_are_as_in_sql_the_best_first(specs: pl.DataFrame, cached: pl.DataFrame, by: str) -> None:
    environment = environment_of(specs)
    found = cs.hit_rates(environment, cached, by=by)
    in_sql = rates_in_sql(specs, cached, by)
    age = {"develop": 0, "v0.21.0": 1, "v0.9.0": 2}
    first = 1 if by == "snapshot" else 2

    def best(row: tuple[Any, ...]) -> tuple[Any, ...]:
        stack = () if by == "snapshot" else (row[1] is None, row[1])
        return -row[first], -row[first + 4], age[row[0]], *stack

    assert found.rows() == sorted(in_sql, key=best)
    assert found.schema["hits"] == found.schema["near"] == found.schema["roots"] == pl.Int64
    with_root = cs.hit_rates(environment, cached, by=by, union=True)
    assert with_root.filter(pl.lit(by == "snapshot") | (pl.col(by) != "root") | pl.col(by).is_null()).equals(found)


@pytest.mark.slow
def test_an_environment_whose_specs_are_all_cached_hits_in_full(sample: cs.Dataset) -> None:
    specs = sample.specs.collect()
    for path in sorted(in_corpus("mirrors").glob("*/*/spack.lock")):
        snapshot, stack = path.parts[-3:-1]
        everything = cs.read_environment(path)
        cached = everything.specs.join(specs.filter(snapshot=snapshot, stack=stack), on="hash", how="semi")
        part = cs.Environment(cached, everything.dependencies)
        matches = cs.match(part, specs.filter(snapshot=snapshot))
        assert set(matches["status"]) == {"hit"}
        assert matches.select("build_step", "differs", "causes", "proof").null_count().row(0) == (cached.height,) * 4
        rates = cs.hit_rates(part, specs, by="stack").filter(snapshot=snapshot, stack=stack)
        assert rates.select("rate", "near", "root_rate").row(0) == (1.0, 0, 1.0 if cached["is_root"].any() else None)
        best = cs.hit_rates(everything, specs)
        assert best["snapshot"][0] == snapshot


@pytest.mark.slow
@pytest.mark.parametrize("snapshot", ["develop-2024-03-17", "develop-2025-05-25"])
def test_an_environment_of_the_corpus_is_as_in_sql(snapshot: str, sample: cs.Dataset) -> None:
    environment = cs.read_environment(in_corpus("mirrors/develop-2025-05-25/e4s/spack.lock"))
    specs = sample.specs.filter(pl.col("hash").str.slice(0, 1) > "f", snapshot=snapshot).collect()
    found = cs.match(environment, specs)
    expected = matches_in_sql(environment.specs, specs)
    # That formats differ is not told by columns that SQL compares, and the compiler that a spec had before Spack 1.0
    # even if nothing was compiled is one of them.
    columns = [name for name in COLUMNS if name != "differs"]
    assert found.select(columns).sort("hash").rows() == [(*row[:4], *row[5:]) for row in expected]
    if snapshot == "develop-2025-05-25":
        assert found.sort("hash")["differs"].to_list() == [row[4] for row in expected]
    assert found.height == environment.specs.height > 500
    for by in ("snapshot", "stack"):
        every = sample.specs.collect()
        assert sorted(cs.hit_rates(environment, every, by=by).rows()) == sorted(
            rates_in_sql(environment.specs, every, by)
        )


def plan(hashes: str, roots: str, edges: list[tuple[str, str, str]], cached: str) -> list[tuple[str, int | None]]:
    """Return the steps of an environment: its specs, roots, (hash, needed, kind of need), and what is cached."""
    fields = dict.fromkeys(FIELDS, "1")
    specs = pl.DataFrame(
        [{"hash": one, "package": one, "is_root": one in roots} | fields for one in hashes],
        schema=SPECS.polars() | {"is_root": pl.Boolean},
    )
    kinds = ("build", "link", "run", "test")
    rows = [
        {"hash": one, "dependency_hash": needed, **{f"is_{each}": each == kind for each in kinds}}
        for one, needed, kind in edges
    ]
    environment = environment_of(specs, pl.DataFrame(rows, schema=DEPENDENCIES.polars()))
    found = cs.match(environment, specs.filter(pl.col("hash").is_in(list(cached))))
    return found.select("hash", "build_step").rows()


def test_what_is_left_is_built_in_order_dependencies_first() -> None:
    chain = [("a", "b", "link"), ("b", "c", "run"), ("b", "d", "build"), ("c", "e", "build")]
    assert plan("abcde", "a", chain, "") == [("d", 1), ("e", 1), ("c", 2), ("b", 3), ("a", 4)]
    # `b` is cached: `d`, only needed to build it, is not needed, and `a` waits for what `b` runs with.
    assert plan("abcde", "a", chain, "b") == [("e", 1), ("c", 2), ("a", 3), ("b", None), ("d", None)]
    assert plan("abcde", "a", chain, "abc") == [("a", None), ("b", None), ("c", None), ("d", None), ("e", None)]
    # Where there is no root, whatever nobody needs is asked for; externals are none of the specs.
    assert plan("bc", "", [("b", "c", "link"), ("b", "x", "link")], "") == [("c", 1), ("b", 2)]
    assert plan("", "", [], "") == []


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6), st.sampled_from(["build", "link"]))), st.text("abcdefg"))
def test_nothing_is_built_before_what_it_needs(numbers: set[tuple[int, int, str]], cached: str) -> None:
    edges = [("abcdefg"[one], "abcdefg"[other], kind) for one, other, kind in numbers if one < other]
    steps = dict(plan("abcdefg", "abc", edges, cached))
    assert not any(steps[one] for one in cached)
    for one, needed, _ in edges:
        if steps[one] and needed not in cached:
            assert steps[needed]
            assert steps[needed] < steps[one]
    for step in {step for step in steps.values() if step}:
        assert step == 1 or step - 1 in steps.values()


def test_a_wrong_question_says_what_there_is(demo: cs.Dataset) -> None:
    environment = environment_of(demo.specs.collect().with_columns(is_root=True))
    for ask in (cs.match, cs.causes, cs.hit_rates):
        with pytest.raises(
            ArgumentError, match="an environment, found DataFrame\nhint: pass the result of `read_environment`"
        ):
            ask(environment.specs, demo.specs)  # type: ignore[operator]
    with pytest.raises(ArgumentError, match="the columns of the table specs"):
        cs.match(environment, demo.specs.drop("os"))
    with pytest.raises(ArgumentError, match="the columns of the table dependencies"):
        cs.match(environment, demo.specs, dependencies=demo.specs)
    with pytest.raises(ArgumentError, match="the columns of the table specs"):
        cs.match(environment, demo.specs, among=demo.dependencies)
    with pytest.raises(ArgumentError, match="as by, found 'stacks'\nhint: try stack"):
        cs.hit_rates(environment, demo.specs, by="stacks")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="without a cycle"):
        plan("ab", "a", [("a", "b", "link"), ("b", "a", "link")], "")


def test_frames_of_every_kind_give_equal_answers(
    sample: cs.Dataset, kinds: Callable[[pl.DataFrame], dict[str, Any]]
) -> None:
    environment = cs.read_environment(in_corpus("mirrors/develop-2024-03-17/radiuss/spack.lock"))
    nothing = cs.Environment(environment.specs.clear(), environment.dependencies.clear())
    frame = sample.specs.filter(pl.col("hash").str.slice(0, 1) > "f", snapshot="develop-2024-03-17").collect()
    edges = sample.dependencies.filter(snapshot="develop-2024-03-17").collect()

    def answers(specs: Any, dependencies: Any) -> list[pl.DataFrame]:
        return [
            cs.match(environment, specs, dependencies=dependencies),
            cs.causes(environment, specs, dependencies=dependencies),
            cs.hit_rates(environment, specs, by="stack"),
            cs.match(nothing, specs, dependencies=dependencies),
            cs.causes(nothing, specs, dependencies=dependencies),
            cs.hit_rates(nothing, specs),
        ]

    expected = answers(frame, edges)
    assert len(set(expected[0]["status"])) == 3
    assert set(expected[0]["proof"].drop_nulls()) == {"proven", "supposed"}
    assert expected[5].select("hits", "rate", "near").rows() == [(0, None, 0)]
    dependencies = kinds(edges)
    for name, specs in kinds(frame).items():
        for ours, theirs in zip(expected, answers(specs, dependencies[name]), strict=True):
            assert theirs.equals(ours), name


def test_the_cases_of_the_corpus_give_what_is_right(tmp_path: Path) -> None:
    cases = in_corpus("cases")

    def against(environment: str, cache: str) -> pl.DataFrame:
        ds = cs.build_dataset(cases / cache, out=tmp_path / cache)
        return cs.match(cs.read_environment(cases / environment), ds.specs, dependencies=ds.dependencies)

    spliced = against("spliced.spack.lock", "spliced.cache")
    assert spliced.select("package", "status", "is_root", "build_step").rows() == [
        ("hdf5", "hit", True, None), ("zlib-ng", "hit", False, None)
    ]  # fmt: skip
    old = against("v2_build_hash_edges.spack.lock", "v2_cache")
    assert old.filter(package="libvterm")["status"].to_list() == ["hit"]
    assert old["build_step"].null_count() == old.height == 4, "all others are needed to build it only"
    flags = against("flags/flags.lock", "flags")
    assert flags.select("package", "status", "cause_fields").rows() == [("zlib-ng", "near", "flags")]
    assert flags["differs"].to_list() == ["flags"]
    older = cs.read_environment(cases / "v3_build_hash_a.spack.lock")
    steps = cs.match(older, older.specs.clear()).select("package", "build_step").rows()
    assert steps == [("libiconv", 1), ("diffutils", 2), ("bzip2", 3)]


def test_what_a_solver_reused_hits_and_what_it_did_not_is_near(sample: cs.Dataset) -> None:
    there = {"snapshot": "develop-2024-06-02"}
    specs, dependencies = sample.specs.filter(**there), sample.dependencies.filter(**there)
    reused, fresh = (
        cs.match(cs.read_environment(in_corpus(f"environments/{name}.spack.lock")), specs, dependencies=dependencies)
        for name in ("reuse", "fresh")
    )
    assert reused["status"].to_list() == ["hit"] * 71
    assert fresh["status"].to_list() == ["near"] * 69
    # It was concretized for a host of another OS, with another compiler and libc: all of it differs in that.
    for words in ("os debian12 instead of ubuntu22.04", "compiler gcc@12.2.0 instead of gcc@11.4.0",
                  "glibc 2.36 instead of 2.35"):  # fmt: skip
        assert fresh.filter(pl.col("causes").str.contains(words, literal=True)).height == 69
    # The recipe of another version of an external is not in a dataset, so what depends on glibc is not proven.
    assert set(fresh["proof"]) == {"supposed"}


def test_a_spliced_spec_that_misses_is_compared_as_its_build_spec(tmp_path: Path) -> None:
    environment = cs.read_environment(in_corpus("cases/spliced.spack.lock"))
    ds = cs.build_dataset(in_corpus("cases/spliced.cache"), out=tmp_path / "dataset")
    # The build spec is cached with another version only: that it is spliced with cray-mpich is not why it misses.
    changed = pl.col("package") == "hdf5"
    specs = ds.specs.with_columns(
        version=pl.when(changed).then(pl.lit("1.0")).otherwise("version"),
        hash=pl.when(changed).then(pl.lit("other")).otherwise("hash"),
    )
    renamed = pl.col("hash").replace("hdf5bldaaaaaaaaaaaaaaaaaaaaaaaaa", "other")
    matches = cs.match(environment, specs, dependencies=ds.dependencies.with_columns(hash=renamed))
    row = matches.filter(package="hdf5").row(0, named=True)
    assert (row["status"], row["differs"], row["causes"]) == ("near", "version", "hdf5 1.14.5 instead of 1.0")
    assert row["proof"] == "supposed"


def invoke(*arguments: object, verb: str = "match") -> Result:
    return CliRunner().invoke(cli, [verb, *map(str, arguments)], prog_name="cachestats")


def test_the_verb_says_what_hits_and_what_is_left(sample: cs.Dataset) -> None:
    path = in_corpus("mirrors/develop-2025-05-25/radiuss/spack.lock")
    environment = cs.read_environment(path)
    whole = invoke(sample.path, path)
    assert whole.stderr.splitlines() == [
        "spack.lock: 282 specs, 24 roots, written by Spack 1.0.0.dev0",
        "develop-2025-05-25: 282 of 282 specs hit, 100.0%; 24 of 24 roots, 100.0%",
        "0 near, 0 missing; nothing is left to build",
    ]
    assert len(whole.stdout.splitlines()) == 2, "hits are left out of the table"
    part = ("--where", "stack=build_systems")
    specs = sample.specs.filter(snapshot="develop-2025-05-25", stack="build_systems")
    among = sample.specs.filter(snapshot="develop-2025-05-25")
    edges = sample.dependencies.filter(snapshot="develop-2025-05-25")
    expected = cs.match(environment, specs, dependencies=edges, among=among)
    assert json.loads(invoke(sample.path, path, *part, "--format", "json").stdout) == expected.to_dicts()
    done = invoke(sample.path, path, *part)
    counts = dict(expected["status"].value_counts().rows())
    steps = expected["build_step"].drop_nulls()
    first, _, *others = done.stderr.splitlines()
    assert (
        first
        == "if concretized again with reuse, up to 0 of 24 roots could come from the cache, on x86_64_v3:ubuntu18.04"
    )
    assert others[:2] == [
        f"develop-2025-05-25, stack=build_systems: {counts['hit']} of 282 specs hit, {counts['hit'] / 282:.1%}; "
        "0 of 24 roots, 0.0%",
        f"{counts['near']} near, {counts['miss']} missing; {len(steps)} left to build in {steps.max()} steps",
    ]
    table = done.stdout.splitlines()
    assert table[0].split() == ["step", "package", "version", "root", "status", "because"]
    assert len(table) - 2 == 282 - counts["hit"]
    assert table[2].split()[:2] == ["1", expected["package"][0]]


def test_the_verb_ranks_causes(sample: cs.Dataset) -> None:
    path = in_corpus("mirrors/develop-2024-06-02/developer-tools/spack.lock")
    environment = cs.read_environment(path)
    there = {"snapshot": "develop-2024-06-02"}
    specs = sample.specs.filter(stack="radiuss", **there)
    expected = cs.causes(
        environment,
        specs,
        dependencies=sample.dependencies.filter(**there),
        among=sample.specs.filter(**there),
    )
    asked = (sample.path, path, "--snapshot", "develop-2024-06-02", "--where", "stack=radiuss")
    assert json.loads(invoke(*asked, "--format", "json", verb="causes").stdout) == expected.to_dicts()
    assert expected.row(0) == (
        "openssl", "variants", "certs=system", "certs=mozilla", "openssl 3.3.0 certs=system instead of certs=mozilla",
        22, 26, "proven",
    )  # fmt: skip
    done = invoke(*asked, verb="causes")
    assert done.stdout.splitlines()[0].split() == ["cures", "misses", "cause", "proof"]
    assert done.stdout.splitlines()[2].split()[:3] == ["22", "26", "openssl"]
    assert done.stderr.splitlines()[3] == (
        "openssl 3.3.0 certs=system instead of certs=mozilla alone keeps 22 specs from hitting"
    )
    # The first lines of either fit a terminal.
    assert all(len(line) <= 88 for line in done.stderr.splitlines())
    first, *others = invoke(*asked).stderr.splitlines()
    assert first == (
        "if concretized again with reuse, up to 3 of 38 roots could come from the cache, 23 specs in all, "
        "on x86_64_v3:ubuntu18.04"
    )
    assert others == done.stderr.splitlines()


def test_the_verb_says_that_another_format_is_another_hash(sample: cs.Dataset) -> None:
    path = in_corpus("mirrors/develop-2024-06-02/developer-tools/spack.lock")
    done = invoke(sample.path, path)
    assert done.stderr.splitlines()[4] == (
        "87 of the near ones are written in another format, so their hashes differ in any case"
    )
    assert "(supposed)" in done.stdout


def test_the_verb_ranks_snapshots_and_stacks(sample: cs.Dataset) -> None:
    path = in_corpus("mirrors/develop-2025-05-25/radiuss/spack.lock")
    environment = cs.read_environment(path)
    best = invoke(sample.path, path, verb="hit-rates")
    assert best.stdout.splitlines()[2].split() == [
        "develop-2025-05-25", "282", "282", "100.0%", "0", "24", "24", "100.0%",
    ]  # fmt: skip
    assert best.stderr.splitlines()[1] == (
        "best of 5 snapshots: develop-2025-05-25, 282 of 282 specs hit, 100.0%; 24 of 24 roots, 100.0%"
    )
    stacks = invoke(sample.path, path, "--by", "stack", "--format", "json", verb="hit-rates")
    assert json.loads(stacks.stdout) == cs.hit_rates(environment, sample.specs, by="stack").to_dicts()
    assert "best of 28 stacks: develop-2025-05-25 radiuss, 282 of 282" in stacks.stderr
    with_root = invoke(sample.path, path, "--by", "stack", "--union", verb="hit-rates").stdout
    assert with_root.splitlines()[3].split()[:2] == ["develop-2025-05-25", "root"]
    nothing = invoke(sample.path, path, "--where", "package=zlib", verb="hit-rates").stderr
    assert "none of the 282 specs is in any of " in nothing


def lockfile(folder: Path, specs: dict[str, list[str]], version: int = 6) -> Path:
    """Write the lockfile of an environment: its specs, and what each depends on; the first is the root."""
    arch = {"platform": "linux", "platform_os": "o", "target": "t"}
    nodes = {
        one: {"name": one, "version": "1", "hash": one, "arch": arch}
        | {"dependencies": [{"name": name, "hash": name, "parameters": {"deptypes": ["link"]}} for name in needed]}
        for one, needed in specs.items()
    }
    meta = {"file-type": "spack-lockfile", "lockfile-version": version}
    file = folder / "spack.lock"
    roots = [{"hash": one} for one in [*specs][:1]]
    file.write_text(json.dumps({"_meta": meta, "roots": roots, "concrete_specs": nodes}))
    return file


@pytest.mark.parametrize(
    ("specs", "error", "words"),
    [
        ({}, ArgumentError, "found none in {}\nhint: run `spack concretize`"),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, SourceError, "without a cycle in {}, found "),
    ],
)
def test_an_environment_that_is_none_is_told(
    specs: dict[str, list[str]], error: type[Exception], words: str, demo: cs.Dataset, tmp_path: Path
) -> None:
    file = lockfile(tmp_path, specs)
    done = invoke(demo.path, file)
    assert isinstance(done.exception, error)
    assert words.format(file) in str(done.exception)


def test_a_newer_lockfile_is_read_and_told_once(demo: cs.Dataset, tmp_path: Path) -> None:
    file = lockfile(tmp_path, {"a": []}, version=99)
    said = invoke(demo.path, file).stderr.splitlines()
    assert said == [
        f"warning: {file}: expected a lockfile of version 1 to 8, found 99; it was read as far as possible",
        "spack.lock: 1 spec, 1 root",
        "develop: 0 of 1 spec hit, 0.0%; 0 of 1 root, 0.0%",
        "0 near, 1 missing; 1 left to build in 1 step",
    ]


def test_what_a_terminal_would_obey_is_not_printed(demo: cs.Dataset, tmp_path: Path) -> None:
    file = lockfile(tmp_path, {"py-filelock": []})
    content = json.loads(file.read_text()) | {"spack": {"version": "1\x1b[2J"}}
    content["concrete_specs"]["py-filelock"] |= {"version": "\x1b[2J", "namespace": "\x1b[2J"}
    file.write_text(json.dumps(content))
    for verb in ("match", "causes"):
        done = invoke(demo.path, file, verb=verb)
        assert done.exit_code == 0
        assert "\\x1b" in done.stderr
        assert "\x1b" not in done.stderr + done.stdout


def test_several_environments_add_up(demo: cs.Dataset, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    files = [lockfile(tmp_path / name, {name: []}) for name in "ab"]
    assert invoke(demo.path, *files).stderr.splitlines()[0] == (
        "spack.lock, spack.lock: 2 specs, 2 roots, written by Spack 1.0 to 1.2"
    )
    assert len(json.loads(invoke(demo.path, *files, "--format", "json").stdout)) == 2
    assert invoke(demo.path).exit_code == 2, "an environment is needed"


def test_a_share_may_be_asked_for(sample: cs.Dataset) -> None:
    path = in_corpus("mirrors/develop-2025-05-25/radiuss/spack.lock")
    assert invoke(sample.path, path, "--fail-under", "100%").exit_code == 0
    part = ("--where", "stack=build_systems", "--fail-under", "90%")
    done = invoke(sample.path, path, *part)
    assert isinstance(done.exception, CheckError)
    assert str(done.exception).splitlines() == [
        "expected at least 90.0% of the specs to hit, found 17.7%",
        "hint: `cachestats causes` says why the others do not",
    ]
    assert "left to build" in done.stderr
    assert "step" in done.stdout, "what there is is printed first"
    assert invoke(sample.path, path, "--fail-under", "100%", verb="hit-rates").exit_code == 0
    assert isinstance(invoke(sample.path, path, *part, verb="hit-rates").exception, CheckError)
