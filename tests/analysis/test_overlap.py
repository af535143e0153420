"""What is shared: against the same question in plain SQL, and what must hold of any sets."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable
from itertools import combinations, pairwise
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cachestats as cs
from cachestats.axes import GROUP_AXES
from cachestats.errors import ArgumentError
from cachestats.naming import UNION_STACK
from cachestats.schema import SPECS
from tests.support.cli import run
from tests.support.frames import DATED, specs_of

some_specs = specs_of([*DATED, "develop"])
by_anything = st.sampled_from(GROUP_AXES)


def pairs_in_sql(specs: pl.DataFrame, by: str, *, union: bool = False) -> dict[tuple[str | None, ...], tuple[Any, ...]]:
    """Answer the question with DuckDB, for each pair both ways round."""
    where = "WHERE stack IS DISTINCT FROM 'root'" if by == "stack" and not union else ""
    rows = duckdb.sql(
        f"""
        WITH circles AS (
            SELECT "{by}" AS name, list(DISTINCT hash) AS hashes, list(DISTINCT package) AS packages
            FROM specs {where} GROUP BY ALL
        )
        SELECT a.name, b.name,
            len(a.hashes), len(b.hashes), len(list_intersect(a.hashes, b.hashes)) AS common,
            common / len(list_distinct(a.hashes || b.hashes)),
            len(a.packages), len(b.packages), len(list_intersect(a.packages, b.packages)) AS common_packages,
            common_packages / len(list_distinct(a.packages || b.packages))
        FROM circles a JOIN circles b ON a.name IS DISTINCT FROM b.name
        """
    ).fetchall()
    return {row[:2]: row[2:] for row in rows}


def sets_in_sql(specs: pl.DataFrame, by: str, *, union: bool = False) -> dict[frozenset[str], tuple[int, int]]:
    """Answer the question with DuckDB, by the names of each combination."""
    where = "WHERE stack IS DISTINCT FROM 'root'" if by == "stack" and not union else ""
    rows = duckdb.sql(
        f"""
        WITH chosen AS (SELECT *, "{by}" AS key FROM specs {where}),
        named AS (SELECT *, coalesce(key, (SELECT CASE WHEN count(*) FILTER (WHERE key = 'none') > 0
            THEN '(none)' ELSE 'none' END FROM chosen)) AS name FROM chosen),
        hashes AS (SELECT list_sort(list(DISTINCT name)) AS names, 1 AS h, 0 AS p FROM named GROUP BY hash),
        packages AS (SELECT list_sort(list(DISTINCT name)) AS names, 0 AS h, 1 AS p FROM named GROUP BY package)
        SELECT names, sum(h)::BIGINT, sum(p)::BIGINT FROM (FROM hashes UNION ALL FROM packages) GROUP BY names
        """
    ).fetchall()
    return {frozenset(names): (hashes, packages) for names, hashes, packages in rows}


def assert_pairs(found: pl.DataFrame, expected: dict[tuple[str | None, ...], tuple[Any, ...]], by: str) -> None:
    assert found.columns == [
        by, f"other_{by}",
        "hashes", "other_hashes", "common_hashes", "jaccard_hashes",
        "packages", "other_packages", "common_packages", "jaccard_packages",
    ]  # fmt: skip
    pairs = [row[:2] for row in found.rows()]
    assert {row[:2]: row[2:] for row in found.rows()} == {pair: expected[pair] for pair in pairs}
    assert {frozenset(pair) for pair in pairs} == {frozenset(pair) for pair in expected}
    assert len(pairs) * 2 == len(expected)


def assert_sets(found: pl.DataFrame, expected: dict[frozenset[str], tuple[int, int]]) -> None:
    assert found.columns == ["combination", "members", "hashes", "packages"]
    assert found.schema["members"] == found.schema["hashes"] == found.schema["packages"] == pl.Int64
    names = [frozenset(text.split(", ")) for text in found["combination"]]
    assert [len(some) for some in names] == found["members"].to_list()
    assert dict(zip(names, found.select("hashes", "packages").rows(), strict=True)) == expected
    assert found.equals(found.sort("hashes", "packages", "combination", descending=[True, True, False]))


@pytest.mark.slow
@pytest.mark.parametrize("by", GROUP_AXES)
def test_everything_that_the_sample_shares_is_as_in_sql(by: str, sample: cs.Dataset) -> None:
    specs = sample.specs.collect()
    assert_pairs(cs.overlap(specs, by=by), pairs_in_sql(specs, by), by)
    assert_sets(cs.overlap_sets(specs, by=by), sets_in_sql(specs, by))


@given(some_specs, by_anything, st.booleans())
def test_whatever_is_shared_is_as_in_sql(specs: pl.DataFrame, by: str, union: bool) -> None:
    assert_pairs(cs.overlap(specs, by=by, union=union), pairs_in_sql(specs, by, union=union), by)
    assert_sets(cs.overlap_sets(specs, by=by, union=union), sets_in_sql(specs, by, union=union))


@given(some_specs, by_anything)
def test_each_hash_and_each_package_is_in_one_set(specs: pl.DataFrame, by: str) -> None:
    chosen = specs.filter(pl.col("stack").ne_missing(UNION_STACK)) if by == "stack" else specs
    sets = cs.overlap_sets(specs, by=by)
    assert sets["hashes"].sum() == chosen["hash"].n_unique()
    assert sets["packages"].sum() == chosen["package"].n_unique()


@given(some_specs)
def test_what_each_two_share_is_what_the_sets_with_both_hold(specs: pl.DataFrame) -> None:
    sets = cs.overlap_sets(specs, by="snapshot").with_columns(pl.col("combination").str.split(", "))
    for row in cs.overlap(specs, by="snapshot").iter_rows(named=True):
        both = pl.col("combination").list.contains(row["snapshot"]) & pl.col("combination").list.contains(
            row["other_snapshot"]
        )
        assert sets.filter(both)["hashes"].sum() == row["common_hashes"]


@given(some_specs, by_anything, st.randoms(use_true_random=False))
def test_neither_row_order_nor_repeats_nor_the_kind_of_frame_matter(
    specs: pl.DataFrame, by: str, draw: random.Random
) -> None:
    shuffled = specs.sample(fraction=1, shuffle=True, seed=draw.randrange(1 << 30))
    again = pl.concat([shuffled, shuffled])
    for question in (cs.overlap, cs.overlap_sets):
        expected = question(specs, by=by)
        assert question(again, by=by).equals(expected)
        assert question(duckdb.sql("FROM again"), by=by).equals(expected)


def test_more_names_than_a_number_has_bits() -> None:
    names = [f"v0.{number}" for number in range(150)]
    # Each hash is in two neighbours, and the first and the last share one too.
    rows = [(name, f"h{(place + step) % 150}") for place, name in enumerate(names) for step in (0, 1)]
    specs = pl.DataFrame(rows, schema=["snapshot", "hash"], orient="row").with_columns(package=pl.lit("a"))
    found = cs.overlap(specs, by="snapshot")
    assert found.select("snapshot", "other_snapshot").rows() == list(combinations(names, 2))
    shared = found.filter(common_hashes=1).select("snapshot", "other_snapshot").rows()
    assert shared == [(names[0], names[1]), (names[0], names[149]), *pairwise(names[1:])]
    assert found["common_hashes"].sum() == 150
    assert set(found["jaccard_packages"]) == {1.0}
    sets = cs.overlap_sets(specs, by="snapshot")
    assert sets.row(0) == ("v0.0, v0.1", 2, 1, 0)
    assert sets.filter(packages=1)["members"].to_list() == [150]


def test_no_specs_give_an_empty_answer_and_one_stack_no_pair() -> None:
    empty = pl.LazyFrame(schema=SPECS.polars())
    assert cs.overlap(empty).shape == (0, 10)
    assert cs.overlap_sets(empty).shape == (0, 4)
    one = pl.DataFrame({"stack": ["e4s", "root"], "hash": "h", "package": "a"})
    assert cs.overlap(one).is_empty()
    assert cs.overlap(one).schema == cs.overlap(one, union=True).schema
    assert cs.overlap_sets(one).rows() == [("e4s", 1, 1, 1)]


def test_a_missing_name_is_not_taken_for_one_that_is_called_so() -> None:
    specs = pl.DataFrame({"compiler": [None, "none"], "hash": ["h", "h"], "package": ["a", "b"]})
    assert cs.overlap(specs, by="compiler").select("compiler", "other_compiler").rows() == [("none", None)]
    assert cs.overlap_sets(specs, by="compiler").rows() == [
        ("none, (none)", 2, 1, 0),
        ("(none)", 1, 0, 1),
        ("none", 1, 0, 1),
    ]


def test_a_wrong_question_says_what_there_is(demo: cs.Dataset) -> None:
    with pytest.raises(ArgumentError, match=r"as by, found 'stacks'\nhint: try stack"):
        cs.overlap(demo.specs, by="stacks")
    with pytest.raises(ArgumentError, match="as by, found 'package'"):
        cs.overlap_sets(demo.specs, by="package")
    with pytest.raises(ArgumentError, match="expected the columns hash, package, stack, found stack"):
        cs.overlap(pl.DataFrame({"stack": ["e4s"]}))


def test_frames_of_every_kind_give_equal_answers(
    sample: cs.Dataset, kinds: Callable[[pl.DataFrame], dict[str, Any]]
) -> None:
    specs = sample.specs.collect()
    pairs, sets = cs.overlap(specs, by="compiler"), cs.overlap_sets(specs)
    for name, frame in kinds(specs).items():
        assert cs.overlap(frame, by="compiler").equals(pairs), name
        assert cs.overlap_sets(frame).equals(sets), name


def test_the_verb_prints_pairs_and_the_proportion(sample: cs.Dataset) -> None:
    done = run("overlap", sample.path, "--by", "stack")
    lines = [line.split() for line in done.stdout.decode().splitlines()]
    shared = ["common_hashes", "jaccard_hashes", "common_packages", "jaccard_packages"]
    assert lines[0] == ["stack", "other_stack", *shared]
    assert lines[2] == ["build_systems", "radiuss", "50", "16.6%", "53", "22.0%"]
    assert done.stderr == b"develop-2025-05-25: 1 of 6 pairs with hashes in common, 16.7%\n"
    table = run("overlap", sample.path, "--by", "snapshot", "--format", "csv")
    header, row, *rest = csv.reader(io.StringIO(table.stdout.decode()))
    assert (header[:3], header[-1], len(rest)) == (["snapshot", "other_snapshot", "hashes"], "jaccard_packages", 9)
    assert row[:5] == ["develop-2024-04-14", "develop-2024-06-02", "1004", "3006", "19"]


def test_pairs_that_share_nothing_are_counted_and_one_stack_is_no_pair(demo: cs.Dataset) -> None:
    by_target = run("overlap", demo.path, "--by", "target", "--where", "package=py-propcache", "--format", "csv")
    assert len(by_target.stdout.splitlines()) == 2
    by_version = run("overlap", demo.path, "--by", "version", code=2)
    assert b"as by, found 'version'" in by_version.stderr
    one = ("--where", "stack=e4s")
    assert (
        run("overlap", demo.path, *one).stderr
        == b"develop, stack=e4s: nothing to compare: a comparison takes two values of stack\n"
    )


def test_the_verb_prints_sets_and_the_proportion(sample: cs.Dataset) -> None:
    done = run("overlap-sets", sample.path, "--snapshot", "develop-2025-05-25")
    lines = [line.split(maxsplit=3) for line in done.stdout.decode().splitlines()]
    assert lines[0] == ["hashes", "packages", "members", "combination"]
    assert lines[5] == ["50", "0", "2", "build_systems, radiuss"]
    assert done.stderr == (b"develop-2025-05-25: 13 combinations; 50 of 1,413 hashes in more than one stack, 3.5%\n")


def test_a_verb_without_an_answer_says_so(demo: cs.Dataset) -> None:
    for verb in ("overlap", "overlap-sets"):
        done = run(verb, demo.path, "--where", "os=sequoia", "--where", "target=ppc64le")
        assert "nothing to compare: a comparison takes two values of stack" in done.stderr.decode()
    assert b"as by, found 'hash'" in run("overlap", demo.path, "--by", "hash", code=2).stderr
