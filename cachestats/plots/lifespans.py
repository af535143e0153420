"""From when to when packages were in the cache, as bars on a date axis."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
from matplotlib.axes import Axes

from cachestats.analysis.frames import as_polars
from cachestats.errors import ArgumentError
from cachestats.plots.dates import date_along, position
from cachestats.plots.drawing import (
    FONT,
    LINE_HEIGHT,
    ROW_HEIGHT,
    check_top,
    checked,
    in_words,
    new_axes,
    set_title,
    short,
    width_of,
)
from cachestats.plots.themes import current

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

MAX_ROWS = 40

_WIDTH = 4.5  # inches, without the names
_MARGIN = timedelta(days=6)


def plot_lifespans(
    lifespans: IntoFrame, *, top: int = MAX_ROWS, subtitle: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw from when to when each package, version, ... was in the dated snapshots.

    A bar reaches from the first snapshot to the last. It is hatched, and lighter, if the combination is gone.

    Parameters
    ----------
    lifespans
        The result of `lifespans`: the columns of its `by`, and `kind`, `first_date`, `last_date`, `snapshots`, `missed`
        and `is_current`. Releases and `develop` have no date and are left out.
    top
        The largest number of rows to show. If there are more, those in the most snapshots are shown, in the order of
        the frame, and the title says so.
    subtitle
        A description of the data, such as a filter; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a bar for each row, labelled with the number of its snapshots and of those in between that lack
        it.

    Raises
    ------
    ArgumentError
        If `lifespans` is not a frame, lacks a column, or has no dated snapshot.

    Examples
    --------
    >>> import cachestats as cs
    >>> spans = cs.lifespans(cs.example_dataset().where(package=["hdf5", "zlib-ng"]), by=["package", "version"])
    >>> ax = cs.plot_lifespans(spans)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['hdf5 1.8.23', 'hdf5 1.14.3', 'hdf5 1.14.5', 'zlib-ng 2.1.6', 'zlib-ng 2.2.3']
    >>> [text.get_text() for text in ax.texts]
    ['1', '1', '1', '1', '1']
    """
    check_top(top)
    dates, numbers = ("first_date", "last_date"), ("snapshots", "missed")
    spans = checked(as_polars(lifespans), names=("kind", "is_current"), dates=dates, numbers=numbers, maker="lifespans")
    by = spans.columns[: spans.columns.index("kind")]
    dated = spans.drop_nulls(dates)
    if dated.is_empty():
        raise ArgumentError(
            f"expected dated snapshots, found only {', '.join(spans['kind'].unique().sort())}",
            hint="only dated snapshots, such as develop-2025-03-09, have a date",
        )
    most = dated.with_row_index("row").sort("snapshots", descending=True, maintain_order=True)
    shown = most.head(top).sort("row")
    title = [f"From the first to the last snapshot, by {' and '.join(by)}".replace("_", " "), *in_words(subtitle)]
    if shown.height < dated.height:
        title.append(f"the {shown.height} of {dated.height:,} in the most snapshots")
    if not shown["is_current"].all():
        title.append("hatched: no longer in the newest snapshot")
    names = [short(" ".join(name or "none" for name in row)) for row in shown.select(by).cast(pl.String).iter_rows()]
    notes = [
        f"{snapshots:,}{f', {missed:,} missed' if missed else ''}"
        for snapshots, missed in shown.select(numbers).iter_rows()
    ]
    if ax is None:
        width = width_of(names) + _WIDTH + width_of(notes) + 0.5
        ax = new_axes(width, len(names) * ROW_HEIGHT + len(title) * LINE_HEIGHT + 0.8, title=title, names=names)
    theme = current()
    for row, (first, last, is_current) in enumerate(shown.select(*dates, "is_current").iter_rows()):
        start, end = position(first - _MARGIN / 2), position(last + _MARGIN / 2)
        colour, marks = (theme.main, None) if is_current else (theme.near, "////")
        ax.barh(row, end - start, 0.6, start, color=colour, hatch=marks, edgecolor=theme.paper, linewidth=0.5)
        ax.annotate(notes[row], (end, row), (3, 0), textcoords="offset points", va="center", fontsize=FONT)
    ax.set_yticks(range(len(names)), names, fontsize=FONT, parse_math=False)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(length=0)
    date_along(ax, min(dated["first_date"].to_list()), max(dated["last_date"].to_list()))
    # Leave room for the notes of bars that end last.
    start, end = ax.get_xlim()
    ax.set_xlim(start, end + (end - start) * width_of(notes) / _WIDTH)
    ax.set_xlabel("numbers: snapshots that have it", fontsize=FONT)
    ax.grid(axis="x", color=theme.grid, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[:].set_visible(False)
    set_title(ax, title)
    return ax
