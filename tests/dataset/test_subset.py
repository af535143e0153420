"""Subsets of a dataset: snapshots and filters as a value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import cachestats as cs
from cachestats.dataset.manifest import Manifest, SnapshotRecord
from cachestats.dataset.subset import FILTER_COLUMNS, Subset, find_snapshot
from cachestats.errors import ArgumentError


def test_snapshots_are_in_their_order_and_must_exist(sample: cs.Dataset) -> None:
    names = list(sample.manifest.snapshots)
    assert sample.at(reversed(names)).snapshots == tuple(names)
    assert sample.at(names[0], names[-1]).specs.select("snapshot").unique().collect().height == 2
    assert sample.newest.snapshots == (names[-1],)
    assert Subset(sample).specs.collect().equals(sample.specs.collect())
    with pytest.raises(ArgumentError, match="expected one of the 5 snapshots of ") as raised:
        sample.at("develop-2025-05-26")
    assert "develop-2025-05-25" in str(raised.value.hint)
    with pytest.raises(ArgumentError, match="expected the only snapshot of "):
        sample.newest.at(names[0])
    with pytest.raises(ArgumentError, match="found none"):
        sample.at([])


@pytest.mark.parametrize(
    ("asked", "places"),
    [
        (["newest"], [4]),
        (["previous"], [3]),
        (["all"], [0, 1, 2, 3, 4]),
        (["develop-2024-*"], [0, 1, 2]),
        (["develop-202?-0[3]-*"], []),
        (["develop-202?-03-??"], [0, 3]),
        (["develop-*", "!develop-2025-*"], [0, 1, 2]),
        (["!develop-2025-*", "!develop-2024-03-17"], [1, 2]),
        (["newest", "!all"], []),
        (["*-24"], []),
        (["!develop-2025-03-10"], []),
    ],
)
def test_snapshots_are_named_by_words_and_patterns(sample: cs.Dataset, asked: list[str], places: list[int]) -> None:
    names = list(sample.manifest.snapshots)
    if places:
        assert sample.at(asked).snapshots == tuple(names[place] for place in places)
        return
    with pytest.raises(ArgumentError, match="snapshot"):
        sample.at(asked)


def test_the_name_of_a_snapshot_wins_over_what_it_could_mean() -> None:
    record = SnapshotRecord(num_specs=0, rows={}, buckets=[])
    for name in ("newest", "all", "x*"):
        dataset = cs.Dataset(Path("d"), Manifest(snapshots=dict.fromkeys([name, "!x", "x", "xy"], record)))
        assert find_snapshot(dataset, name) == name
        assert find_snapshot(dataset, "!x") == "!x"
        assert set(dataset.at("!!x").snapshots or ()) == {name, "x", "xy"}
        with pytest.raises(ArgumentError, match=r"expected one snapshot, found \d that '\?\?' stands for: "):
            find_snapshot(dataset, "??")


@pytest.mark.parametrize("column", FILTER_COLUMNS)
@pytest.mark.parametrize("name", ["sample", "mixed"])
def test_filters_are_those_of_polars(column: str, name: str, request: pytest.FixtureRequest) -> None:
    dataset: cs.Dataset = request.getfixturevalue(name)
    if column == "snapshot":
        return
    specs = dataset.specs.collect()
    some = specs[column].drop_nulls().unique().sort().head(2).to_list()
    for wanted in (some[:1], some, [*some, None]):
        subset = dataset.where(**{column: wanted})
        expected = specs.filter(pl.col(column).is_in(wanted, nulls_equal=True))
        assert subset.specs.collect().equals(expected)
        keys = expected.select("snapshot", "hash").unique().sort("hash").sort("snapshot", maintain_order=True)
        assert subset.encoded("hash").collect()["hash"].sort().equals(keys["hash"].sort())
    assert Subset(dataset).values(column) == specs[column].drop_nulls().unique().sort().to_list()


@pytest.mark.parametrize(
    ("column", "asked", "expected"),
    [
        ("compiler_name", ["g*"], pl.col("compiler_name").str.starts_with("g")),
        ("compiler_name", ["!g*"], ~pl.col("compiler_name").str.starts_with("g").fill_null(value=False)),
        ("compiler_name", ["!none", "!gcc"], pl.col("compiler_name") != "gcc"),
        ("compiler_name", ["none", "g?c", "!gcc"], pl.col("compiler_name").is_null()),
        ("package", ["py-*", "zlib", "!py-s*"], pl.col("package").str.contains("^(py-[^s].*|zlib)$")),
        ("package", [], pl.lit(value=False)),
        # The union of the stacks is only meant by its name.
        ("stack", ["r*ss"], pl.col("stack") == "radiuss"),
        ("stack", ["!e4s"], ~pl.col("stack").is_in(["e4s", "root"])),
        ("stack", ["root", "!e4s"], pl.col("stack") == "root"),
    ],
)
def test_values_are_patterns_and_exclusions(
    sample: cs.Dataset, column: str, asked: list[str], expected: pl.Expr
) -> None:
    subset = sample.where(**{column: asked})
    specs = subset.specs.collect()
    assert specs.equals(sample.specs.filter(expected).collect())
    assert subset.encoded("hash").collect()["hash"].n_unique() == specs["hash"].n_unique()


def test_filters_are_chained(sample: cs.Dataset) -> None:
    subset = sample.at("develop-2025-05-25").where(stack=["e4s", "radiuss"], target="x86_64_v3").where(stack="e4s")
    specs = subset.specs.collect()
    assert set(specs["stack"]) == {"e4s"}
    assert set(specs["snapshot"]) == {"develop-2025-05-25"}
    assert subset.dependencies.collect().equals(sample.at("develop-2025-05-25").dependencies.collect())
    assert sample.where(snapshot="develop-2025-05-25").snapshots == ("develop-2025-05-25",)
    assert sample.where(stack="e4s").where(stack="radiuss").specs.collect().is_empty()


def test_names_that_do_not_exist_are_told_with_the_nearest(sample: cs.Dataset) -> None:
    with pytest.raises(
        ArgumentError, match="expected a target of the specs in 5 snapshots, found 'x86_64_v33'"
    ) as found:
        sample.where(target="x86_64_v33")
    assert str(found.value.hint).startswith("try x86_64_v3")
    with pytest.raises(ArgumentError, match="expected a column with text to filter by, found 'targets'") as found:
        sample.where(targets="zen4")
    assert found.value.hint == "try target"
    with pytest.raises(ArgumentError, match="expected a stack of the specs in develop-2024-03-17"):
        sample.at("develop-2024-03-17").where(stack="ml-linux-x86_64-cpu")
    for absent in ("py-nothing*", "!py-nothing", "none"):
        with pytest.raises(ArgumentError, match=f"expected a package .*, found '{re.escape(absent.strip('!'))}'"):
            sample.where(package=absent)


@pytest.mark.parametrize("names", [["develop-2024-06-02"], ["develop-2024-06-02", "develop-2025-05-25"]])
def test_expressions_choose_the_same_specs_in_every_form(sample: cs.Dataset, names: list[str]) -> None:
    subset = sample.at(names)
    mpi, not_mpi = subset.where(spec="+mpi ^mpich"), subset.where(spec="not +mpi ^mpich")
    found = cs.find(subset, "+mpi ^mpich").select("snapshot", "hash")
    rows = subset.specs.collect()
    chosen = rows.join(found, on=["snapshot", "hash"], how="semi")
    assert 0 < chosen.height < rows.height
    for one, expected in ((mpi, chosen), (not_mpi, rows.join(found, on=["snapshot", "hash"], how="anti"))):
        key = ["snapshot", "hash", "stack"]
        assert one.specs.collect().sort(key).equals(expected.sort(key))
        assert one.num_specs == expected.select("snapshot", "hash").n_unique()
        for question in (
            lambda specs: cs.coverage(specs, rows="package", columns="stack"),
            lambda specs: cs.history(specs, by="target"),
            lambda specs: cs.overlap_sets(specs, by="stack"),
        ):
            assert question(one).equals(question(expected))


def test_expressions_add_up(sample: cs.Dataset) -> None:
    subset = sample.at("develop-2024-06-02")
    either, both = subset.where(spec=["hdf5+mpi", "os=ubuntu22.04"]), subset.where(spec="hdf5+mpi")
    hashes = {name: {*cs.find(subset, name)["hash"]} for name in ("hdf5+mpi", "os=ubuntu22.04")}
    assert {*either.specs.collect()["hash"]} == hashes["hdf5+mpi"] | hashes["os=ubuntu22.04"]
    both = both.where(spec="os=ubuntu22.04")
    assert {*both.specs.collect()["hash"]} == hashes["hdf5+mpi"] & hashes["os=ubuntu22.04"]
    assert both.where(spec="not hdf5").num_specs == 0
    assert subset.where(spec="hdf5+mpi", os="ubuntu22.04").num_specs == both.num_specs
    with pytest.raises(ArgumentError, match="found 'hdf6'"):
        subset.where(spec="not hdf6")


@pytest.mark.parametrize("ask", [cs.Dataset.scan, cs.Dataset.files, cs.Dataset.files_by_snapshot])
def test_a_snapshot_that_is_not_there_is_an_error_with_the_nearest_names(ask: Any) -> None:
    with pytest.raises(ArgumentError, match=r"one of the 2 snapshots of .*, found 'develop-2025-03-08'") as caught:
        ask(cs.example_dataset(), "specs", snapshots=["develop-2025-03-08"])
    assert "try develop-2025-03-09" in str(caught.value.hint)
