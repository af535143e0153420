"""Lines and bars of a history: where they are drawn, where they break off, and what the title says."""

from __future__ import annotations

import math
from datetime import date, timedelta
from itertools import pairwise

import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.dates import num2date
from matplotlib.lines import Line2D

import cachestats as cs
from cachestats.errors import ArgumentError
from tests.support.pictures import history, weekly

DATES = weekly(6)


def segments(line: Line2D) -> list[tuple[date, date]]:
    """Return the pairs of dates between which a line is drawn."""
    points = [(num2date(at).date(), value) for at, value in zip(*line.get_data(), strict=True)]
    return [(one, two) for (one, a), (two, b) in pairwise(points) if not math.isnan(a) and not math.isnan(b)]


def lines(ax: Axes) -> dict[str, Line2D]:
    """Return the lines that are whole, by what they are called."""
    return {str(line.get_label()): line for line in ax.lines if not str(line.get_label()).startswith("_")}


def dotted(ax: Axes) -> list[tuple[date, date]]:
    return [pair for line in ax.lines if line.get_linestyle() == ":" for pair in segments(line)]


def title(ax: Axes) -> list[str]:
    return ax.get_title(loc="left").splitlines()


def test_a_line_goes_through_the_counts_on_their_dates_from_zero() -> None:
    counts = history(DATES)
    ax = cs.plot_history(counts, measure="specs")
    (line,) = lines(ax).values()
    drawn = {num2date(at).date(): value for at, value in zip(*line.get_data(), strict=True) if not math.isnan(value)}
    assert drawn == dict(zip(DATES, counts["specs"], strict=True))
    assert segments(line) == list(pairwise(DATES))
    assert not dotted(ax)
    assert ax.get_ylim()[0] == 0
    assert title(ax) == ["Specs", "6 snapshots, 2024-01-07 to 2024-02-11"]


def test_a_line_is_dotted_where_snapshots_are_missing() -> None:
    without = [*DATES[:3], *DATES[4:]]
    ax = cs.plot_history(history(without))
    (line,) = lines(ax).values()
    assert segments(line) == [*pairwise(DATES[:3]), *pairwise(DATES[4:])]
    assert dotted(ax) == [(DATES[2], DATES[4])]
    assert title(ax)[-1] == "dotted where snapshots are missing"
    ax = cs.plot_history(history(weekly(17)[::4]))
    assert not dotted(ax), "who looks at every fourth misses none of them"
    scattered = [DATES[0] + timedelta(weeks=weeks) for weeks in (0, 4, 11, 51)]
    assert dotted(cs.plot_history(history(scattered))) == [*pairwise(scattered)], "there is no rhythm but the week"


def test_missing_snapshots_are_judged_by_the_rhythm_around_them() -> None:
    frequent = [DATES[-1] + timedelta(days=3 * number) for number in range(1, 9)]
    assert not dotted(cs.plot_history(history([*DATES, *frequent])))
    assert dotted(cs.plot_history(history([*DATES[:3], *DATES[4:], *frequent[:4], *frequent[5:]]))) == [
        (DATES[2], DATES[4]),
        (frequent[3], frequent[5]),
    ]
    later = [day + timedelta(days=60) for day in frequent]
    assert dotted(cs.plot_history(history([*DATES, *later]))) == [(DATES[-1], later[0])]


def test_a_line_is_not_drawn_through_a_snapshot_that_has_nothing() -> None:
    counts = history(DATES, names=["here", "gone"])
    is_gone = (pl.col("stack") == "gone") & (pl.col("snapshot_date") == DATES[3])
    absent = cs.plot_history(counts.filter(~is_gone))
    assert segments(lines(absent)["here"]) == list(pairwise(DATES))
    assert segments(lines(absent)["gone"]) == [*pairwise(DATES[:3]), *pairwise(DATES[4:])]
    zero = cs.plot_history(counts.with_columns(packages=pl.when(is_gone).then(0).otherwise("packages")))
    assert segments(lines(zero)["gone"]) == [*pairwise(DATES[:4]), *pairwise(DATES[4:])], "it falls, and begins anew"
    assert not dotted(absent)
    assert not dotted(zero)


def test_a_fall_to_nothing_while_snapshots_are_missing_is_no_line() -> None:
    counts = history([*DATES[:3], date(2025, 1, 5)], names=["here", "gone"])
    is_gone = (pl.col("stack") == "gone") & (pl.col("snapshot_date") == date(2025, 1, 5))
    ax = cs.plot_history(counts.with_columns(packages=pl.when(is_gone).then(0).otherwise(5)))
    assert dotted(ax) == [(DATES[2], date(2025, 1, 5))]


def test_the_change_of_representation_is_marked_where_the_dates_span_it() -> None:
    for dates, marks in (
        ([date(2025, 3, 23), date(2025, 3, 30)], ["Spack 1.0: compilers are packages"]),
        ([date(2025, 3, 16), date(2025, 3, 23)], []),
        ([date(2025, 3, 30), date(2025, 4, 6)], []),
    ):
        ax = cs.plot_history(history(dates))
        assert [text.get_text() for text in ax.texts] == marks
        assert [num2date(line.get_xdata()[0]).date() for line in ax.lines if line.get_linestyle() == "--"] == [
            date(2025, 3, 30)
        ] * len(marks)


def test_the_sample_changes_its_representation_where_it_is_marked(sample: cs.Dataset) -> None:
    from cachestats.plots.history import REPRESENTATIONS

    wrapper = sample.specs.filter(package="compiler-wrapper").select(pl.col("snapshot_date").unique()).collect()
    others = sample.specs.select(pl.col("snapshot_date").unique()).collect()["snapshot_date"]
    (day,) = REPRESENTATIONS
    assert {found >= day for found in wrapper["snapshot_date"]} == {True}
    assert {found < day for found in set(others) - set(wrapper["snapshot_date"])} == {True}


def test_releases_and_develop_are_left_out_and_the_title_says_so(demo: cs.Dataset) -> None:
    assert title(cs.plot_history(cs.history(demo.specs)))[1] == "2025-03-09; without develop, which has no date"
    both = pl.concat([history([], snapshots=["v0.21.0", "v0.22.0"]), history(DATES)], how="vertical_relaxed")
    assert title(cs.plot_history(both))[1].endswith("; without 2 others, which have no date")
    with pytest.raises(ArgumentError, match="expected dated snapshots, found 2 others"):
        cs.plot_history(history([], snapshots=["v0.21.0", "v0.22.0"]))


def test_the_legend_has_the_series_in_the_order_of_their_ends_and_the_highest_only() -> None:
    names = [f"stack-{number}" for number in range(30)]
    ax = cs.plot_history(history(DATES, names=names), measure="packages")
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == names[:-15:-1]
    assert list(lines(ax)) == legend
    assert title(ax)[-1] == "the 14 of 30 stacks that reach highest"
    assert len({(line.get_marker(), line.get_markerfacecolor() == "#ffffff") for line in lines(ax).values()}) == 14


def test_bars_are_what_was_kept_new_and_gone() -> None:
    counts = history(DATES)
    ax = cs.plot_churn(counts)
    kept, new, gone = ([(bar.get_y(), bar.get_height()) for bar in bars] for bars in ax.containers)
    known = counts.drop_nulls("previous")
    assert kept == [(0, count) for count in known["kept"]]
    assert new == list(zip(known["kept"], known["new"], strict=True))
    assert gone == [(0, -count) for count in known["gone"]]
    assert [label.get_text() for label in ax.get_xticklabels()] == [str(day) for day in DATES[1:]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["new", "kept", "gone"]
    assert title(ax)[-1] == "5 of 6 snapshots: the others have no previous one"


def test_bars_are_of_one_stack_and_of_the_last_snapshots() -> None:
    counts = history(weekly(100), names=["e4s", "ml"])
    with pytest.raises(ArgumentError, match="one row for each snapshot, found more: one for each stack"):
        cs.plot_churn(counts)
    ax = cs.plot_churn(counts.filter(stack="ml"))
    assert title(ax)[1:] == ["stack ml", "99 of 100 snapshots: the others have no previous one", "the last 60 of 99"]
    assert [label.get_text() for label in ax.get_xticklabels()] == [str(day) for day in weekly(100)[-60:]]
    first = cs.plot_churn(history(DATES[:1]))
    assert [text.get_text() for text in first.texts] == ["none: no snapshot has a previous one"]


def test_zeros_have_no_markers() -> None:
    ax = cs.plot_history(history(DATES).with_columns(packages=pl.Series([3, 2, 0, 0, 1, 0])))
    (line,) = lines(ax).values()
    up = line.get_ydata()
    assert [up[point] for point in line.get_markevery()] == [3, 2, 1]
    many = history(weekly(100)).with_columns(packages=pl.Series([*[5] * 97, 0, 0, 5]))
    (line,) = lines(cs.plot_history(many)).values()
    assert len(line.get_markevery()) == 34, "and every third of many"
    assert line.get_markevery()[-1] == len(line.get_ydata()) - 1, "but the one that is alone"


def test_a_stack_has_its_colour_in_every_picture() -> None:
    everything = lines(cs.plot_history(history(DATES, names=["e4s", "our-own", "radiuss", "tutorial", None])))
    some = lines(cs.plot_history(history(DATES, names=["radiuss", "our-own"])))
    assert {name: line.get_color() for name, line in some.items()}.items() <= {
        name: line.get_color() for name, line in everything.items()
    }.items()


def test_versions_are_listed_from_the_newest_and_drawn_in_specs() -> None:
    versions = history(DATES, names=["1.9", "1.10", "develop"]).rename({"stack": "version"})
    ax = cs.plot_history(versions)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["develop", "1.10", "1.9"]
    assert title(ax)[0] == "Specs, by version"
    assert title(cs.plot_history(versions.rename({"version": "target"})))[0] == "Packages, by target"


def test_lifespans_reach_from_the_first_to_the_last_snapshot() -> None:
    spans = pl.DataFrame(
        {"package": ["a", "b", "c"], "kind": ["dated", "dated", "release"], "first_date": [DATES[0], DATES[1], None]}
        | {"last_date": [DATES[4], DATES[5], None], "snapshots": [4, 5, 1], "missed": [1, 0, 0]}
        | {"is_current": [False, True, True]}
    )
    ax = cs.plot_lifespans(spans)
    week = timedelta(days=3)
    ends = [(num2date(bar.get_x()).date(), num2date(bar.get_x() + bar.get_width()).date()) for bar in ax.patches]
    assert ends == [(DATES[0] - week, DATES[4] + week), (DATES[1] - week, DATES[5] + week)]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert [text.get_text() for text in ax.texts] == ["4, 1 missed", "5"]
    assert [bool(bar.get_hatch()) for bar in ax.patches] == [True, False]
    assert title(ax)[-1] == "hatched: no longer in the newest snapshot"
    assert [label.get_text() for label in cs.plot_lifespans(spans, top=1).get_yticklabels()] == ["b"]
    with pytest.raises(ArgumentError, match="expected dated snapshots, found only release"):
        cs.plot_lifespans(spans[2:])
