"""The specs that each snapshot kept from the previous one, the new ones and those that are gone, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from cachestats.analysis.frames import as_polars
from cachestats.errors import ArgumentError
from cachestats.plots.bars import Part, draw_columns
from cachestats.plots.drawing import check_top, checked, draw_nothing, in_words, short, snapshot_labels
from cachestats.plots.themes import current
from cachestats.text import counted

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

MAX_SNAPSHOTS = 60


def plot_churn(
    history: IntoFrame, *, top: int = MAX_SNAPSHOTS, subtitle: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the specs that each snapshot kept from the previous one, the new ones, and, below zero, those gone.

    Parameters
    ----------
    history
        The result of `history` without `by`, or the rows of one stack, target, ...: `snapshot`, `previous`, `kept`,
        `new` and `gone`. Snapshots without a previous one are left out, and the title says so.
    top
        The largest number of snapshots to show. If there are more, the last ones are shown, and the title says so.
    subtitle
        A description of the data, such as a filter; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a bar for each snapshot in the order of the frame. If none has a previous one, the chart says so.

    Raises
    ------
    ArgumentError
        If `history` is not a frame, lacks a column, or has several rows for a snapshot.

    Examples
    --------
    >>> import cachestats as cs
    >>> ax = cs.plot_churn(cs.history(cs.example_dataset()))
    >>> print(ax.get_title(loc="left"))
    Specs kept, new and gone since the previous snapshot
    1 of 2 snapshots: the others have no previous one
    """
    counts = ("kept", "new", "gone")
    check_top(top)
    history = checked(as_polars(history), names=("snapshot", "previous"), numbers=counts, maker="history")
    by = history.columns[0] if history.columns[0] != "snapshot" else None
    if history["snapshot"].is_duplicated().any():
        raise ArgumentError(
            f"expected one row for each snapshot, found more: one for each {by or 'row'}",
            hint=f"draw one {by or 'row'} at a time: `history.filter({by or 'snapshot'}=...)`",
        )
    known = history.drop_nulls("previous")
    shown = known.tail(top)
    title = ["Specs kept, new and gone since the previous snapshot", *in_words(subtitle)]
    if known.is_empty():
        return draw_nothing("none: no snapshot has a previous one", title=title, ax=ax)
    if by:
        title.append(f"{by.replace('_', ' ')} {short(history[by][0])}")
    if known.height < history.height:
        title.append(f"{known.height:,} of {counted(history.height, 'snapshot')}: the others have no previous one")
    if shown.height < known.height:
        title.append(f"the last {shown.height} of {known.height:,}")
    colours = current()
    return draw_columns(
        snapshot_labels(shown["snapshot"].to_list()),
        [
            Part("kept", shown["kept"].to_list(), colours.main),
            Part("new", shown["new"].to_list(), colours.gain),
            Part("gone", shown["gone"].to_list(), colours.loss, "////", is_loss=True),
        ],
        unit="specs",
        title=title,
        ax=ax,
    )
