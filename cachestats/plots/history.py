"""Series over the snapshots, as lines on a date axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from statistics import median_low
from typing import NamedTuple

import polars as pl
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.lines import Line2D

from cachestats.analysis.frames import check_choice
from cachestats.axes import HISTORY_MEASURES, HistoryMeasure
from cachestats.errors import ArgumentError
from cachestats.plots.drawing import (
    BLACK,
    BLUE,
    FONT,
    GREEN,
    LINE_HEIGHT,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    checked,
    count_along,
    in_words,
    new_axes,
    plural,
    set_title,
    short,
    width_of,
)
from cachestats.text import counted

MAX_LINES = 14

# The last page read from a snapshot before Spack 1.0 is from 2025-03-09; the first with compilers as packages, and with
# specs without a compiler, is from this day.
REPRESENTATIONS = {date(2025, 3, 30): "Spack 1.0: compilers are packages"}

_UNITS = {"packages": "packages", "specs": "specs", "share": "share of the snapshot's packages"}
_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
_MARKERS = "osD^vPX"
_NEIGHBOURS = 5  # the intervals on each side from which the usual one is found: two of them may be gaps
_WIDTH, _HEIGHT = 5.6, 3.2  # inches, without the labels around the lines


class _Series(NamedTuple):
    name: str
    points: dict[date, float]


def plot_history(
    history: pl.DataFrame, *, measure: HistoryMeasure = "packages", subtitle: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw a series over the dated snapshots as a line on a date axis, or a line for each stack, target, ...

    A line connects each snapshot to the next. It is dotted if snapshots are missing in between, that is, if two
    neighbours are more than one and a half times as far apart as is usual there: as the median of the five intervals
    before them, or of the five after them if that is longer, so that a change from weekly snapshots to more frequent
    ones hides no gap and makes none. It falls to zero at the first snapshot that lacks the stack, unless snapshots are
    missing there, and resumes at the next one that has it. A vertical line marks a change in what Spack treats as a
    package; values on its two sides are not comparable.

    Parameters
    ----------
    history
        The result of `history`: `snapshot`, `snapshot_date`, the measured column, and before them the column of `by`,
        if there is one. Releases and `develop` have no date and are left out. If there are more than 14 series, those
        with the highest peaks are drawn. The title mentions both.
    measure
        The quantity to draw: packages, specs, or share.
    subtitle
        A description of the data, such as a filter; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a legend that lists the series in the order of their last values.

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
    """
    check_choice(measure, HISTORY_MEASURES, "measure")
    checked(history, names=("snapshot", "snapshot_date"), numbers=(measure,), maker="history")
    dated = history.drop_nulls("snapshot_date")
    if dated.is_empty():
        raise ArgumentError(
            f"expected dated snapshots, found {_names(history['snapshot'])}",
            hint="only dated snapshots, such as develop-2025-03-09, have a date",
        )
    by = history.columns[0] if history.columns[0] != "snapshot" else None
    every = _series(dated, by, measure)
    highest = sorted(every, key=lambda series: -max(series.points.values()))[:MAX_LINES]
    # The legend lists the highest series first, as in the chart.
    shown = sorted(highest, key=lambda series: -series.points[max(series.points)])
    dates = sorted(dated["snapshot_date"].unique())
    breaks = _breaks(dates)

    title = [f"{_UNITS[measure].capitalize()}{f', by {by}' if by else ''}".replace("_", " "), *in_words(subtitle)]
    title.append(_span(dates, history))
    if by and len(shown) < len(every):
        title.append(f"the {len(shown)} of {len(every):,} {plural(by)} that reach highest")
    if breaks:
        title.append("dotted where snapshots are missing")
    if ax is None:
        names = [series.name for series in shown] if by else []
        ax = new_axes(_WIDTH + width_of(names) + 0.8, _HEIGHT + len(title) * LINE_HEIGHT, title=title, names=["00,000"])
    lines = [_draw_series(ax, series, dates, breaks, position) for position, series in enumerate(shown)]
    _draw_axes(ax, dates, measure)
    _mark_representations(ax, dates)
    if by:
        _draw_legend(ax, lines, [series.name for series in shown])
    set_title(ax, title)
    return ax


def _series(dated: pl.DataFrame, by: str | None, measure: str) -> list[_Series]:
    """Return the points of each series, in the order of the frame."""
    found: dict[str | None, dict[date, float]] = {}
    names = dated[by].cast(pl.String) if by else [None] * dated.height
    for name, day, value in zip(names, dated["snapshot_date"], dated[measure], strict=True):
        found.setdefault(name, {})[day] = value
    return [_Series(short(name), points) for name, points in found.items()]


def _breaks(dates: Sequence[date]) -> set[date]:
    """Return the dates directly before which snapshots are missing, by the rhythm of the snapshots around them."""
    spans = [day - before for before, day in pairwise(dates)]
    found = set()
    for position, (day, span) in enumerate(zip(dates[1:], spans, strict=True)):
        sides = spans[max(0, position - _NEIGHBOURS) : position], spans[position + 1 : position + 1 + _NEIGHBOURS]
        usual = max((median_low(side) for side in sides if side), default=span)
        if span > 1.5 * usual:
            found.add(day)
    return found


def _draw_series(ax: Axes, series: _Series, dates: Sequence[date], breaks: set[date], position: int) -> Line2D:
    """Draw a series, and return its solid line."""
    colour = _COLOURS[position % len(_COLOURS)]
    # No line continues from a snapshot in which the series is zero.
    joined = {day for before, day in pairwise(dates) if day in series.points and series.points.get(before)}
    (line,) = ax.plot(
        *_line(series, dates, joined - breaks),
        marker=_MARKERS[position % len(_MARKERS)],
        markersize=4.5,
        # Hollow markers distinguish series that share a colour.
        markerfacecolor=colour if position < len(_COLOURS) else "white",
        linewidth=1.5,
        color=colour,
        clip_on=False,
        label=series.name,
    )
    # If a series ends in a break, the date of its end is unknown, so no line leads to zero.
    guessed = {day for day in joined & breaks if series.points[day]}
    ax.plot(*_line(series, dates, guessed), linestyle=":", linewidth=1.2, color=colour)
    return line


def _line(series: _Series, dates: Sequence[date], joined: set[date]) -> tuple[list[float], list[float]]:
    """Return the points of a line, with an undrawable point before each one that is not joined to the previous."""
    points = []
    for day in dates:
        if day in series.points:
            if day not in joined:
                points.append((_at(day), math.nan))
            points.append((_at(day), series.points[day]))
    return [at for at, _ in points], [value for _, value in points]


def _draw_legend(ax: Axes, lines: Sequence[Line2D], names: Sequence[str]) -> None:
    # A legend omits names that begin with _ and treats those with $ as formulas, so the names are set afterwards.
    numbers = [str(position) for position in range(len(lines))]
    legend = ax.legend(lines, numbers, loc="upper left", bbox_to_anchor=(1, 1), fontsize=FONT, frameon=False)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set(text=name, parse_math=False)


def _at(day: date) -> float:
    return float(date2num(day))  # type: ignore[no-untyped-call]


def _draw_axes(ax: Axes, dates: Sequence[date], measure: str) -> None:
    locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    first, last = _at(dates[0]), _at(dates[-1])
    margin = max((last - first) * 0.04, 4)
    ax.set_xlim(first - margin, last + margin)
    ax.set_ylim(0, (ax.dataLim.y1 or 1) * 1.18)  # leave room for text above the lines
    count_along(ax.yaxis, _UNITS[measure], is_share=measure == "share")
    ax.tick_params(axis="x", labelsize=FONT)
    ax.xaxis.get_offset_text().set_fontsize(FONT)
    ax.spines["bottom"].set_visible(True)


def _mark_representations(ax: Axes, dates: Sequence[date]) -> None:
    for day, words in REPRESENTATIONS.items():
        if not dates[0] < day <= dates[-1]:
            continue
        ax.axvline(_at(day), color=BLACK, linewidth=0.8, linestyle="--", zorder=0)
        is_left = day - dates[0] < dates[-1] - day
        ax.annotate(
            words,
            (_at(day), 1),
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
