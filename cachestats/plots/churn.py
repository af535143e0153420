"""The specs that each snapshot kept from the previous one, the new ones and those that are gone, as bars."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from cachestats.errors import ArgumentError
from cachestats.plots.bars import Part, draw_columns
from cachestats.plots.drawing import BLUE, ORANGE, VERMILLION, checked, in_words, short
from cachestats.text import counted

MAX_SNAPSHOTS = 60


def plot_churn(history: pl.DataFrame, *, subtitle: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the specs that each snapshot kept from the previous one, the new ones, and, below zero, those gone.

    Parameters
    ----------
    history
        The result of `history` without `by`, or the rows of one stack, target, ...: `snapshot`, `previous`, `kept`,
        `new` and `gone`. Snapshots without a previous one are left out, and the title says so. If there are more than
        60, the last ones are shown.
    subtitle
        A description of the data, such as a filter; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a bar for each snapshot in the order of the frame.

    Raises
    ------
    ArgumentError
        If `history` is not a frame, lacks a column, has several rows for a snapshot, or none with a previous one.

    Examples
    --------
    >>> import cachestats as cs
    >>> ax = cs.plot_churn(cs.history(cs.example_dataset()))
    >>> print(ax.get_title(loc="left"))
    Specs kept, new and gone since the previous snapshot
    1 of 2 snapshots: the others have no previous one
    """
    counts = ("kept", "new", "gone")
    checked(history, names=("snapshot", "previous"), numbers=counts, maker="history")
    by = history.columns[0] if history.columns[0] != "snapshot" else None
    if history["snapshot"].is_duplicated().any():
        raise ArgumentError(
            f"expected one row for each snapshot, found more: one for each {by or 'row'}",
            hint=f"draw one {by or 'row'} at a time: `history.filter({by or 'snapshot'}=...)`",
        )
    known = history.drop_nulls("previous")
    if known.is_empty():
        raise ArgumentError(
            f"expected a snapshot with a previous one, found {counted(history.height, 'snapshot')} without",
            hint="include at least two dated snapshots or two releases",
        )
    shown = known.tail(MAX_SNAPSHOTS)
    title = ["Specs kept, new and gone since the previous snapshot", *in_words(subtitle)]
    if by:
        title.append(f"{by.replace('_', ' ')} {short(history[by][0])}")
    if known.height < history.height:
        title.append(f"{known.height:,} of {counted(history.height, 'snapshot')}: the others have no previous one")
    if shown.height < known.height:
        title.append(f"the last {shown.height} of {known.height:,}")
    return draw_columns(
        [short(name) for name in shown["snapshot"]],
        [
            Part("kept", shown["kept"].to_list(), BLUE),
            Part("new", shown["new"].to_list(), ORANGE),
            Part("gone", shown["gone"].to_list(), VERMILLION, "////", is_loss=True),
        ],
        unit="specs",
        title=title,
        ax=ax,
    )
