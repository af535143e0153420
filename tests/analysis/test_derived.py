"""Axes that are no columns: a variant, and a list of spec expressions, against what `find` lists."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pytest

import cachestats as cs
from cachestats.analysis.derived import as_axis
from cachestats.errors import ArgumentError, ExpressionError
from cachestats.naming import split_variant, split_variants

EXPRESSIONS = ["hdf5+mpi", "hdf5~mpi", "target=x86_64_v3:", "cmake"]


def label(text: str, name: str) -> str | None:
    """Return how a value of the column `variants` is labelled on the axis of a variant, read plainly."""
    for variant in split_variants(text):
        if split_variant(variant)[0] == name:
            return variant
    return None


@pytest.mark.parametrize("name", ["mpi", "cuda_arch", "build_system"])
def test_a_variant_as_an_axis_counts_its_values(sample: cs.Dataset, name: str) -> None:
    subset = sample.at("develop-2024-06-02")
    specs = subset.specs.select("os", "hash", "variants").unique().collect()
    expected = Counter((os, label(text, name)) for os, _, text in specs.iter_rows())
    for given in (subset, subset.specs):
        cells = cs.coverage(given, rows="os", columns=f"variant:{name}")
        assert {(os, value): count for os, value, count in cells.iter_rows()} == expected


def test_a_list_of_expressions_as_an_axis_counts_what_find_lists(sample: cs.Dataset) -> None:
    subset = sample.at("develop-2024-06-02")
    for given in (subset, subset.specs):
        matrix = cs.coverage_matrix(given, rows=EXPRESSIONS, columns="os")
        assert matrix["spec"].to_list() == EXPRESSIONS
        for spec, *counts in matrix.iter_rows():
            found = Counter(cs.find(subset, spec)["os"])
            assert dict(zip(matrix.columns[1:], counts, strict=True)) == {os: found[os] for os in matrix.columns[1:]}


@pytest.mark.parametrize("by", [EXPRESSIONS, "variant:mpi"])
def test_history_by_derived_axes_is_as_for_each_on_its_own(sample: cs.Dataset, by: str | list[str]) -> None:
    found = cs.history(sample, by=by)
    assert found.equals(cs.history(sample.specs, by=by))
    now = found.filter(pl.col("specs") > 0)
    for value, snapshot, specs in now.select(now.columns[0], "snapshot", "specs").iter_rows():
        if value is not None:
            one = value if isinstance(by, list) else value.replace("variant:", "")
            assert cs.find(sample.at(snapshot), one).height == specs


def test_what_is_no_axis_is_refused(sample: cs.Dataset) -> None:
    with pytest.raises(
        ArgumentError, match="expected one of os, target as rows, found 'oss'\nhint: try os; variant:NAME"
    ):
        as_axis("oss", ["os", "target"], "rows")
    with pytest.raises(ArgumentError, match="expected an axis or a list of distinct spec expressions as rows"):
        as_axis(["hdf5", "hdf5"], ["os"], "rows")
    with pytest.raises(ExpressionError, match="expected a version after '@'"):
        as_axis(["hdf5@@"], ["os"], "rows")
    with pytest.raises(
        ArgumentError, match="expected a variant of these specs as an axis, found 'mpii'\nhint: try mpi"
    ):
        cs.coverage(sample, rows="os", columns="variant:mpii")
    with pytest.raises(ArgumentError, match="expected two different axes"):
        cs.coverage(pl.DataFrame(), rows=["hdf5"], columns=["zlib"])
