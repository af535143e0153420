"""Losses from one snapshot to the next, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from matplotlib.axes import Axes

from cachestats.analysis.frames import as_polars
from cachestats.plots.bars import MAX_BARS, Part, draw_bars
from cachestats.plots.drawing import check_top, checked, draw_nothing, in_words, plural, short
from cachestats.plots.themes import current
from cachestats.text import counted

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame


def plot_losses(losses: IntoFrame, *, top: int = MAX_BARS, subtitle: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the share of its packages that each stack lost, if it lost any.

    Parameters
    ----------
    losses
        The result of `losses`. Stacks that lost nothing are left out, and the title says how many.
    top
        The largest number of stacks to show. If there are more, the first are shown, and the title says so.
    subtitle
        A description of the comparison, such as the two snapshots; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a bar for each stack in the order of the frame. If none lost anything, the chart says so.

    Raises
    ------
    ArgumentError
        If `losses` is not a frame, lacks a column, or is empty.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> ax = cs.plot_losses(cs.losses(ds.at("previous"), ds.newest, by="target"))
    >>> [text.get_text() for text in ax.texts]
    ['100.0%, 11 of 11']
    """
    check_top(top)
    losses = checked(as_polars(losses), numbers=("old_packages", "lost", "drop"), maker="losses")
    by = losses.columns[0] if losses.columns[0] != "old_packages" else None
    some = losses.filter(pl.col("lost") > 0)
    shown = some.head(top)
    title = [f"Share of packages lost{f', by {by}' if by else ''}".replace("_", " "), *in_words(subtitle)]
    if shown.is_empty():
        return draw_nothing("none: no package was lost", title=title, ax=ax)
    if by and shown.height < some.height:
        title.append(f"the first {shown.height} of {some.height:,} {plural(by)} that lost some")
    if by and some.height < losses.height:
        title.append(f"{counted(losses.height - some.height, 'other')} lost none")
    return draw_bars(
        [short(name) for name in shown[by].cast(pl.String)] if by else ["all"],
        [Part("lost", shown["drop"].to_list(), current().loss)],
        unit="share of packages lost",
        notes=[
            f"{drop:.1%}, {lost:,} of {old:,}"
            for drop, lost, old in shown.select("drop", "lost", "old_packages").rows()
        ],
        title=title,
        is_share=True,
        ax=ax,
    )
