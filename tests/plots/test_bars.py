"""Bars: what each is called, how long it is, what is written behind it, and what the title says."""

from __future__ import annotations

import polars as pl
import pytest
from matplotlib.axes import Axes

import cachestats as cs
from cachestats.errors import ArgumentError


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


def test_gaps_of_one_stack_are_bars_by_weight() -> None:
    ax = cs.plot_gaps(GAPS.filter(stack="ml"))
    assert title(ax) == ["Packages missing in stack ml, by how many others need them"]
    assert (names(ax), notes(ax)) == (["gmake", "zlib"], ["90", "40"])


def test_only_stacks_that_lag_are_shown_and_runtimes_are_no_lag(many: pl.DataFrame) -> None:
    found = cs.versions(many, by="os")
    ax = cs.plot_versions(found)
    versions = found.filter(
        ~pl.col("package").is_in(["gcc-runtime", "intel-oneapi-runtime", "compiler-wrapper", "glibc"])
    )
    behind = dict(versions.filter("is_behind").group_by("os").len().iter_rows())
    packages = dict(versions.group_by("os").len().iter_rows())
    assert names(ax) == sorted(behind, key=lambda name: (-behind[name], name))
    assert bars(ax) == {"behind": [(0, behind[name]) for name in names(ax)]}
    assert [note.split(":")[0] for note in notes(ax)] == [f"{behind[name]} of {packages[name]}" for name in names(ax)]
    lags = pl.DataFrame({"package": ["gcc-runtime", "hdf5"], "stack": "e4s", "is_behind": [True, False]})
    ax = cs.plot_versions(lags)
    assert notes(ax) == ["none: no package is behind"]
    assert title(ax)[-1] == "not counted: gcc-runtime"


def test_a_host_uses_each_package_once_and_obstacles_are_those_of_the_rest() -> None:
    usable = pl.DataFrame(
        {
            "package": ["a", "a", "b", "c", "d", "e"],
            "cell": ["missing", "native", "usable", "missing", "missing", "missing"],
            "best_target": [None, "zen4", "x86_64_v3", None, None, None],
            "status": ["os", None, None, "libc", "incomplete", "incomplete"],
            "by": ["rhel8", None, None, "glibc@2.39", "x/abcdefg", "y/hijklmn"],
        }
    )
    ax = cs.plot_usable(usable)
    assert names(ax) == ["built for zen4", "built for x86_64_v3", "incomplete: lacks dependencies", "libc: glibc@2.39"]
    assert notes(ax) == ["1, 20.0%", "1, 20.0%", "2, 40.0%", "1, 20.0%"]
    assert title(ax)[0] == "A host can use 2 of 5 packages, 40.0%"


def test_a_match_shows_each_status_and_every_cause_of_near_specs() -> None:
    matches = pl.DataFrame({"status": ["hit", "near", "near", "miss"], "causes": [None, "x; y", "y", None]})
    ax = cs.plot_match(matches, top=1)
    assert [name.split(":")[0] for name in names(ax)] == ["hit", "near", "miss", "y"]
    assert notes(ax) == ["1, 25.0%", "2, 50.0%", "1, 25.0%", "2"]
    assert title(ax) == [
        "1 of 4 specs of the environment hit",
        "below: the 1 of 2 causes that keep most near specs from hitting",
    ]


def test_duplicates_by_spec_are_drawn_as_by_package(demo: cs.Dataset) -> None:
    by_package, by_spec = (cs.plot_duplicates(cs.duplicates(demo.specs, by=by)) for by in ("package", "spec"))
    assert names(by_spec) == names(by_package) == ["py-filelock", "py-propcache"]
    assert bars(by_spec) == bars(by_package) == {"extra": [(0, 127), (0, 64)]}
    causes = pl.DataFrame({"cause": ["python"], "groups": [3], "packages": [2], "excess": [5]})
    assert title(cs.plot_duplicates(causes)) == ["Extra builds of the same specs, by cause"]


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
    assert "representation" not in bars(cs.plot_changes(counts.tail(1)))


def test_drops_holes_and_hit_rates_are_in_the_order_of_the_frame() -> None:
    losses = pl.DataFrame({"stack": ["b", "a"], "old_packages": [4, 8], "lost": [2, 1], "drop": [0.5, 0.125]})
    ax = cs.plot_losses(losses)
    assert (names(ax), notes(ax)) == (["b", "a"], ["50.0%, 2 of 4", "12.5%, 1 of 8"])
    holes = pl.DataFrame({"package": ["b", None], "hash": ["0123456789", "abcdefghij"], "breaks": [7, 3]})
    ax = cs.plot_holes(holes)
    assert (names(ax), notes(ax)) == (["b/0123456", "none/abcdefg"], ["7", "3"])


def test_hit_rates_have_near_specs_beside_the_hits_and_fold_what_has_none() -> None:
    rates = pl.DataFrame(
        {"snapshot": ["develop-2025-03-09", "o"], "stack": ["s", "t"], "hits": [3, 0], "near": [1, 2], "specs": 5}
        | {"rate": [0.6, 0.0]}
    )
    ax = cs.plot_hit_rates(rates)
    assert (names(ax), notes(ax)) == (["2025-03-09 s"], ["3 of 5, 60.0%"])
    assert [*bars(ax).values()] == [[(0, 3)], [(3, 1)], [(4, 1)]]
    assert title(ax)[-1] == "1 other without a hit"
    nearest = cs.plot_hit_rates(rates.with_columns(hits=0))
    assert (names(nearest), notes(nearest)[0]) == (["o t", "2025-03-09 s"], "0 of 5, 0.0%")
    nothing = cs.plot_hit_rates(rates.with_columns(hits=0, near=0))
    assert notes(nothing) == ["none: no package of the environment is in the cache"]


def test_of_too_many_the_largest_are_shown_and_the_title_says_so() -> None:
    frame = pl.DataFrame({"package": [f"p{number}" for number in range(100)], "excess": range(100)})
    ax = cs.plot_duplicates(frame.sample(fraction=1, shuffle=True, seed=1))
    assert names(ax) == [f"p{number}" for number in range(99, 84, -1)]
    assert title(ax)[-1] == "the 15 of 100 packages with the most"
    assert names(cs.plot_duplicates(frame, top=2)) == ["p99", "p98"]
    with pytest.raises(ArgumentError, match="expected a whole number from 1 up as top, found 0"):
        cs.plot_duplicates(frame, top=0)
