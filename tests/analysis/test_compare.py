"""What changed: against the same question in plain SQL, and what must hold of any two sides."""

from __future__ import annotations

import csv
import io
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
from cachestats.analysis.compare import compare_snapshots
from cachestats.axes import CHANGE_AXES, CHANGES
from cachestats.dataset.subset import snapshot_names
from cachestats.errors import ArgumentError
from cachestats.schema import SPECS
from tests.support.cli import run
from tests.support.frames import specs_of
from tests.support.indices import index
from tests.support.mirrors import DEFAULT, build, layout_2
from tests.support.site import page, spec, write

SIDES = ("develop-2025-03-09", "develop-2025-05-25")
COMPILERS = ["gcc", "llvm", "llvm-amdgpu", "nvhpc", "intel-oneapi-compilers"]

by_anything = st.none() | st.sampled_from(CHANGE_AXES)
two_sides = specs_of(["old", "new"]).map(lambda specs: (specs.filter(snapshot="old"), specs.filter(snapshot="new")))


def in_sql(old: pl.DataFrame, new: pl.DataFrame, by: str | None, *, union: bool = False) -> list[tuple[object, ...]]:
    """Answer the question with DuckDB."""
    where = "WHERE stack IS DISTINCT FROM 'root'" if by == "stack" and not union else ""
    key = f'"{by}"' if by else "1"
    sides = ", ".join(
        f"""{side}_side AS (
            SELECT {key} AS key, package, list_sort(list(DISTINCT version)) AS versions, list(DISTINCT hash) AS hashes
            FROM {side} {where} GROUP BY ALL
        )"""
        for side in ("old", "new")
    )
    runtimes = "SELECT 1 FROM {} WHERE package IN ('gcc-runtime', 'intel-oneapi-runtime')"
    compilers = "SELECT compiler_name FROM {}"
    represented = " UNION ".join(
        f"""SELECT package FROM {here} WHERE package NOT IN (SELECT package FROM {there})
            AND EXISTS (FROM {there}) AND NOT EXISTS (FROM {there} WHERE compiler_name IS NULL) AND CASE package
            WHEN 'gcc-runtime' THEN NOT EXISTS ({runtimes.format(there)}) AND 'gcc' IN ({compilers.format(there)})
            WHEN 'compiler-wrapper' THEN true
            ELSE package IN {tuple(COMPILERS)} AND package IN ({compilers.format(there)})
                AND 'compiler-wrapper' IN (SELECT package FROM {here})
                AND 'compiler-wrapper' NOT IN (SELECT package FROM {there}) END"""
        for here, there in (("old", "new"), ("new", "old"))
    )
    return duckdb.sql(
        f"""
        WITH {sides}, both_sides AS (
            SELECT coalesce(o.key, n.key) AS key, coalesce(o.package, n.package) AS package,
                o.versions AS old_versions, n.versions AS new_versions,
                coalesce(o.hashes, []) AS old_hashes, coalesce(n.hashes, []) AS new_hashes
            FROM old_side o FULL JOIN new_side n ON o.key IS NOT DISTINCT FROM n.key AND o.package = n.package
        )
        SELECT {"key," if by else ""} package,
            CASE WHEN package IN ({represented}) THEN 'representation'
                WHEN new_versions IS NULL THEN 'removed' WHEN old_versions IS NULL THEN 'added'
                WHEN old_versions <> new_versions THEN 'updated'
                WHEN list_sort(old_hashes) = list_sort(new_hashes) THEN 'unchanged' ELSE 'rebuilt' END AS change,
            old_versions, new_versions, len(old_hashes), len(new_hashes), len(list_intersect(old_hashes, new_hashes))
        FROM both_sides ORDER BY ALL NULLS LAST
        """
    ).fetchall()


def as_lists(found: pl.DataFrame) -> list[tuple[object, ...]]:
    """Return the rows of a comparison with versions as sorted lists, sorted as the query sorts."""
    versions = (pl.col(f"{side}_versions").str.split(", ").list.sort() for side in ("old", "new"))
    key = found.columns[: found.columns.index("change")]
    return found.with_columns(*versions).sort(key, nulls_last=True).rows()


@pytest.mark.slow
@pytest.mark.parametrize(("by", "union"), [*((by, False) for by in (None, *CHANGE_AXES)), ("stack", True)])
def test_two_snapshots_are_compared_as_in_sql(by: str | None, union: bool, sample: cs.Dataset) -> None:
    names = sorted(sample.manifest.snapshots)
    for old_name, new_name in [*pairwise(names), (names[-1], names[0])]:
        old, new = (sample.specs.filter(snapshot=name).collect() for name in (old_name, new_name))
        found = cs.compare(old, new, by=by, union=union)
        assert found.columns[-7:] == [
            "package", "change", "old_versions", "new_versions", "old_specs", "new_specs", "common_specs",
        ]  # fmt: skip
        assert {found.schema[name] for name in ("old_specs", "new_specs", "common_specs")} == {pl.Int64}
        assert as_lists(found) == in_sql(old, new, by, union=union)


@given(two_sides, by_anything, st.booleans())
def test_any_two_sides_are_compared_as_in_sql(
    sides: tuple[pl.DataFrame, pl.DataFrame], by: str | None, union: bool
) -> None:
    assert as_lists(cs.compare(*sides, by=by, union=union)) == in_sql(*sides, by, union=union)


@given(specs_of(["a", "b"]), by_anything)
def test_nothing_changed_between_a_side_and_itself(specs: pl.DataFrame, by: str | None) -> None:
    found = cs.compare(specs, specs, by=by)
    assert set(found["change"]) <= {"unchanged"}
    assert found["old_specs"].equals(found["new_specs"])
    assert found["common_specs"].equals(found["new_specs"])


@given(two_sides, by_anything)
def test_there_and_back_mirror_each_other(sides: tuple[pl.DataFrame, pl.DataFrame], by: str | None) -> None:
    there, back = cs.compare(*sides, by=by), cs.compare(*reversed(sides), by=by)
    mirrored = back.with_columns(pl.col("change").replace({"added": "removed", "removed": "added"})).rename(
        {
            f"{one}_{what}": f"{other}_{what}"
            for what in ("versions", "specs")
            for one, other in (("old", "new"), ("new", "old"))
        }
    )
    assert there.equals(mirrored.select(there.columns))


@given(two_sides, by_anything, st.randoms(use_true_random=False))
def test_neither_row_order_nor_repeats_nor_the_kind_of_frame_matter(
    sides: tuple[pl.DataFrame, pl.DataFrame], by: str | None, draw: random.Random
) -> None:
    old, new = (
        pl.concat([side, side]).sample(fraction=1, shuffle=True, seed=draw.randrange(1 << 30)) for side in sides
    )
    for question in (cs.compare, cs.compare_counts, cs.compare_specs):
        expected = question(*sides, by=by)
        assert question(old, new, by=by).equals(expected)
        assert question(duckdb.sql("FROM old"), duckdb.sql("FROM new"), by=by).equals(expected)


@given(two_sides, by_anything)
def test_the_counts_are_those_of_the_packages(sides: tuple[pl.DataFrame, pl.DataFrame], by: str | None) -> None:
    packages, counts = cs.compare(*sides, by=by), cs.compare_counts(*sides, by=by)
    assert counts.columns == [*([by] if by else []), "old_packages", "new_packages", *CHANGES]
    for row in counts.iter_rows(named=True):
        found = packages.filter(pl.col(by).eq_missing(row[by])) if by else packages
        assert [row[change] for change in CHANGES] == [found.filter(change=change).height for change in CHANGES]
        assert row["old_packages"] == found.filter(pl.col("old_specs") > 0).height
        assert row["new_packages"] == found.filter(pl.col("new_specs") > 0).height


@given(two_sides, by_anything, st.sets(st.sampled_from(CHANGES)))
def test_the_specs_are_those_behind_the_packages(
    sides: tuple[pl.DataFrame, pl.DataFrame], by: str | None, changes: set[str]
) -> None:
    packages = cs.compare(*sides, by=by).filter(pl.col("change").is_in(list(changes)))
    specs = cs.compare_specs(*sides, by=by, changes=changes)
    key = [*([by] if by else []), "package", "change"]
    counted = specs.group_by(key, maintain_order=True).agg(
        old_specs=pl.col("side").is_in(["old", "both"]).sum().cast(pl.Int64),
        new_specs=pl.col("side").is_in(["new", "both"]).sum().cast(pl.Int64),
        common_specs=(pl.col("side") == "both").sum().cast(pl.Int64),
    )
    assert counted.equals(packages.select(counted.columns))
    assert specs.select(*key, "hash").is_unique().all()
    # Each spec is told as its side tells it.
    for name, side in zip(("old", "new"), sides, strict=True):
        told = (
            specs.filter(pl.col("side").is_in([name, "both"]))
            .select("hash", "version", "os", "target", "compiler")
            .unique()
        )
        assert set(told.rows()) <= set(side.select(told.columns).rows())


def side(*packages: str, compilers: tuple[str | None, ...] = ("gcc",), stack: str = "e4s") -> pl.DataFrame:
    names = [*packages, *(f"by-{compiler}" for compiler in compilers)]
    compiled = [*compilers[:1] * len(packages), *compilers]
    hashes = [f"{name}-{stack}" for name in names]
    columns = {"package": names, "version": "1", "hash": hashes, "stack": stack, "compiler_name": compiled}
    return pl.DataFrame(columns, schema_overrides={"compiler_name": pl.String})


WRAPPER = "compiler-wrapper"
INTEL, RUNTIME = "intel-oneapi-compilers", "intel-oneapi-runtime"


@pytest.mark.parametrize(
    ("older", "newer", "represented"),
    [
        (side(), side("gcc-runtime"), {"gcc-runtime"}),
        (side(), side("gcc-runtime", WRAPPER, "gcc", "llvm"), {"gcc-runtime", WRAPPER, "gcc"}),
        (side("gcc-runtime"), side("gcc-runtime", WRAPPER), {WRAPPER}),
        # The wrapper tells of Spack 1.0: a compiler is one that came without it.
        (side(), side("gcc"), set()),
        # A compiler that was in the cache before is a package as any other.
        (side("gcc"), side("gcc", WRAPPER), {WRAPPER}),
        (side("llvm", compilers=("llvm",)), side(WRAPPER, compilers=("llvm",)), {WRAPPER}),
        # A side that knows runtimes lost this one, or has it for the first time.
        (side("gcc-runtime", WRAPPER), side(WRAPPER, compilers=("gcc", None)), set()),
        (side("gcc-runtime"), side("gcc-runtime", RUNTIME, compilers=("gcc", INTEL)), set()),
        # Its compiler came with it.
        (side(), side(RUNTIME, compilers=("gcc", INTEL)), set()),
        (side(compilers=("gcc", INTEL)), side(RUNTIME, compilers=("gcc", INTEL)), {RUNTIME}),
        # Before Spack 1.0 there was no spec without a compiler. A side that has nothing at all says nothing.
        (side(compilers=("gcc", None)), side("gcc-runtime", WRAPPER, "gcc"), set()),
        (side().clear(), side("gcc-runtime", WRAPPER, "gcc"), set()),
        # Nor does one that does not say what it was compiled with.
        (side().drop("compiler_name"), side("gcc-runtime", WRAPPER).drop("compiler_name"), set()),
    ],
)
def test_a_change_of_representation_is_none_of_coverage(
    older: pl.DataFrame, newer: pl.DataFrame, represented: set[str]
) -> None:
    for sides in ((older, newer), (newer, older)):
        for by in (None, "stack"):
            found = cs.compare(*sides, by=by)
            assert set(found.filter(change="representation")["package"]) == represented
    lost = represented - set(cs.compare(newer, older).filter(change="removed")["package"])
    assert lost == represented
    # A filter hides what tells it.
    few = [frame.filter(~pl.col("package").str.starts_with("by-")) for frame in (older, newer)]
    found = cs.compare(*few, among=(older, newer))
    assert set(found.filter(change="representation")["package"]) == represented


def test_what_the_other_side_has_in_another_stack_is_no_change_of_representation() -> None:
    before = pl.concat([side("llvm"), side("llvm", stack="ml")])
    after = pl.concat([side(WRAPPER, "llvm"), side(WRAPPER, stack="ml")])
    found = {(row["stack"], row["package"]): row["change"] for row in cs.compare(before, after, by="stack").to_dicts()}
    assert found["ml", "llvm"] == "removed"
    assert found["e4s", WRAPPER] == found["ml", WRAPPER] == "representation"


@pytest.mark.parametrize("name", ["sample", "mixed", "renamed", "emptied"])
def test_many_snapshots_at_once_are_compared_as_each_pair(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if name == "renamed":  # the snapshots disagree about a hash
        pages = {
            (snapshot, "zlib"): page("zlib", snapshot, [spec(versions=[version])])
            for snapshot, version in (("v0.9", "2.0"), ("v1.0", "1.0"), ("develop", "1.1"))
        }
        dataset = cs.build_dataset(write(tmp_path / "site", pages), out=tmp_path / "dataset")
    elif name == "emptied":
        layout_2(tmp_path / "mirrors/develop-2026-11-28", DEFAULT)
        layout_2(tmp_path / "mirrors/develop-2026-12-05", index({}, cached=set()))
        dataset = build(tmp_path)
    else:
        dataset = request.getfixturevalue(name)
    names = snapshot_names(dataset)
    first, *others = names
    for before in (dict.fromkeys(others, first), dict(pairwise(names)), {}):
        found = compare_snapshots(dataset, before)
        parts = [
            cs.compare(dataset.at(old), dataset.at(new)).select(pl.lit(new).alias("snapshot"), pl.all())
            for new, old in sorted(before.items(), key=lambda pair: names.index(pair[0]))
        ]
        assert found.equals(pl.concat(parts)) if parts else found.is_empty()
        assert name != "sample" or not before or "representation" in found["change"]


def test_versions_are_listed_in_their_order() -> None:
    old = pl.DataFrame({"package": "a", "version": ["1.10", "1.9"], "hash": ["x", "y"]})
    (row,) = cs.compare(old, old.filter(version="1.9")).to_dicts()
    assert (row["change"], row["old_versions"], row["new_versions"]) == ("updated", "1.9, 1.10", "1.9")


def test_a_side_without_specs_and_none_at_all() -> None:
    empty = pl.LazyFrame(schema=SPECS.polars())
    assert cs.compare(empty, empty).shape == (0, 7)
    assert cs.compare_specs(empty, empty, by="stack").shape == (0, 10)
    assert cs.compare_counts(empty, empty).shape == (0, 9)
    assert cs.compare_counts(empty, empty, by=None).row(0) == (0,) * 8


def test_a_wrong_question_says_what_there_is(demo: cs.Dataset) -> None:
    specs = demo.specs
    with pytest.raises(ArgumentError, match=r"as by, found 'stacks'\nhint: try stack"):
        cs.compare(specs, specs, by="stacks")
    with pytest.raises(ArgumentError, match=r"as changes, found 'deleted'"):
        cs.compare_specs(specs, specs, changes=["deleted"])
    with pytest.raises(ArgumentError, match=r"expected a list as changes, found 'removed'"):
        cs.compare_specs(specs, specs, changes="removed")
    relation = duckdb.from_arrow(specs.collect().to_arrow())
    with pytest.raises(ArgumentError, match="two frames of the same kind, found polars and duckdb"):
        cs.compare(specs, relation)
    with pytest.raises(ArgumentError, match="expected the columns hash, package, version, found package"):
        cs.compare(specs, pl.DataFrame({"package": ["a"]}))


def test_frames_of_every_kind_give_equal_answers(
    sample: cs.Dataset, kinds: Callable[[pl.DataFrame], dict[str, Any]]
) -> None:
    old, new = (sample.specs.filter(snapshot=name).collect() for name in SIDES)
    new_kinds = kinds(new)
    packages = cs.compare(old, new, by="stack")
    specs = cs.compare_specs(old, new, by="compiler", changes=["added"])
    for name, frame in kinds(old).items():
        assert cs.compare(frame, new_kinds[name], by="stack").equals(packages), name
        assert cs.compare_specs(frame, new_kinds[name], by="compiler", changes=["added"]).equals(specs), name


def test_the_verb_counts_stack_by_stack_and_says_the_proportion(sample: cs.Dataset) -> None:
    done = run("compare-counts", sample.path, *SIDES)
    lines = done.stdout.decode().splitlines()
    assert lines[0].split() == ["stack", "old", "new", "removed", "added", "updated", "rebuilt"]
    assert lines[2].split() == ["ml-darwin-aarch64-mps", "260", "0", "260", "0", "0", "0"]
    assert done.stderr.decode().splitlines() == [
        "develop-2025-03-09 to develop-2025-05-25: 83 of 713 packages removed, 11.6%; "
        "5 added, 122 updated, 508 rebuilt, 0 unchanged",
        "not counted, because Spack treats them as packages on one side only: compiler-wrapper",
    ]
    rows = list(csv.reader(io.StringIO(run("compare-counts", sample.path, *SIDES, "--format", "csv").stdout.decode())))
    assert rows[0] == ["stack", "old_packages", "new_packages", *CHANGES]
    assert rows[1] == ["ml-darwin-aarch64-mps", "260", "0", "260", "0", "0", "0", "0", "0"]


def test_the_verb_lists_packages_and_specs(sample: cs.Dataset) -> None:
    listed = ("compare", sample.path, *SIDES, "--format", "json")
    packages = json.loads(run(*listed).stdout)
    order = [CHANGES.index(row["change"]) for row in packages]
    assert order == sorted(order)
    assert len(packages) == 83 + 5 + 1 + 122 + 508
    added = json.loads(run(*listed, "--by", "stack", "--where", "stack=radiuss", "--change", "representation").stdout)
    assert [(row["stack"], row["package"], row["new_versions"]) for row in added] == [
        ("radiuss", "compiler-wrapper", "1.0")
    ]
    specs = run("compare-specs", sample.path, *SIDES, "--by", "target", "--change", "representation")
    header, _, *rows = specs.stdout.decode().splitlines()
    assert header.split() == ["change", "target", "package", "side", "version", "os", "hash"]
    assert [row.split()[:-1] for row in rows] == [
        ["representation", "x86_64_v3", "compiler-wrapper", "new", "1.0", os]
        for os in ("ubuntu24.04", "ubuntu22.04", "ubuntu18.04")
    ]
    assert rows[0].endswith(" 6da32bz")


def test_what_is_unchanged_is_listed_when_asked_for(demo: cs.Dataset) -> None:
    listed = ("compare", demo.path, "develop", "develop", "--format", "json")
    assert json.loads(run(*listed).stdout) == []
    assert [row["package"] for row in json.loads(run(*listed, "--change", "unchanged").stdout)] == [
        "py-filelock",
        "py-propcache",
    ]


def test_the_verb_compares_two_datasets(sample: cs.Dataset, demo: cs.Dataset) -> None:
    done = run("compare", demo.path, "develop", SIDES[1], "--against", sample.path, "--format", "csv")
    assert b"develop to develop-2025-05-25: 0 of 2 packages removed, 0.0%; 634 added, 0 updated, 2 reb" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("develop", "develop-2025-03-10"), "found 'develop-2025-03-10'"),
        (("newest", "develop*"), "expected one snapshot, found 2 that 'develop*' stands for: develop-2025-03-09, dev"),
        (("develop", "develop-2025-03-09", "--by", "snapshot"), "as by, found 'snapshot'"),
        (("develop", "develop-2025-03-09", "--where", "snapshot=develop"), "expected other columns in --where"),
    ],
)
def test_a_wrong_command_is_told(arguments: tuple[str, ...], message: str, demo: cs.Dataset) -> None:
    assert message in run("compare", demo.path, *arguments, code=2).stderr.decode()


def test_a_filter_that_nothing_passes_is_told(demo: cs.Dataset) -> None:
    snapshots = "develop-2025-03-09", "develop"
    done = run("compare", demo.path, *snapshots, "--where", "os=ubuntu18.04", "--where", "package=py-propcache")
    assert "0 of 0 packages removed; 0 added" in done.stderr.decode()
    for order in (snapshots, snapshots[::-1]):
        # This stack is on one side only.
        run("compare", demo.path, *order, "--where", "stack=e4s-power")
        failed = run("compare", demo.path, *order, "--where", "stack=zz", code=2).stderr.decode()
        assert f"expected a stack of the specs in {' and '.join(order)}, found 'zz'" in failed
