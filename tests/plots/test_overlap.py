"""The heatmap of pairs and the UpSet chart: what they draw, and what they leave out."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import cachestats as cs
from cachestats.errors import ArgumentError
from tests.support.pictures import overlap, sets

NAMES = ["b", "a", "c", None]


def test_each_pair_is_in_one_cell_of_a_triangle() -> None:
    pairs = overlap(NAMES)
    ax = cs.plot_overlap(pairs, measure="common_hashes")
    cells = ax.collections[0].get_array()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "c", "none"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["b", "a", "c"]
    for one, other, common in pairs.select("stack", "other_stack", "common_hashes").iter_rows():
        assert cells[NAMES.index(other) - 1, NAMES.index(one)] == common
    assert np.ma.count(cells) == pairs.height
    zero = cs.plot_overlap(pairs.with_columns(common_hashes=0), measure="common_hashes")
    assert [np.ma.count(mesh.get_array()) for mesh in zero.collections] == [0, pairs.height]
    assert ax.get_title(loc="left") == "Hashes in common, by stack"


def test_shares_have_a_scale_that_ends_where_they_do() -> None:
    pairs = overlap(NAMES)
    ax = cs.plot_overlap(pairs, measure="jaccard_packages", subtitle="develop")
    assert (ax.collections[0].norm.vmin, ax.collections[0].norm.vmax) == (0, 1)
    little = pairs.with_columns(jaccard_packages=pl.Series([0.17, 0, 0, 0, 0, 0]))
    assert cs.plot_overlap(little, measure="jaccard_packages").collections[0].norm.vmax == 0.2
    assert all(text.get_text().endswith("%") for text in ax.texts)
    assert ax.get_title(loc="left") == "Share of packages in common, by stack\ndevelop"
    with pytest.raises(ArgumentError, match="as measure, found 'hashes'"):
        cs.plot_overlap(overlap(NAMES), measure="hashes")


def test_columns_are_combinations_the_largest_first_and_rows_the_largest_stacks() -> None:
    frame = pl.DataFrame(
        {
            "combination": ["a", "a, b", "b, c", "a, b, c", "c"],
            "members": [1, 2, 2, 3, 1],
            "hashes": [5, 90, 7, 0, 8],
            "packages": [1, 1, 1, 1, 1],
        }
    )
    bars, dots, whole = cs.plot_overlap_sets(frame).child_axes
    assert [bar.get_height() for bar in bars.patches] == [90, 8, 7, 5]
    assert [label.get_text() for label in dots.get_yticklabels()] == ["b", "a", "c"]
    assert [bar.get_width() for bar in whole.patches] == [97, 95, 15]
    marked = [list(line.get_ydata()) for line in dots.lines]
    assert marked == [[0, 1], [2], [0, 2], [1]], "c is the last row"
    assert [list(line.get_xdata()) for line in dots.lines] == [[0, 0], [1], [2, 2], [3]]


def test_the_sets_of_real_stacks_add_up(sample: cs.Dataset) -> None:
    specs = sample.specs.filter(snapshot="develop-2024-06-02")
    found = cs.overlap_sets(specs)
    _, dots, whole = cs.plot_overlap_sets(found, measure="packages").child_axes
    sizes = dict(zip([label.get_text() for label in dots.get_yticklabels()], whole.patches, strict=True))
    own = specs.filter(pl.col("stack") != "root").group_by("stack").agg(pl.col("package").n_unique()).collect()
    assert {name: bar.get_width() for name, bar in sizes.items()} == dict(own.iter_rows())


def test_only_what_there_is_room_for_is_drawn() -> None:
    names = [f"stack-{number}" for number in range(40)]
    together = pl.DataFrame({"combination": [", ".join(names)], "members": [40], "hashes": [10**6], "packages": [1]})
    ax = cs.plot_overlap_sets(pl.concat([together, sets(names)]))
    bars, dots, _ = ax.child_axes
    assert len(bars.patches) == 30
    assert len(dots.get_yticklabels()) <= 30
    assert ax.get_title(loc="left").endswith("the 30 of 78 combinations with the most")
    with pytest.raises(
        ArgumentError, match="expected a combination of at most 30 names that is not empty, found none in 1"
    ):
        cs.plot_overlap_sets(together)


def test_names_with_commas_are_told_apart_where_they_can_be() -> None:
    frame = pl.DataFrame({"combination": ["a, b"], "members": [1], "hashes": [3], "packages": [3]})
    _, dots, _ = cs.plot_overlap_sets(frame).child_axes
    assert [label.get_text() for label in dots.get_yticklabels()] == ["a, b"]
    with pytest.raises(ArgumentError, match="expected 3 names in a combination, found 'a, b'"):
        cs.plot_overlap_sets(frame.with_columns(members=3))
