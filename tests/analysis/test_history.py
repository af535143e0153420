"""Since when, and how steadily: against the same questions in plain SQL, and what must hold of any series."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Collection, Sequence
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cachestats as cs
from cachestats.analysis.history import pair_to_compare, snapshots_before
from cachestats.axes import HISTORY_AXES
from cachestats.errors import ArgumentError
from cachestats.schema import SPECS
from tests.support.cli import run
from tests.support.frames import specs_of

# In their order, with what stands before each.
BEFORE = {
    "mine": None,
    "yours": None,
    "v0.9.0": None,
    "v0.10.0": "v0.9.0",
    "v2025.07.0": "v0.10.0",
    "develop-2024-12-29": None,
    "develop-2025-03-09": "develop-2024-12-29",
    "develop-2025-03-16": "develop-2025-03-09",
    "develop": None,
}
KINDS = {"v": "release", "develop-": "dated", "develop": "rolling"}

some_specs = specs_of(list(BEFORE))
looked_at = st.sets(st.sampled_from(list(BEFORE)))
by_anything = st.none() | st.sampled_from(HISTORY_AXES)


def before_of(names: Collection[str]) -> dict[str, str | None]:
    """Return the snapshot before, where there are only these: the nearest of those that stand before it."""
    found: dict[str, str | None] = {}
    for name in names:
        before = BEFORE[name]
        while before is not None and before not in names:
            before = BEFORE[before]
        found[name] = before
    return found


def history_in_sql(
    specs: pl.DataFrame, by: str | None, before: dict[str, str | None], *, union: bool = False
) -> list[tuple[object, ...]]:
    """Answer the question with DuckDB."""
    where = "WHERE stack IS DISTINCT FROM 'root'" if by == "stack" and not union else ""
    key = f'"{by}"' if by else "1"
    # The queries find frames by the names of variables.
    series = pl.DataFrame(  # noqa: F841
        list(before.items()), schema={"name": pl.String, "previous": pl.String}, orient="row"
    )
    return duckdb.sql(
        f"""
        WITH chosen AS (SELECT *, {key} AS key FROM specs {where}),
        cells AS (
            SELECT snapshot, key FROM chosen UNION
            SELECT name, key FROM chosen JOIN series ON snapshot = previous
        ),
        counts AS (
            SELECT snapshot, key, count(DISTINCT package) AS packages, count(DISTINCT hash) AS specs
            FROM chosen GROUP BY ALL
        ),
        whole AS (SELECT snapshot, count(DISTINCT package) AS whole FROM chosen GROUP BY ALL),
        stayed AS (
            SELECT c.snapshot, c.key, count(DISTINCT c.hash) AS kept
            FROM chosen c JOIN series ON c.snapshot = name
            JOIN chosen p ON p.snapshot = previous AND p.key IS NOT DISTINCT FROM c.key AND p.hash = c.hash
            GROUP BY ALL
        )
        SELECT {"c.key," if by else ""} c.snapshot, try_cast(substr(c.snapshot, 9) AS DATE),
            coalesce(packages, 0), coalesce(specs, 0), coalesce(packages / whole, 0), previous, coalesce(kept, 0)
        FROM cells c JOIN series ON c.snapshot = name LEFT JOIN whole w ON w.snapshot = c.snapshot
        LEFT JOIN counts n ON n.snapshot = c.snapshot AND n.key IS NOT DISTINCT FROM c.key
        LEFT JOIN stayed s ON s.snapshot = c.snapshot AND s.key IS NOT DISTINCT FROM c.key
        ORDER BY ALL NULLS LAST
        """
    ).fetchall()


def seen_in_sql(
    specs: pl.DataFrame, by: Sequence[str], looked_at: Collection[str] = (), *, union: bool = False
) -> list[tuple[object, ...]]:
    """Answer the question with DuckDB."""
    where = "WHERE stack IS DISTINCT FROM 'root'" if "stack" in by and not union else ""
    names = sorted({*specs.filter(in_stacks(by, union=union))["snapshot"], *looked_at}, key=list(BEFORE).index)
    places = pl.DataFrame(  # noqa: F841
        [(name, place, kind_of(name)) for place, name in enumerate(names)],
        schema={"name": pl.String, "place": pl.Int64, "kind": pl.String},
        orient="row",
    )
    columns = ", ".join(f'"{name}"' for name in by)
    return duckdb.sql(
        f"""
        SELECT {columns}, kind, arg_min(name, place), arg_max(name, place), count(DISTINCT name),
            (SELECT count(*) FROM places p WHERE p.kind = any_value(s.kind) AND p.place BETWEEN min(s.place)
             AND max(s.place)) - count(DISTINCT name),
            max(place) = (SELECT max(place) FROM places p WHERE p.kind = any_value(s.kind))
        FROM (SELECT * FROM specs JOIN places ON snapshot = name {where}) s
        GROUP BY {columns}, kind ORDER BY ALL NULLS LAST
        """
    ).fetchall()


def in_stacks(by: Sequence[str], *, union: bool) -> pl.Expr:
    return pl.col("stack").ne_missing("root") if "stack" in by and not union else pl.lit(True)


def kind_of(name: str) -> str:
    return next((kind for start, kind in KINDS.items() if name.startswith(start)), "other")


SHOWN = ["snapshot", "snapshot_date", "packages", "specs", "share", "previous"]


@pytest.mark.slow
@pytest.mark.parametrize("by", [None, *HISTORY_AXES])
def test_every_series_of_the_sample_is_as_in_sql(by: str | None, sample: cs.Dataset) -> None:
    specs = sample.specs.collect()
    names = sorted(specs["snapshot"].unique())
    found = cs.history(specs, by=by)
    expected = history_in_sql(specs, by, dict(zip(names, [None, *names[:-1]], strict=True)))
    assert_is(found, expected, by)
    assert found["kept"].sum() >= 19, "the sample has specs that stand in two snapshots"


@given(some_specs, by_anything, looked_at, st.booleans())
def test_any_series_is_as_in_sql(specs: pl.DataFrame, by: str | None, looked_at: set[str], union: bool) -> None:
    there = {*specs.filter(in_stacks([by or ""], union=union))["snapshot"], *looked_at}
    found = cs.history(specs, by=by, snapshots=looked_at, union=union)
    assert_is(found, history_in_sql(specs, by, before_of(there), union=union), by)


def assert_is(found: pl.DataFrame, expected: list[tuple[object, ...]], by: str | None) -> None:
    key = [by] if by else []
    assert found.columns == [*key, *SHOWN, "kept", "new", "gone"]
    compared = found.with_columns(pl.col("kept").fill_null(0)).select(*key, *SHOWN, "kept")
    assert compared.sort(*key, "snapshot", nulls_last=True).rows() == expected


@given(some_specs, by_anything)
def test_what_is_kept_and_what_is_new_are_all_there_is(specs: pl.DataFrame, by: str | None) -> None:
    found = cs.history(specs, by=by)
    first = found.filter(pl.col("previous").is_null())
    assert not first.select(pl.col("kept", "new", "gone").is_not_null().any()).to_series().any()
    rest = found.drop_nulls("previous")
    assert (rest["kept"] + rest["new"]).equals(rest["specs"], check_names=False)
    # And what was there was kept or is gone.
    key = [by] if by else []
    had = found.select(*key, previous="snapshot", had="specs")
    joined = rest.join(had, on=[*key, "previous"], how="left", nulls_equal=True)
    assert (joined["kept"] + joined["gone"]).equals(joined["had"].fill_null(0), check_names=False)


@given(some_specs)
def test_the_share_is_that_of_coverage(specs: pl.DataFrame) -> None:
    share = cs.coverage(specs, rows="stack", columns="snapshot", measure="share", denominator="column")
    found = cs.history(specs, by="stack").filter(pl.col("specs") > 0).select("stack", "snapshot", value="share")
    assert found.sort("stack", "snapshot", nulls_last=True).equals(share)


@pytest.mark.slow
@pytest.mark.parametrize("by", [["package"], ["package", "version", "target"], ["stack"], ["compiler", "os"]])
def test_first_and_last_are_as_in_sql_over_the_sample(by: list[str], sample: cs.Dataset) -> None:
    # The query orders snapshots by a list of their names, which are not those of the sample.
    names = sorted(sample.manifest.snapshots)
    given = ["v0.9.0", "v0.10.0", "develop-2024-12-29", "develop-2025-03-09", "develop-2025-03-16"]
    specs = sample.specs.collect().with_columns(pl.col("snapshot").replace_strict(names, given))
    assert_is_seen(cs.lifespans(specs, by=by), seen_in_sql(specs, by), by)


@given(
    some_specs, st.lists(st.sampled_from(HISTORY_AXES), min_size=1, max_size=3, unique=True), looked_at, st.booleans()
)
def test_first_and_last_of_anything_are_as_in_sql(
    specs: pl.DataFrame, by: list[str], looked_at: set[str], union: bool
) -> None:
    found = cs.lifespans(specs, by=by, snapshots=looked_at, union=union)
    assert_is_seen(found, seen_in_sql(specs, by, looked_at, union=union), by)


def assert_is_seen(found: pl.DataFrame, expected: list[tuple[object, ...]], by: list[str]) -> None:
    key = [*by, "kind"]
    assert found.columns == [
        *key, "first_seen", "last_seen", "first_date", "last_date", "snapshots", "missed", "is_current",
    ]  # fmt: skip
    for end in ("first", "last"):
        dates = found[f"{end}_seen"].str.strip_prefix("develop-").str.to_date(strict=False)
        assert dates.equals(found[f"{end}_date"], check_names=False)
    assert found.drop("first_date", "last_date").sort(key, nulls_last=True).rows() == expected


@given(some_specs, by_anything, st.randoms(use_true_random=False))
def test_neither_row_order_nor_repeats_nor_the_kind_of_frame_matter(
    specs: pl.DataFrame, by: str | None, draw: random.Random
) -> None:
    shuffled = specs.sample(fraction=1, shuffle=True, seed=draw.randrange(1 << 30))
    again = pl.concat([shuffled, shuffled])
    for frame in (again, duckdb.sql("FROM again")):
        assert cs.history(frame, by=by).equals(cs.history(specs, by=by))
        assert cs.lifespans(frame, by=[by or "os"]).equals(cs.lifespans(specs, by=[by or "os"]))


def test_series_stand_in_the_order_that_a_person_expects() -> None:
    rows = [{"snapshot": name, "package": "a", "hash": "h", "version": v} for name in BEFORE for v in ("1.10", "1.9")]
    found = cs.history(pl.DataFrame(rows).sample(fraction=1, shuffle=True, seed=1), by="version")
    assert found.select("version", "snapshot").rows() == [(v, name) for v in ("1.9", "1.10") for name in BEFORE]
    versions = cs.lifespans(pl.DataFrame(rows), by=["version"])["version"].unique(maintain_order=True)
    assert versions.to_list() == ["1.9", "1.10"]


def test_what_is_gone_has_a_row_once() -> None:
    rows = [("develop-2025-03-09", "e4s", "a"), ("develop-2025-03-16", "ml", "b"), ("develop-2025-03-23", "ml", "b")]
    specs = pl.DataFrame(rows, schema=["snapshot", "stack", "hash"], orient="row").with_columns(package="hash")
    found = cs.history(specs, by="stack").select("stack", "snapshot", "packages", "specs", "kept", "new", "gone")
    assert found.rows() == [
        ("e4s", "develop-2025-03-09", 1, 1, None, None, None),
        ("e4s", "develop-2025-03-16", 0, 0, 0, 0, 1),
        ("ml", "develop-2025-03-16", 1, 1, 0, 1, 0),
        ("ml", "develop-2025-03-23", 1, 1, 1, 0, 0),
    ]


def test_the_snapshot_before_is_of_the_same_kind() -> None:
    assert snapshots_before(reversed(BEFORE)) == {new: old for new, old in BEFORE.items() if old}
    assert snapshots_before([]) == {}


def test_the_newest_dated_snapshot_is_compared_or_else_the_newest_release() -> None:
    names = ["develop", "develop-2025-03-16", "v0.9.0", "v0.10.0", "develop-2025-03-09"]
    assert pair_to_compare(names) == ("develop-2025-03-09", "develop-2025-03-16")
    assert pair_to_compare(names, "v0.10.0") == ("v0.9.0", "v0.10.0")
    assert pair_to_compare(names[:1] + names[2:]) == ("v0.9.0", "v0.10.0")
    assert pair_to_compare(names[:3]) is None
    with pytest.raises(ArgumentError, match=r"expected a snapshot that has a previous one, found 'v0\.9\.0'") as error:
        pair_to_compare(names, "v0.9.0")
    assert error.value.hint.startswith("try v0.10.0, develop-2025-03-16; ")


def test_no_specs_give_an_empty_answer() -> None:
    empty = pl.LazyFrame(schema=SPECS.polars())
    assert cs.history(empty, by="stack").shape == (0, 10)
    assert cs.lifespans(empty).shape == (0, 11)


def test_a_wrong_question_says_what_there_is(demo: cs.Dataset) -> None:
    with pytest.raises(ArgumentError, match=r"as by, found 'targets'\nhint: try target"):
        cs.history(demo.specs, by="targets")
    with pytest.raises(ArgumentError, match="as by, found 'hash'"):
        cs.lifespans(demo.specs, by=["hash"])
    for wrong in ([], ["os", "os"], "os"):
        with pytest.raises(ArgumentError, match="expected a list of distinct names as by, found"):
            cs.lifespans(demo.specs, by=wrong)
    with pytest.raises(ArgumentError, match="expected the columns hash, package, snapshot, found snapshot"):
        cs.history(pl.DataFrame({"snapshot": ["develop"]}))


def test_frames_of_every_kind_give_equal_answers(
    sample: cs.Dataset, kinds: Callable[[pl.DataFrame], dict[str, Any]]
) -> None:
    specs = sample.specs.collect()
    series, seen = cs.history(specs, by="compiler"), cs.lifespans(specs)
    empty = kinds(specs.clear())
    for name, frame in kinds(specs).items():
        assert cs.history(frame, by="compiler").equals(series), name
        assert cs.lifespans(frame).equals(seen), name
        assert cs.lifespans(empty[name]).equals(seen.clear()), name


def test_the_verb_history_prints_a_series_and_the_proportion(sample: cs.Dataset) -> None:
    done = run("history", sample.path, "--by", "stack", "--where", "stack=ml-darwin-aarch64-mps")
    lines = [line.split() for line in done.stdout.decode().splitlines()]
    assert lines[0] == ["stack", "snapshot", "packages", "specs", "share", "kept", "new", "gone"]
    assert lines[3] == ["ml-darwin-aarch64-mps", "develop-2024-06-02", "271", "398", "100.0%", "19", "379", "225"]
    # The stack is gone from the newest snapshot, in which nothing passes the filter.
    assert lines[5] == ["ml-darwin-aarch64-mps", "develop-2025-05-25", "0", "0", "0.0%", "0", "0", "413"]
    assert len(lines) == 6
    assert done.stderr.decode() == (
        "5 snapshots, stack=ml-darwin-aarch64-mps: 19 of 1,055 specs were already in the previous snapshot, 1.8%\n"
    )
    by_stack, by_none = (run("history", sample.path, "--by", by).stderr for by in ("stack", "none"))
    assert by_stack == by_none, "a spec in two stacks counts once"
    whole = run("history", sample.path, "--format", "csv").stdout.decode()
    header, _, row, *_ = csv.reader(io.StringIO(whole))
    assert header == [*SHOWN, "kept", "new", "gone"]
    assert row == ["develop-2024-04-14", "2024-04-14", "524", "1004", "1.0", "develop-2024-03-17", "0", "1004", "830"]


def test_the_verb_seen_prints_first_and_last_and_the_proportion(sample: cs.Dataset, demo: cs.Dataset) -> None:
    done = run("lifespans", sample.path, "--where", "package=zlib-ng")
    lines = [line.split() for line in done.stdout.decode().splitlines()]
    assert lines[0] == ["package", "version", "target", "snapshots", "missed", "first_seen", "last_seen"]
    assert lines[3] == ["zlib-ng", "2.1.6", "aarch64", "2", "0", "2024-04-14", "2024-06-02"]
    assert done.stderr == b"5 snapshots, package=zlib-ng: 1 of 8 rows still in the newest snapshot, 12.5%\n"
    gone = run("lifespans", sample.path, "--by", "package", "--where", "package=zlib", "--format", "json")
    (zlib,) = json.loads(gone.stdout)
    assert (zlib["last_seen"], zlib["is_current"]) == ("develop-2025-03-09", False)
    table = run("lifespans", demo.path, "--by", "package, os", "--format", "csv").stdout.decode()
    header, row, *_ = csv.reader(io.StringIO(table))
    assert header[:5] == ["package", "os", "kind", "first_seen", "last_seen"]
    assert row[:5] == ["py-filelock", "sequoia", "dated", "develop-2025-03-09", "develop-2025-03-09"]


def test_a_series_of_one_snapshot_has_none_before(demo: cs.Dataset) -> None:
    done = run("history", demo.path, "--snapshot", "develop", "--by", "os")
    assert done.stderr == b"develop: no snapshot has a previous one\n"
    assert b" - " in done.stdout


@pytest.mark.parametrize("snapshots", ["develop", [1]])
def test_snapshots_are_a_list_of_names(snapshots: Any, demo: cs.Dataset) -> None:
    with pytest.raises(ArgumentError, match="expected a list of names as snapshots, found"):
        cs.history(demo.specs, snapshots=snapshots)


@pytest.mark.parametrize("verb", ["history", "lifespans"])
def test_a_verb_without_an_answer_says_so(verb: str, demo: cs.Dataset) -> None:
    done = run(verb, demo.path, "--where", "os=ubuntu18.04", "--where", "package=py-propcache")
    assert done.stderr == b"no specs in develop-2025-03-09 and develop, os=ubuntu18.04, package=py-propcache\n"
    assert b"as by, found 'packages'" in run(verb, demo.path, "--by", "packages", code=2).stderr
