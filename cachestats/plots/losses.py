"""Losses from one snapshot to the next, as bars."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from cachestats.plots.bars import MAX_BARS, Part, draw_bars
from cachestats.plots.drawing import VERMILLION, checked, in_words, plural, short


def plot_losses(losses: pl.DataFrame, *, subtitle: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the share of its packages that each stack lost.

    Parameters
    ----------
    losses
        The result of `losses`. If there are more than 40 stacks, the first are shown, and the title says so.
    subtitle
        A description of the comparison, such as the two snapshots; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a bar for each stack in the order of the frame.

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
    ['100.0%, 11 of 11', '0.0%, 0 of 10']
    """
    checked(losses, numbers=("old_packages", "lost", "drop"), maker="losses")
    by = losses.columns[0] if losses.columns[0] != "old_packages" else None
    shown = losses.head(MAX_BARS)
    title = [f"Share of packages lost{f', by {by}' if by else ''}".replace("_", " "), *in_words(subtitle)]
    if by and shown.height < losses.height:
        title.append(f"the first {shown.height} of {losses.height:,} {plural(by)}")
    return draw_bars(
        [short(name) for name in shown[by].cast(pl.String)] if by else ["all"],
        [Part("lost", shown["drop"].to_list(), VERMILLION)],
        unit="share of packages lost",
        notes=[
            f"{drop:.1%}, {lost:,} of {old:,}"
            for drop, lost, old in shown.select("drop", "lost", "old_packages").rows()
        ],
        title=title,
        is_share=True,
        ax=ax,
    )
