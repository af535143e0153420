"""Every question has the same answer for a dataset, with codes for names, as for its table as a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import cachestats as cs
from cachestats.axes import (
    AXES,
    CHANGE_AXES,
    DUPLICATE_ROWS,
    GAP_AXES,
    GROUP_AXES,
    HISTORY_AXES,
    HIT_RATE_AXES,
    HOLE_ROWS,
    MEASURES,
)
from cachestats.dataset.subset import Subset, snapshot_names
from conftest import ROOT
from tests.support.indices import build_index, edge_to, node_record

Ask = Callable[[Any, Any], pl.DataFrame]
"""A question about specs and their dependencies."""


def ask(function: Callable[..., pl.DataFrame], **options: Any) -> tuple[str, Ask]:
    """Return a question about specs alone, and its words for messages."""
    return f"{function.__name__} {options}", lambda specs, _: function(specs, **options)


def ask_with_edges(function: Callable[..., pl.DataFrame], **options: Any) -> tuple[str, Ask]:
    """Return a question about specs and their dependencies, and its words for messages."""
    return f"{function.__name__} {options}", lambda specs, edges: function(specs, dependencies=edges, **options)


def questions(subset: Subset) -> Iterator[tuple[str, Ask]]:
    """Yield every question about one set of specs."""
    names = subset.snapshots or ()
    for union in (False, True):
        for rows, columns in permutations(AXES, 2):
            for measure in MEASURES:
                yield ask(cs.coverage, rows=rows, columns=columns, measure=measure, union=union)
        for by in GROUP_AXES:
            yield from (ask(function, by=by, union=union) for function in (cs.overlap, cs.overlap_sets, cs.versions))
        for axis in GAP_AXES:
            yield ask_with_edges(cs.gaps, by=axis, union=union)
            yield ask(cs.column_coverage, by=axis, union=union, host="zen4:rhel9")
        for series in (None, *HISTORY_AXES):
            yield ask(cs.history, by=series, union=union, snapshots=names)
        for series in HISTORY_AXES:
            yield ask(cs.lifespans, by=["package", series][series == "package" :], union=union, snapshots=names)
    for host in ("zen4:rhel9", "neoverse_v2:ubuntu24.04"):
        yield from (ask(function, host=host) for function in (cs.usable, cs.reusable))
        yield ask(cs.usable_by_system, host=host.partition(":")[0])
        yield ask(cs.coverage, rows="package", columns="target", usable=True, host=host)
    yield from (ask_with_edges(cs.duplicates, by=by) for by in DUPLICATE_ROWS)
    if not subset.filters:
        yield from (ask_with_edges(cs.holes, by=by) for by in HOLE_ROWS)
    for package in ("zlib-ng", "hdf5", *(["nothing-has-it"] if not subset.filters else [])):
        yield from (ask_with_edges(cs.dependents, package=package, by=by) for by in (None, *GROUP_AXES))
        yield ask_with_edges(cs.dependents, package=package, union=True, deptypes=("link", "run"))
        yield ask_with_edges(cs.why, package="hdf5", dependency=package)
        yield ask_with_edges(cs.why, package=package, dependency="glibc", union=True, deptypes=("link",))
    environment = cs.read_environment(ROOT / "data" / "developer-tools.spack.lock.gz")
    yield "match", lambda specs, edges: cs.match(environment, specs, dependencies=edges)
    for rate in HIT_RATE_AXES:
        yield f"hit_rates {rate}", lambda specs, _, by=rate: cs.hit_rates(environment, specs, by=by)


SUBSETS: dict[str, Callable[[cs.Dataset], Subset]] = {
    "newest": lambda ds: ds.newest,
    "all": lambda ds: ds.at(snapshot_names(ds)),
    "two stacks": lambda ds: ds.at("develop-2024-06-02").where(stack=["e4s", "radiuss"]),
    "a package": lambda ds: ds.at(snapshot_names(ds)[1:]).where(package=["zlib-ng", "hdf5"]),
    "nothing": lambda ds: ds.newest.where(stack="e4s").where(stack="radiuss"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SUBSETS)
def test_a_subset_answers_as_its_table(name: str, sample: cs.Dataset) -> None:
    subset = SUBSETS[name](sample)
    specs, edges = subset.specs, subset.dependencies
    for words, question in questions(subset):
        try:
            expected = question(specs, edges)
        except cs.CachestatsError as error:
            with pytest.raises(type(error), match="expected"):
                question(subset, subset)
            continue
        found = question(subset, subset)
        assert found.schema == expected.schema, words
        assert found.equals(expected), words


@pytest.mark.parametrize("by", [None, *CHANGE_AXES])
@pytest.mark.parametrize("union", [False, True])
def test_two_subsets_compare_as_their_tables(by: Any, union: bool, sample: cs.Dataset) -> None:
    names = snapshot_names(sample)
    pairs = [
        (sample.at(names[0]), sample.at(names[1])),
        (sample.at(names[:2]), sample.at(names[1:4])),
        (sample.at(names[2]).where(os="ubuntu20.04"), sample.newest),
    ]
    for old, new in pairs:
        for function in (cs.compare, cs.compare_counts, cs.compare_specs, cs.losses):
            expected = function(old.specs, new.specs, by=by, union=union)
            assert function(old, new, by=by, union=union).equals(expected), function.__name__
            assert function(old, new.specs, by=by, union=union).equals(expected), function.__name__


def test_odd_specs_answer_as_their_table(mixed: cs.Dataset) -> None:
    subset = mixed.at(snapshot_names(mixed))
    for axis in AXES:
        for other in set(AXES) - {axis}:
            expected = cs.coverage(subset.specs, rows=axis, columns=other)
            assert cs.coverage(subset, rows=axis, columns=other).equals(expected), (axis, other)
    assert cs.history(subset, by="compiler").equals(cs.history(subset.specs, by="compiler"))


def test_a_whole_dataset_stands_for_what_the_shell_looks_at(sample: cs.Dataset) -> None:
    newest = cs.coverage(sample.newest.specs, rows="package", columns="target")
    assert cs.coverage(sample, rows="package", columns="target").equals(newest)
    assert cs.coverage(sample, rows="package", columns="snapshot")["snapshot"].n_unique() == 5
    assert cs.history(sample).equals(cs.history(sample.specs))
    stack = cs.coverage(sample.where(stack="e4s"), rows="stack", columns="os")
    assert stack.equals(cs.coverage(sample.newest.specs.filter(stack="e4s"), rows="stack", columns="os"))


def test_packages_that_only_edges_name_keep_their_names(tmp_path: Path) -> None:
    lost = node_record("libfabric", cached=False)
    middle = node_record("mpich", "mpich", edge_to(lost))
    dataset = build_index(tmp_path, lost, middle, node_record("hdf5", "hdf5", edge_to(middle, "link", "run")))
    for by in HOLE_ROWS:
        expected = cs.holes(dataset.specs, dataset.dependencies, by=by)
        assert cs.holes(dataset, by=by).equals(expected)
    assert cs.holes(dataset, by="missing")["package"].to_list() == ["libfabric"]
    weighed = cs.gaps(dataset, by="stack", packages=["libfabric", "hdf5"], dependencies=dataset, union=True)
    assert weighed.equals(
        cs.gaps(
            dataset.specs,
            by="stack",
            packages=["libfabric", "hdf5"],
            dependencies=dataset.dependencies,
            union=True,
        )
    )
