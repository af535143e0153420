"""Duplicate builds, as bars."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from cachestats.plots.bars import MAX_BARS, Part, draw_bars
from cachestats.plots.drawing import PURPLE, checked, column, draw_nothing, in_words, short
from cachestats.text import byte_size, counted


def plot_duplicates(duplicates: pl.DataFrame, *, subtitle: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the packages with the most duplicate builds, and the bytes that these take, if known.

    Parameters
    ----------
    duplicates
        The result of `duplicates` by spec, package or cause: `excess`, and `package` or, by cause, `cause`. Rows by
        spec are summed for each package. If there are more than 40, those with the most excess are shown, and the title
        says so.
    subtitle
        A description of the data, such as the snapshot; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a bar for each package or cause. If there is none, the chart says so.

    Raises
    ------
    ArgumentError
        If `duplicates` is not a frame, or lacks a column.

    Examples
    --------
    >>> import cachestats as cs
    >>> ax = cs.plot_duplicates(cs.duplicates(cs.example_dataset(), by="package"))
    >>> [label.get_text() for label in ax.get_yticklabels()], [text.get_text() for text in ax.texts]
    (['hdf5', 'mpich', 'yaksa', 'libxml2'], ['3', '3', '3', '1'])
    """
    item = "cause" if column(duplicates, 0, "package") == "cause" else "package"
    checked(duplicates, names=(item,), numbers=("excess",), maker="duplicates", may_be_empty=True)
    size = pl.col("excess_bytes") if "excess_bytes" in duplicates.columns else pl.lit(None, pl.Int64)
    every = (
        duplicates.group_by(item)
        .agg(pl.col("excess").sum(), excess_bytes=pl.when(size.is_not_null().all()).then(size.sum()))
        .sort("excess", item, descending=[True, False])
    )
    shown = every.head(MAX_BARS)
    title = [f"Duplicate specs, by {item}", *in_words(subtitle)]
    if every.is_empty():
        return draw_nothing("none: nothing is built twice", title=title, ax=ax)
    if shown.height < every.height:
        title.append(f"the {shown.height} of {counted(every.height, item)} with the most")
    return draw_bars(
        [short(name) for name in shown[item]],
        [Part("excess", shown["excess"].to_list(), PURPLE)],
        unit="specs in excess",
        notes=[
            f"{excess:,}" if size is None else f"{excess:,}, {byte_size(size)}"
            for excess, size in shown.select("excess", "excess_bytes").iter_rows()
        ],
        title=title,
        ax=ax,
    )
