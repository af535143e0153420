"""What is built twice, against the same question in plain SQL, and why, against a walk by hand."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cachestats as cs
from cachestats.analysis.duplicates import VISIBLE
from cachestats.axes import DUPLICATE_ROWS
from cachestats.errors import ArgumentError
from cachestats.schema import DEPENDENCIES, SPECS
from tests.support.cli import run
from tests.support.graphs import caches
from tests.support.indices import build_index, node_record

Cache = tuple[pl.DataFrame, pl.DataFrame]
NAMES = ", ".join(VISIBLE)


def in_sql(specs: pl.DataFrame) -> list[tuple[object, ...]]:
    """Find the groups with DuckDB."""
    return duckdb.sql(
        f"""SELECT {NAMES}, count(*) AS hashes, count(*) - 1 AS excess,
                   CASE WHEN count(size_bytes) = count(*) THEN sum(size_bytes) - max(size_bytes) END::BIGINT
            FROM (SELECT {NAMES}, hash, max(size_bytes) AS size_bytes FROM specs GROUP BY {NAMES}, hash)
            GROUP BY {NAMES} HAVING count(*) > 1
            ORDER BY excess DESC, {", ".join(f"{name} NULLS LAST" for name in VISIBLE)}"""
    ).fetchall()


def explained_by_hand(specs: pl.DataFrame, edges: pl.DataFrame) -> list[tuple[str | None, str | None]]:
    """Return `differs` and `causes` of each group, by looking at every spec of it."""
    group_of: dict[tuple[str, str], tuple[Any, ...]] = {}
    for *visible, hash_ in specs.select(*VISIBLE, "hash").rows():
        group_of[visible[0], hash_] = tuple(visible)
    recipe = dict(zip(specs.select("snapshot", "hash").rows(), specs["package_hash"], strict=True))
    members: dict[tuple[Any, ...], set[str]] = {}
    for (_, hash_), group in group_of.items():
        members.setdefault(group, set()).add(hash_)
    below: dict[tuple[str, str], dict[str, set[str]]] = {}
    for snapshot, hash_, needed, package in edges.select(
        "snapshot", "hash", "dependency_hash", "dependency_package"
    ).rows():
        below.setdefault((snapshot, hash_), {}).setdefault(package or needed, set()).add(needed)

    def differing(group: tuple[Any, ...]) -> list[str]:
        builds = [below.get((group[0], hash_), {}) for hash_ in members[group]]
        return sorted(
            name for name in set().union(*builds) if any(one.get(name) != builds[0].get(name) for one in builds)
        )

    def causes(group: tuple[Any, ...]) -> set[str]:
        recipes = {recipe[group[0], hash_] for hash_ in members[group]} - {None}
        found = {f"recipe of {group[1]}"} if len(recipes) > 1 else set()
        for name in differing(group):
            builds = [below.get((group[0], hash_), {}).get(name, set()) for hash_ in members[group]]
            groups = {group_of.get((group[0], hash_)) for hash_ in set().union(*builds)}
            (only,) = groups if len(groups) == 1 else (None,)
            follows = only is not None and len(members[only]) > 1 and all(builds)
            found |= causes(only) if follows else {name}
        return found or {str(group[1])}

    unknown = set(specs.filter(pl.col("spec_format").is_null())["snapshot"])
    groups = [row[: len(VISIBLE)] for row in in_sql(specs)]
    return [
        (",".join(differing(group)), ",".join(sorted(causes(group)))) if group[0] not in unknown else (None, None)
        for group in groups
    ]


@pytest.mark.slow
def test_groups_and_causes_are_as_in_sql_and_by_hand(sample: cs.Dataset, many: pl.DataFrame) -> None:
    for specs in (many, sample.specs.collect()):
        found = cs.duplicates(specs)
        assert found.columns == [*VISIBLE, "hashes", "excess", "excess_bytes"]
        assert found.rows() == in_sql(specs)
        assert found.schema["hashes"] == found.schema["excess"] == found.schema["excess_bytes"] == pl.Int64
    explained = cs.duplicates(sample.specs, dependencies=sample.dependencies)
    assert explained.drop("differs", "causes").equals(found)
    by_hand = explained_by_hand(sample.specs.collect(), sample.dependencies.collect())
    assert explained.select("differs", "causes").rows() == by_hand
    assert explained.height > 1000


@given(caches())
def test_any_cache_is_as_in_sql_and_by_hand(cache: Cache) -> None:
    specs, edges = cache
    assert cs.duplicates(specs).rows() == in_sql(specs)
    explained = cs.duplicates(specs, dependencies=edges)
    assert explained.drop("differs", "causes").equals(cs.duplicates(specs))
    assert explained.select("differs", "causes").rows() == explained_by_hand(specs, edges)


@given(caches(), st.randoms(use_true_random=False))
def test_neither_row_order_nor_repeats_matter_and_sums_add_up(cache: Cache, draw: random.Random) -> None:
    specs, edges = cache
    shuffled = [
        pl.concat([frame, frame]).sample(fraction=1, shuffle=True, seed=draw.randrange(1 << 30)) for frame in cache
    ]
    groups = cs.duplicates(specs, dependencies=edges)
    tells_causes = groups.is_empty() or not groups["causes"].is_null().all()
    for by in DUPLICATE_ROWS if tells_causes else ("spec", "package"):
        expected = cs.duplicates(specs, dependencies=edges, by=by)
        assert cs.duplicates(shuffled[0], dependencies=shuffled[1].lazy(), by=by).equals(expected)
    packages = cs.duplicates(specs, by="package")
    assert packages.equals(cs.duplicates(specs, dependencies=edges, by="package"))
    assert packages.select(pl.col("groups", "hashes", "excess").sum()).row(0) == (
        groups.height, groups["hashes"].sum(), groups["excess"].sum(),
    )  # fmt: skip
    expected_packages = duckdb.sql(
        """SELECT package, count(*), sum(hashes)::BIGINT, sum(excess)::BIGINT AS excess,
                  CASE WHEN count(excess_bytes) = count(*) THEN sum(excess_bytes) END::BIGINT
           FROM groups GROUP BY package ORDER BY excess DESC, package"""
    ).fetchall()
    assert packages.rows() == expected_packages
    expected_causes = duckdb.sql(
        """SELECT cause, count(*), count(DISTINCT package), sum(excess)::BIGINT AS excess
           FROM (SELECT *, unnest(string_split(causes, ',')) AS cause FROM groups)
           GROUP BY cause ORDER BY excess DESC, cause"""
    ).fetchall()
    if tells_causes:
        assert cs.duplicates(specs, dependencies=edges, by="cause").rows() == expected_causes


def spec(hash_: str, package: str, **fields: Any) -> dict[str, Any]:
    """Return a spec of one snapshot."""
    same = {"snapshot": "develop", "version": "1", "platform": "linux", "os": "o", "target": "t", "variants": ""}
    same |= {"flags": "", "namespace": "builtin", "package_hash": "r1", "spec_format": 5}
    return same | {"hash": hash_, "package": package} | fields


def edge(hash_: str, needed: str, package: str) -> dict[str, Any]:
    return {"snapshot": "develop", "hash": hash_, "dependency_hash": needed, "dependency_package": package}


def test_dependencies_are_followed_down_to_what_makes_them_differ() -> None:
    specs = pl.DataFrame(
        [
            spec("n1", "py-numpy"), spec("n2", "py-numpy"), spec("v1", "python-venv"), spec("v2", "python-venv"),
            spec("p1", "python", version="3.11"), spec("p2", "python", version="3.12"),
            spec("z1", "zlib", size_bytes=3), spec("z2", "zlib", size_bytes=4),
        ],
        schema=SPECS.polars(),
    )  # fmt: skip
    edges = pl.DataFrame(
        [
            edge("n1", "v1", "python-venv"), edge("n2", "v2", "python-venv"), edge("n1", "g", "gmake"),
            edge("n2", "g", "gmake"), edge("v1", "p1", "python"), edge("v2", "p2", "python"),
        ],
        schema=DEPENDENCIES.polars(),
    )  # fmt: skip
    found = cs.duplicates(specs, dependencies=edges)
    assert found.select("package", "excess_bytes", "differs", "causes").rows() == [
        ("py-numpy", None, "python-venv", "python"),
        ("python-venv", None, "python", "python"),
        ("zlib", 3, "", "zlib"),
    ]
    some = specs.filter(package="py-numpy")
    (alone,) = cs.duplicates(some, dependencies=edges)["causes"]
    (among,) = cs.duplicates(some, dependencies=edges, among=specs)["causes"]
    assert (alone, among) == ("python-venv", "python")


def test_flags_and_namespaces_tell_specs_apart_and_recipes_are_a_cause() -> None:
    specs = [spec("a1", "a"), spec("a2", "a", flags="cflags=-O3"), spec("b1", "b"), spec("b2", "b", namespace="ours")]
    assert cs.duplicates(pl.DataFrame(specs, schema=SPECS.polars())).is_empty()
    recipes = [
        spec("c1", "c"), spec("c2", "c", package_hash="r2"), spec("d1", "d"), spec("d2", "d"),
        spec("e1", "e"), spec("e2", "e", package_hash="r3"), spec("f1", "f", package_hash=None), spec("f2", "f"),
    ]  # fmt: skip
    edges = [
        edge("d1", "c1", "c"), edge("d2", "c2", "c"), edge("e1", "d1", "d"), edge("e2", "d2", "d"),
        edge("e1", "x", "gmake"), edge("e2", "y", "gmake"),
    ]  # fmt: skip
    tables = (pl.DataFrame(recipes, schema=SPECS.polars()), pl.DataFrame(edges, schema=DEPENDENCIES.polars()))
    assert cs.duplicates(tables[0], dependencies=tables[1]).select("package", "differs", "causes").rows() == [
        ("c", "", "recipe of c"),
        ("d", "c", "recipe of c"),
        ("e", "d,gmake", "gmake,recipe of c,recipe of e"),
        ("f", "", "f"),
    ]
    assert cs.duplicates(tables[0], dependencies=tables[1], by="cause").rows() == [
        ("recipe of c", 3, 3, 3),
        ("f", 1, 1, 1),
        ("gmake", 1, 1, 1),
        ("recipe of e", 1, 1, 1),
    ]


def test_two_builds_that_differ_in_a_flag_only_are_no_duplicates(tmp_path: Path) -> None:
    same = {"version": "2.2.1"}
    plain = node_record("zlib-ng", "zf0", **same)
    fast, both = (node_record("zlib-ng", f"zf{n}", parameters=flags, **same) for n, flags in enumerate(FLAGGED, 1))
    dataset = build_index(tmp_path, plain, fast, both)
    specs = dataset.specs.collect()
    assert specs.sort("hash")["flags"].to_list() == ["", "cflags=-O3", "cflags='-O2 -g' ldflags=-lm"]
    assert specs["variants"].unique().to_list() == ["build_system=generic"]
    assert cs.duplicates(specs, dependencies=dataset.dependencies.collect()).is_empty()
    said = run("duplicates", dataset.path).stderr.decode()
    assert said == "nothing is built twice in develop: 0 of 3 specs in excess, 0.0%; 0 groups of 0 packages\n"
    again = node_record("zlib-ng", "zf9", parameters=FLAGGED[0], package_hash="q====", **same)
    dataset = build_index(tmp_path, plain, fast, both, again)
    found = cs.duplicates(dataset.specs, dependencies=dataset.dependencies)
    assert found.select("package", "flags", "hashes", "causes").rows() == [
        ("zlib-ng", "cflags=-O3", 2, "recipe of zlib-ng")
    ]


FLAGGED: tuple[dict[str, Any], ...] = ({"cflags": ["-O3"]}, {"cflags": ["-O2", "-g"], "ldflags": ["-lm"]})


def test_of_pages_nobody_knows_why(demo: cs.Dataset) -> None:
    found = cs.duplicates(demo.specs, dependencies=demo.dependencies)
    assert found.height == 18
    assert found["differs"].is_null().all()
    assert found["causes"].is_null().all()
    with pytest.raises(
        ArgumentError, match=r"to find causes, found none for develop, develop-2025-03-09.*\nhint: build"
    ):
        cs.duplicates(demo.specs, dependencies=demo.dependencies, by="cause")


def test_a_wrong_question_says_what_there_is(demo: cs.Dataset) -> None:
    with pytest.raises(ArgumentError, match="as by, found 'packages'\nhint: try package"):
        cs.duplicates(demo.specs, by="packages")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="expected dependencies to find causes"):
        cs.duplicates(demo.specs, by="cause")
    with pytest.raises(ArgumentError, match="keep variants in the frame"):
        cs.duplicates(demo.specs.drop("variants"))
    with pytest.raises(ArgumentError, match="the columns of the table dependencies"):
        cs.duplicates(demo.specs, dependencies=demo.specs)
    with pytest.raises(ArgumentError, match="of the same kind, found polars and duckdb"):
        cs.duplicates(demo.specs, dependencies=duckdb.from_arrow(demo.dependencies.collect().to_arrow()))
    circle = pl.DataFrame(
        [edge("a", "b", "q"), edge("b", "a", "p"), edge("c", "d", "q"), edge("d", "c", "p")],
        schema=DEPENDENCIES.polars(),
    )
    specs = pl.DataFrame([spec("a", "p"), spec("b", "q"), spec("c", "p"), spec("d", "q")], schema=SPECS.polars())
    with pytest.raises(ArgumentError, match=r"without a cycle, found (a > b > a|b > a > b)\n"):
        cs.duplicates(specs, dependencies=circle)


def test_frames_of_every_kind_give_equal_answers(
    sample: cs.Dataset, kinds: Callable[[pl.DataFrame], dict[str, Any]]
) -> None:
    question = {"snapshot": "develop-2024-03-17"}
    some, needs = (frame.filter(**question).collect() for frame in (sample.specs, sample.dependencies))
    specs, edges = kinds(some), kinds(needs)
    expected = cs.duplicates(some, dependencies=needs)
    assert expected.height > 100
    for name in specs:
        assert cs.duplicates(specs[name], dependencies=edges[name]).equals(expected), name


def test_the_verb_shows_what_is_built_twice(sample: cs.Dataset, demo: cs.Dataset) -> None:
    snapshot = "develop-2024-06-02"
    done = run("duplicates", sample.path, "--snapshot", snapshot, "--format", "json")
    one = sample.specs.filter(snapshot=snapshot)
    expected = cs.duplicates(one, dependencies=sample.dependencies)
    assert json.loads(done.stdout) == expected.to_dicts()
    # Two zlib-ng that differ in cflags only are none of them.
    words = "645 of 3,006 specs in excess, 21.5%; 424 groups of 225 packages"
    assert done.stderr.decode() == f"{snapshot}: {words}\n"
    table = run("duplicates", sample.path, "--snapshot", snapshot, "--where", "package=py-torchmetrics").stdout.decode()
    assert table.splitlines()[0].split() == [
        "package", "version", "hashes", "excess", "causes", "compiler", "target", "os",
    ]  # fmt: skip
    causes = expected.filter(package="py-torchmetrics")["causes"]
    assert [re.split("   +", line)[4] for line in table.splitlines()[2:]] == [one.replace(",", ", ") for one in causes]
    by_cause = run("duplicates", sample.path, "--snapshot", snapshot, "--by", "cause", "--format", "json").stdout
    assert json.loads(by_cause) == cs.duplicates(one, dependencies=sample.dependencies, by="cause").to_dicts()
    pages = run("duplicates", demo.path, "--by", "package")
    assert pages.stdout.decode().splitlines()[2].split() == ["py-filelock", "8", "123", "115"]
    assert "why hashes differ is unknown for develop: pages do not list" in pages.stderr.decode()
    assert b"pages do not contain them" in run("duplicates", demo.path, "--by", "cause", code=2).stderr
    nothing = run("duplicates", demo.path, "--where", "os=ubuntu18.04", "--where", "package=py-propcache")
    assert "0 of 0 specs in excess; 0 groups" in nothing.stderr.decode()
