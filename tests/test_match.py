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
from hypothesis import given
from hypothesis import strategies as st

import cachestats as cs
from cachestats.analysis.match import FIELDS
from cachestats.errors import ArgumentError
from cachestats.schema import DEPENDENCIES, SPECS
from conftest import CORPUS
from tests.test_cli import run

SAME = ", ".join(f"specs.{field} IS DISTINCT FROM environment.{field}" for field in FIELDS)
NAMES = ", ".join(
    f"CASE WHEN specs.{field} IS DISTINCT FROM environment.{field} THEN '{field}' END" for field in FIELDS
)
MATCHES = f"""
    WITH pairs AS (
        SELECT environment.hash, [{SAME}] AS flags, nullif(concat_ws(',', {NAMES}), '') AS differs,
               len(list_filter(flags, lambda one: one)) AS number, specs.hash AS near_hash,
               {", ".join(f"specs.{field} AS near_{field}" for field in FIELDS)}
        FROM environment JOIN specs USING (package)
        WHERE environment.hash NOT IN (SELECT hash FROM specs)
    ),
    nearest AS (
        SELECT * FROM pairs QUALIFY row_number() OVER (PARTITION BY hash ORDER BY number, flags, near_hash) = 1
    )
    SELECT package, hash, is_root,
           CASE WHEN near_hash IS NOT NULL THEN 'near' WHEN hits.hash IS NULL THEN 'miss' ELSE 'hit' END AS status,
           CASE WHEN near_hash IS NOT NULL THEN coalesce(differs, 'dependencies') END,
           near_hash, {", ".join(f"near_{field}" for field in FIELDS)}
    FROM environment LEFT JOIN nearest USING (hash) LEFT JOIN (SELECT DISTINCT hash FROM specs) AS hits USING (hash)
    ORDER BY CASE status WHEN 'hit' THEN 0 WHEN 'near' THEN 1 ELSE 2 END, number, package, hash
"""
COLUMNS = ("package", "hash", "is_root", "status", "differs", "near_hash", *(f"near_{field}" for field in FIELDS))


def rates_in_sql(environment: pl.DataFrame, specs: pl.DataFrame, by: str) -> list[tuple[Any, ...]]:
    """Count hits with DuckDB; in any order."""
    where = "WHERE stack IS DISTINCT FROM 'root'" if by == "stack" else ""
    place = "snapshot, stack" if by == "stack" else "snapshot"
    return duckdb.sql(
        f"""WITH wanted AS (SELECT hash, bool_or(is_root) AS is_root FROM environment GROUP BY hash),
            found AS (SELECT {place}, count(DISTINCT wanted.hash) AS hits,
                             count(DISTINCT wanted.hash) FILTER (is_root) AS root_hits
                      FROM specs LEFT JOIN wanted USING (hash) {where} GROUP BY ALL),
            whole AS (SELECT count(*) AS specs, count(*) FILTER (is_root) AS roots FROM wanted)
            SELECT {place}, hits, specs, CASE WHEN specs > 0 THEN hits / specs END,
                   root_hits, roots, CASE WHEN roots > 0 THEN root_hits / roots END
            FROM found, whole"""
    ).fetchall()


visible = st.fixed_dictionaries(
    {
        "package": st.sampled_from("pq"),
        "version": st.sampled_from("12"),
        "compiler": st.sampled_from([None, "gcc@1", "gcc@2"]),
        "platform": st.sampled_from(["linux", "darwin"]),
        "os": st.just("o"),
        "target": st.sampled_from(["x", "y"]),
        "variants": st.sampled_from(["", "+a"]),
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
some_environments = st.dictionaries(st.sampled_from("efghi"), st.tuples(visible, st.booleans())).map(
    lambda drawn: pl.DataFrame(
        [{"hash": hash_, "is_root": is_root} | fields for hash_, (fields, is_root) in drawn.items()],
        schema=SPECS.polars() | {"is_root": pl.Boolean},
    )
)


@given(some_environments, some_specs, st.randoms(use_true_random=False))
def test_any_match_is_as_in_sql(environment: pl.DataFrame, specs: pl.DataFrame, draw: random.Random) -> None:
    found = cs.match(environment, specs)
    assert found.select(COLUMNS).rows() == duckdb.sql(MATCHES).fetchall()
    assert found.columns == ["package", *FIELDS, "hash", "is_root", *COLUMNS[3:]]
    again = pl.concat([specs, specs]).sample(fraction=1, shuffle=True, seed=draw.randrange(1 << 30))
    assert cs.match(pl.concat([environment[::-1], environment.with_columns(is_root=False)]), again.lazy()).equals(found)


@given(some_environments, some_specs, st.sampled_from(["snapshot", "stack"]))
def test_any_rates_are_as_in_sql_the_best_first(environment: pl.DataFrame, specs: pl.DataFrame, by: str) -> None:
    found = cs.hit_rates(environment, specs, by=by)
    in_sql = rates_in_sql(environment, specs, by)
    age = {"develop": 0, "v0.21.0": 1, "v0.9.0": 2}
    first = 1 if by == "snapshot" else 2

    def best(row: tuple[Any, ...]) -> tuple[Any, ...]:
        stack = () if by == "snapshot" else (row[1] is None, row[1])
        return -row[first], -row[first + 3], age[row[0]], *stack

    assert found.rows() == sorted(in_sql, key=best)
    assert found.schema["hits"] == found.schema["roots"] == pl.Int64
    with_root = cs.hit_rates(environment, specs, by=by, root=True)
    assert with_root.filter(pl.lit(by == "snapshot") | (pl.col(by) != "root") | pl.col(by).is_null()).equals(found)


def test_an_environment_whose_specs_are_all_cached_hits_in_full(indexed: cs.Dataset) -> None:
    specs = indexed.specs.collect()
    for path in sorted((CORPUS / "mirrors").glob("*/*/spack.lock")):
        snapshot, stack = path.parts[-3:-1]
        everything, edges = cs.read_lockfile(path), cs.read_lockfile_dependencies(path)
        cached = everything.join(specs.filter(snapshot=snapshot, stack=stack), on="hash", how="semi")
        matches = cs.match(cached, specs.filter(snapshot=snapshot), dependencies=edges)
        assert set(matches["status"]) == {"hit"}
        assert matches["build_step"].is_null().all()
        rates = cs.hit_rates(cached, specs, by="stack").filter(snapshot=snapshot, stack=stack)
        assert rates.select("rate", "root_rate").row(0) == (1.0, 1.0 if cached["is_root"].any() else None)
        best = cs.hit_rates(everything, specs)
        assert best["snapshot"][0] == snapshot


@pytest.mark.parametrize("snapshot", ["develop-2024-03-17", "develop-2025-05-25"])
def test_an_environment_of_the_corpus_is_as_in_sql(snapshot: str, indexed: cs.Dataset) -> None:
    path = CORPUS / "mirrors" / "develop-2025-05-25" / "e4s" / "spack.lock"
    environment = cs.read_lockfile(path)
    specs = indexed.specs.filter(pl.col("hash").str.slice(0, 1) > "f", snapshot=snapshot).collect()
    found = cs.match(environment, specs)
    assert found.select(COLUMNS).rows() == duckdb.sql(MATCHES).fetchall()
    assert found.height == environment.height > 500
    for by in ("snapshot", "stack"):
        every = indexed.specs.collect()
        assert sorted(cs.hit_rates(environment, every, by=by).rows()) == sorted(rates_in_sql(environment, every, by))


def plan(hashes: str, roots: str, edges: list[tuple[str, str, str]], cached: str) -> list[tuple[str, int | None]]:
    """Return the steps of an environment: its specs, roots, (hash, needed, kind of need), and what is cached."""
    fields = dict.fromkeys(FIELDS, "1")
    environment = pl.DataFrame(
        [{"hash": one, "package": one, "is_root": one in roots} | fields for one in hashes],
        schema={"hash": pl.String, "package": pl.String, "is_root": pl.Boolean} | dict.fromkeys(FIELDS, pl.String),
    )
    rows = [
        {"hash": one, "dependency_hash": needed, **{f"is_{each}": each == kind for each in ("build", "link", "run")}}
        for one, needed, kind in edges
    ]
    specs = environment.filter(pl.col("hash").is_in(list(cached)))
    found = cs.match(environment, specs, dependencies=pl.DataFrame(rows, schema=DEPENDENCIES.polars()))
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
    environment = demo.specs.with_columns(is_root=True)
    with pytest.raises(ArgumentError, match=r"found package, .*\nhint: give what `read_lockfile` returns"):
        cs.match(demo.specs, demo.specs)
    with pytest.raises(ArgumentError, match="the columns of the table specs"):
        cs.match(environment, demo.specs.drop("os"))
    with pytest.raises(ArgumentError, match="give what `read_lockfile_dependencies` returns"):
        cs.match(environment, demo.specs, dependencies=demo.specs)
    with pytest.raises(ArgumentError, match="as by, found 'stacks'\nhint: try stack"):
        cs.hit_rates(environment, demo.specs, by="stacks")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="without a circle"):
        plan("ab", "a", [("a", "b", "link"), ("b", "a", "link")], "")


def test_frames_of_every_kind_give_equal_answers(
    indexed: cs.Dataset, kinds: Callable[[pl.DataFrame], dict[str, Any]]
) -> None:
    environment = cs.read_lockfile(CORPUS / "mirrors" / "develop-2024-03-17" / "radiuss" / "spack.lock")
    frame = indexed.specs.filter(pl.col("hash").str.slice(0, 1) > "f", snapshot="develop-2024-03-17").collect()
    expected = cs.match(environment, frame), cs.hit_rates(environment, frame, by="stack")
    nothing = cs.match(environment.clear(), frame), cs.hit_rates(environment.clear(), frame)
    assert len(set(expected[0]["status"])) == 3
    for name, specs in kinds(frame).items():
        assert cs.match(environment, specs).equals(expected[0]), name
        assert cs.hit_rates(environment, specs, by="stack").equals(expected[1]), name
        assert cs.match(environment.clear(), specs).equals(nothing[0]), name
        assert cs.hit_rates(environment.clear(), specs).equals(nothing[1]), name
    assert nothing[1].select("hits", "rate").rows() == [(0, None)]


def test_the_verb_says_what_hits_and_what_is_left(indexed: cs.Dataset, tmp_path: Path) -> None:
    path = CORPUS / "mirrors" / "develop-2025-05-25" / "radiuss" / "spack.lock"
    environment, edges = cs.read_lockfile(path), cs.read_lockfile_dependencies(path)
    whole = run("match", indexed.path, path)
    assert whole.stderr.decode() == (
        "develop-2025-05-25: 282 of 282 specs hit, 100.0%; 24 of 24 roots hit, 100.0%; 0 left to build\n"
    )
    assert len(whole.stdout.decode().splitlines()) == 2, "hits are left out of the table"
    part = ("--where", "stack=build_systems")
    specs = indexed.specs.filter(snapshot="develop-2025-05-25", stack="build_systems")
    expected = cs.match(environment, specs, dependencies=edges)
    assert json.loads(run("match", indexed.path, path, *part, "--format", "json").stdout) == expected.to_dicts()
    done = run("match", indexed.path, path, *part)
    hits = (expected["status"] == "hit").sum()
    steps = expected["build_step"].drop_nulls()
    assert done.stderr.decode() == (
        f"develop-2025-05-25, stack=build_systems: {hits} of 282 specs hit, {hits / 282:.1%}; 0 of 24 roots hit, 0.0%; "
        f"{len(steps)} left to build in {steps.max()} steps\n"
    )
    table = done.stdout.decode().splitlines()
    assert table[0].split()[:2] == ["build_step", "package"]
    assert len(table) - 2 == 282 - hits
    assert table[2].split()[:2] == ["1", expected["package"][0]]
    best = run("match", indexed.path, path, "--best")
    assert best.stdout.decode().splitlines()[2].split() == [
        "develop-2025-05-25", "282", "282", "100.0%", "24", "24", "100.0%",
    ]  # fmt: skip
    assert best.stderr.decode().startswith("best of 5 snapshots: develop-2025-05-25, 282 of 282 specs hit, 100.0%")
    stacks = run("match", indexed.path, path, "--best", "--by", "stack", "--format", "json")
    assert json.loads(stacks.stdout) == cs.hit_rates(environment, indexed.specs, by="stack").to_dicts()
    assert b"best of 28 stacks: develop-2025-05-25 radiuss, 282 of 282" in stacks.stderr
    with_root = run("match", indexed.path, path, "--best", "--by", "stack", "--root").stdout
    assert with_root.decode().splitlines()[3].split()[:2] == ["develop-2025-05-25", "root"]
    assert b"add --best" in run("match", indexed.path, path, "--by", "stack", code=2).stderr
    nothing = run("match", indexed.path, path, "--best", "--where", "package=zlib").stderr.decode()
    assert nothing.startswith("none of the 282 specs is in any of ")
    for best in ((), ("--best",)):
        assert b"hint: no os is plan9" in run("match", indexed.path, path, *best, "--where", "os=plan9").stderr
    assert b"cannot read the lockfile" in run("match", indexed.path, tmp_path / "spack.lock", code=10).stderr


def lockfile(folder: Path, specs: dict[str, list[str]], version: int = 6) -> Path:
    """Write the lockfile of an environment: its specs, and what each depends on."""
    nodes = {
        one: {
            "name": one,
            "version": "1",
            "hash": one,
            "arch": {"platform": "linux", "platform_os": "o", "target": "t"},
        }
        | {"dependencies": [{"name": name, "hash": name, "parameters": {"deptypes": ["link"]}} for name in needed]}
        for one, needed in specs.items()
    }  # fmt: skip
    meta = {"file-type": "spack-lockfile", "lockfile-version": version}
    file = folder / "spack.lock"
    file.write_text(json.dumps({"_meta": meta, "roots": [], "concrete_specs": nodes}))
    return file


@pytest.mark.parametrize(
    ("specs", "code", "words"),
    [
        ({}, 2, "found none in {}\nhint: run `spack concretize`"),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, 10, "without a circle in {}, found "),
    ],
)
def test_an_environment_that_is_none_is_told(
    specs: dict[str, list[str]], code: int, words: str, demo: cs.Dataset, tmp_path: Path
) -> None:
    file = lockfile(tmp_path, specs)
    assert words.format(file) in run("match", demo.path, file, code=code).stderr.decode()


def test_a_newer_lockfile_is_read_and_told_once(demo: cs.Dataset, tmp_path: Path) -> None:
    file = lockfile(tmp_path, {"a": []}, version=99)
    said = run("match", demo.path, file).stderr.decode().splitlines()
    assert said[0] == f"warning: {file}: expected a lockfile of version 1 to 8, found 99; what can be read was"
    assert len(said) == 2
