"""Series over the snapshots, as lines on a date axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from statistics import median_low
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from cachestats.analysis.frames import as_polars, check_choice, ordered
from cachestats.axes import HISTORY_MEASURES, HistoryMeasure
from cachestats.errors import ArgumentError
from cachestats.plots.dates import date_along, position
from cachestats.plots.drawing import (
    FONT,
    LINE_HEIGHT,
    check_top,
    checked,
    column,
    count_along,
    in_words,
    new_axes,
    plural,
    set_title,
    short,
    width_of,
)
from cachestats.plots.themes import colours_of, current
from cachestats.text import counted

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

MAX_LINES = 14
MAX_MARKERS = 40

# The last page read from a snapshot before Spack 1.0 is from 2025-03-09; the first with compilers as packages, and with
# specs without a compiler, is from this day.
REPRESENTATIONS = {date(2025, 3, 30): "Spack 1.0: compilers are packages"}

UNITS = {"packages": "packages", "specs": "specs", "share": "share of the snapshot's packages"}
_MARKERS = "osD^vPX"
FEW_PACKAGES = frozenset({"package", "version", "spec"})
"""Series of these have next to no packages, so that their specs are drawn."""
_NEIGHBOURS = 5  # the intervals on each side from which the usual one is found: two of them may be gaps
_WEEK = timedelta(weeks=1)
_WIDTH, _HEIGHT = 5.6, 3.2  # inches, without the labels around the lines


class _Series(NamedTuple):
    name: str | None
    points: dict[date, float]


def plot_history(
    history: IntoFrame,
    *,
    measure: HistoryMeasure | None = None,
    top: int = MAX_LINES,
    subtitle: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a series over the dated snapshots as a line on a date axis, or a line for each stack, target, ...

    A line connects each snapshot to the next. It is dotted if snapshots are missing in between, that is, if two
    neighbours are more than one and a half times as far apart as is usual there: as the median of the five intervals
    before them, or of the five after them if that is longer, so that a change from weekly snapshots to more frequent
    ones hides no gap and makes none. Where no two intervals are alike, a week is usual. A line falls to zero at the
    first snapshot that lacks the stack, unless snapshots are missing there, and resumes at the next one that has it;
    markers show where there is something.
    A vertical line marks a change in what Spack treats as a package; values on its two sides are not comparable. A
    stack has the same colour in every picture.

    Parameters
    ----------
    history
        The result of `history`: `snapshot`, `snapshot_date`, the measured column, and before them the column of `by`,
        if there is one. Releases and `develop` have no date and are left out, and the title says so.
    measure
        The quantity to draw: packages, specs, or share. By default specs, if a series is that of a package, a version
        or a spec expression, and otherwise packages.
    top
        The largest number of series to draw. If there are more, those with the highest peaks are drawn, and the title
        says so.
    subtitle
        A description of the data, such as a filter; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a legend that lists the series in the order of their last values, and versions the newest first.

    Raises
    ------
    ArgumentError
        If `measure` is not one of these, or `history` is not a frame, lacks a column, or has no dated snapshot.

    Examples
    --------
    >>> import cachestats as cs
    >>> history = cs.history(cs.example_dataset(), by="stack")
    >>> print(cs.plot_history(history, measure="specs").get_title(loc="left"))
    Specs, by stack
    2 snapshots, 2024-06-02 to 2025-03-09
    dotted where snapshots are missing
    """
    check_top(top)
    history = as_polars(history)
    first = column(history, 0, "snapshot")
    measure = measure or ("specs" if first in FEW_PACKAGES else "packages")
    check_choice(measure, HISTORY_MEASURES, "measure")
    history = checked(history, names=("snapshot",), dates=("snapshot_date",), numbers=(measure,), maker="history")
    dated = history.drop_nulls("snapshot_date")
    if dated.is_empty():
        raise ArgumentError(
            f"expected dated snapshots, found {_names(history['snapshot'])}",
            hint="only dated snapshots, such as develop-2025-03-09, have a date",
        )
    by = first if first != "snapshot" else None
    every = _series(dated, by, measure)
    highest = sorted(every, key=lambda series: -max(series.points.values()))[:top]
    shown = _in_legend(highest, by)
    dates = sorted(dated["snapshot_date"].unique())
    breaks = breaks_between(dates)

    title = [f"{UNITS[measure].capitalize()}{f', by {by}' if by else ''}".replace("_", " "), *in_words(subtitle)]
    title.append(_span(dates, history))
    if by and len(shown) < len(every):
        title.append(f"the {len(shown)} of {len(every):,} {plural(by)} that reach highest")
    if breaks:
        title.append("dotted where snapshots are missing")
    if ax is None:
        names = [short(series.name) for series in shown] if by else []
        ax = new_axes(_WIDTH + width_of(names) + 0.8, _HEIGHT + len(title) * LINE_HEIGHT, title=title, names=["00,000"])
    # The colours and markers are those of the names in their order, however high the lines are.
    drawn = [series.name for series in every if series in shown]
    looks = dict(zip(drawn, enumerate(colours_of(drawn, by)), strict=True))
    lines = [_draw_series(ax, series, dates, breaks, *looks[series.name]) for series in shown]
    _draw_axes(ax, dates, measure)
    _mark_representations(ax, dates)
    if by:
        _draw_legend(ax, lines, [short(series.name) for series in shown])
    set_title(ax, title)
    return ax


def _series(dated: pl.DataFrame, by: str | None, measure: str) -> list[_Series]:
    """Return the points of each series, in the order of the frame."""
    found: dict[str | None, dict[date, float]] = {}
    names = dated[by].cast(pl.String) if by else [None] * dated.height
    for name, day, value in zip(names, dated["snapshot_date"], dated[measure], strict=True):
        found.setdefault(name, {})[day] = value
    return [_Series(name, points) for name, points in found.items()]


def _in_legend(series: Sequence[_Series], by: str | None) -> list[_Series]:
    """Return the series in the order of the legend: versions from the newest, others as high as they end."""
    if by == "version":
        names = [one.name for one in series]
        order = ordered(pl.DataFrame({"version": names}, schema={"version": pl.String}), "version")["version"].to_list()
        return sorted(series, key=lambda one: -order.index(one.name))
    return sorted(series, key=lambda one: -one.points[max(one.points)])


def breaks_between(dates: Sequence[date]) -> set[date]:
    """Return the dates directly before which snapshots are missing, by the rhythm of the snapshots around them."""
    spans = [day - before for before, day in pairwise(dates)]
    found = set()
    for place, (day, span) in enumerate(zip(dates[1:], spans, strict=True)):
        sides = spans[max(0, place - _NEIGHBOURS) : place], spans[place + 1 : place + 1 + _NEIGHBOURS]
        usual = max(filter(None, (_rhythm(side, span) for side in sides)), default=_WEEK)
        if span > 1.5 * usual:
            found.add(day)
    return found


def _rhythm(side: Sequence[timedelta], own: timedelta) -> timedelta | None:
    """Return the usual interval on one side of another, or None if no two of them are alike."""
    if not side:
        return None
    usual = median_low(side)
    return usual if sum(usual / 1.5 <= span <= 1.5 * usual for span in (*side, own)) > 1 else None


def _draw_series(
    ax: Axes, series: _Series, dates: Sequence[date], breaks: set[date], place: int, colour: str
) -> Line2D:
    """Draw a series, and return its solid line."""
    # No line continues from a snapshot in which the series is zero.
    joined = {day for before, day in pairwise(dates) if day in series.points and series.points.get(before)}
    across, up = _line(series, dates, joined - breaks)
    (line,) = ax.plot(
        across,
        up,
        marker=_MARKERS[place % len(_MARKERS)],
        markevery=_marked(up),
        markersize=4.5,
        # Half of the markers are hollow, so that there are enough of them.
        markerfacecolor=current().paper if place // len(_MARKERS) % 2 else colour,
        linewidth=1.5,
        color=colour,
        clip_on=False,
        label=short(series.name),
    )
    # If a series ends in a break, the date of its end is unknown, so no line leads to zero.
    guessed = {day for day in joined & breaks if series.points[day]}
    ax.plot(*_line(series, dates, guessed), linestyle=":", linewidth=1.2, color=colour)
    return line


def _marked(values: Sequence[float]) -> list[int]:
    """Return which points of a line get a marker: not zeros, where those of many series would lie on each other.

    Of many points only some do, and those that are not part of a line.
    """
    there = [point for point, value in enumerate(values) if value > 0]
    around = [math.nan, *values, math.nan]
    alone = {point for point in there if math.isnan(around[point]) and math.isnan(around[point + 2])}
    return sorted({*there[:: 1 + len(there) // MAX_MARKERS], *alone})


def _line(series: _Series, dates: Sequence[date], joined: set[date]) -> tuple[list[float], list[float]]:
    """Return the points of a line, with an undrawable point before each one that is not joined to the previous."""
    points = []
    for day in dates:
        if day in series.points:
            if day not in joined:
                points.append((position(day), math.nan))
            points.append((position(day), series.points[day]))
    return [at for at, _ in points], [value for _, value in points]


def _draw_legend(ax: Axes, lines: Sequence[Line2D], names: Sequence[str]) -> None:
    # A legend omits names that begin with _ and treats those with $ as formulas, so the names are set afterwards.
    numbers = [str(position) for position in range(len(lines))]
    legend = ax.legend(lines, numbers, loc="upper left", bbox_to_anchor=(1, 1), fontsize=FONT, frameon=False)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set(text=name, parse_math=False)


def _draw_axes(ax: Axes, dates: Sequence[date], measure: str) -> None:
    date_along(ax, dates[0], dates[-1])
    ax.set_ylim(0, (ax.dataLim.y1 or 1) * 1.18)  # leave room for text above the lines
    count_along(ax.yaxis, UNITS[measure], is_share=measure == "share")
    ax.spines["bottom"].set_visible(True)


def _mark_representations(ax: Axes, dates: Sequence[date]) -> None:
    for day, words in REPRESENTATIONS.items():
        if not dates[0] < day <= dates[-1]:
            continue
        ax.axvline(position(day), color=current().ink, linewidth=0.8, linestyle="--", zorder=0)
        is_left = day - dates[0] < dates[-1] - day
        ax.annotate(
            words,
            (position(day), 1),
            (4 if is_left else -4, -3),
            xycoords=ax.get_xaxis_transform(),
            textcoords="offset points",
            ha="left" if is_left else "right",
            va="top",
            fontsize=FONT,
        )


def _span(dates: Sequence[date], history: pl.DataFrame) -> str:
    """Return the period, and the snapshots that are left out because they have no date."""
    number = f"{counted(len(dates), 'snapshot')}, " if len(dates) > 1 else ""
    words = number + " to ".join(dict.fromkeys(map(str, (dates[0], dates[-1]))))
    undated = history.filter(pl.col("snapshot_date").is_null())["snapshot"].unique()
    if undated.is_empty():
        return words
    return f"{words}; without {_names(undated)}, which ha{'s' if len(undated) == 1 else 've'} no date"


def _names(snapshots: pl.Series) -> str:
    """Return the name of the only snapshot, or the number of snapshots."""
    names = snapshots.unique()
    return short(names[0]) if len(names) == 1 else f"{len(names):,} others"
