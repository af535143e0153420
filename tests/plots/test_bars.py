"""Bars: what each is called, how long it is, what is written behind it, and what the title says."""

from __future__ import annotations

import polars as pl
import pytest
from matplotlib.axes import Axes

import cachestats as cs


def names(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def notes(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def bars(ax: Axes) -> dict[str, list[tuple[float, float]]]:
    """Return where the bars of each part begin, and how long they are."""
    return {str(part.get_label()): [(bar.get_x(), bar.get_width()) for bar in part.patches] for part in ax.containers}


def title(ax: Axes) -> list[str]:
    return ax.get_title(loc="left").splitlines()


GAPS = pl.DataFrame(
    {
        "stack": ["e4s", "e4s", "ml", "ml", "x", "y"],
        "package": ["hdf5", "gmake", "gmake", "zlib", "gmake", "gmake"],
        "num_columns": [3, 0, 0, 3, 0, 0],
        "num_dependents": [40, 90, 90, 40, 90, 90],
    }
)


def test_gaps_are_ranked_by_weight_and_say_where() -> None:
    ax = cs.plot_gaps(GAPS, subtitle="snapshot develop")
    assert names(ax) == ["gmake", "hdf5", "zlib"]
    assert [length for _, length in bars(ax)["missing"]] == [90, 40, 40]
    assert notes(ax) == ["90, not in e4s, ml, 2 more", "40, not in e4s", "40, not in ml"]
    assert title(ax) == ["Packages missing in some stacks, by how many others need them", "snapshot develop"]
    assert title(cs.plot_gaps(GAPS.filter(stack="ml"))) == [
        "Packages missing in stack ml, by how many others need them"
    ]
    assert notes(cs.plot_gaps(GAPS.filter(stack="ml"))) == ["90", "40"]


def test_gaps_without_weights_are_ranked_by_how_many_have_them() -> None:
    ax = cs.plot_gaps(GAPS.with_columns(num_dependents=pl.lit(None, pl.Int64)))
    assert names(ax) == ["hdf5", "zlib", "gmake"]
    assert title(ax) == ["Packages missing in some stacks, by how many stacks have them"]


def test_versions_are_counted_by_stack_those_that_lag_most_first(many: pl.DataFrame) -> None:
    found = cs.versions(many, by="os")
    ax = cs.plot_versions(found)
    behind = dict(found.group_by("os").agg(pl.col("is_behind").sum()).iter_rows())
    packages = dict(found.group_by("os").len().iter_rows())
    assert names(ax) == sorted(behind, key=lambda name: (-behind[name], name))
    parts = bars(ax)
    assert parts["behind"] == [(0, behind[name]) for name in names(ax)]
    assert parts["newest"] == [(behind[name], packages[name] - behind[name]) for name in names(ax)]
    assert notes(ax) == [f"{behind[name]} of {packages[name]} behind" for name in names(ax)]


def test_duplicates_by_spec_are_drawn_as_by_package(demo: cs.Dataset) -> None:
    by_package, by_spec = (cs.plot_duplicates(cs.duplicates(demo.specs, by=by)) for by in ("package", "spec"))
    assert names(by_spec) == names(by_package) == ["py-filelock", "py-propcache"]
    assert bars(by_spec) == bars(by_package) == {"excess": [(0, 127), (0, 64)]}
    causes = pl.DataFrame({"cause": ["python"], "groups": [3], "packages": [2], "excess": [5]})
    assert title(cs.plot_duplicates(causes)) == ["Duplicate specs, by cause"]


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((0, 999), "999 B"),
        ((999_999, 1), "1.0 MB"),
        ((10**9, 2 * 10**9), "3.0 GB"),
        ((1, None), ""),
    ],
)
def test_bytes_are_told_where_all_are_known(sizes: tuple[int | None, ...], words: str) -> None:
    frame = pl.DataFrame({"package": "hdf5", "excess": [1, 2], "excess_bytes": sizes})
    assert notes(cs.plot_duplicates(frame)) == [f"3, {words}" if words else "3"]


def test_what_was_removed_is_left_of_zero_and_the_rest_end_to_end() -> None:
    counts = pl.DataFrame(
        {"stack": ["e4s", None], "old_packages": [10, 20], "new_packages": [11, 12]}
        | {"removed": [3, 9], "added": [4, 1], "representation": [1, 0], "updated": [2, 5], "rebuilt": [1, 0]}
        | {"unchanged": [3, 6]}
    )
    ax = cs.plot_changes(counts)
    assert names(ax) == ["e4s", "none"]
    parts = bars(ax)
    assert parts["removed"] == [(0, -3), (0, -9)]
    assert [parts[change][0] for change in ("added", "updated", "rebuilt", "representation")] == [
        (0, 4),
        (4, 2),
        (6, 1),
        (7, 1),
    ]
    assert notes(ax) == ["10 to 11", "20 to 12"]
    ax.figure.canvas.draw()
    assert all(label.get_text().isdecimal() for label in ax.get_xticklabels()), "a loss has no sign"
    assert names(cs.plot_changes(counts.drop("stack").head(1))) == ["all"]


def test_drops_holes_and_hit_rates_are_in_the_order_of_the_frame() -> None:
    losses = pl.DataFrame({"stack": ["b", "a"], "old_packages": [4, 8], "lost": [2, 1], "drop": [0.5, 0.125]})
    ax = cs.plot_losses(losses)
    assert (names(ax), notes(ax)) == (["b", "a"], ["50.0%, 2 of 4", "12.5%, 1 of 8"])
    holes = pl.DataFrame({"package": ["b", None], "hash": ["0123456789", "abcdefghij"], "breaks": [7, 3]})
    ax = cs.plot_holes(holes)
    assert (names(ax), notes(ax)) == (["b/0123456", "none/abcdefg"], ["7", "3"])
    rates = pl.DataFrame({"snapshot": ["n", "o"], "stack": ["s", "t"], "hits": [3, 0], "specs": 4, "rate": [0.75, 0.0]})
    ax = cs.plot_hit_rates(rates)
    assert (names(ax), notes(ax)) == (["n s", "o t"], ["3 of 4, 75.0%", "0 of 4, 0.0%"])
    assert bars(ax) == {"cached": [(0, 3), (0, 0)], "not cached": [(3, 1), (0, 4)]}


def test_of_too_many_the_largest_are_shown_and_the_title_says_so() -> None:
    frame = pl.DataFrame({"package": [f"p{number}" for number in range(100)], "excess": range(100)})
    ax = cs.plot_duplicates(frame.sample(fraction=1, shuffle=True, seed=1))
    assert names(ax) == [f"p{number}" for number in range(99, 59, -1)]
    assert title(ax)[-1] == "the 40 of 100 packages with the most"
