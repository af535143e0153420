"""Duplicate builds, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from matplotlib.axes import Axes

from cachestats.analysis.frames import as_polars
from cachestats.plots.bars import Part, draw_bars
from cachestats.plots.drawing import check_top, checked, column, draw_nothing, in_words, short
from cachestats.plots.themes import current
from cachestats.text import byte_size, counted

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame


MAX_BUILDS = 15


def plot_duplicates(
    duplicates: IntoFrame, *, top: int = MAX_BUILDS, subtitle: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the packages with the most extra builds of the same thing, and the bytes that these take, if known.

    Parameters
    ----------
    duplicates
        The result of `duplicates` by spec, package or cause: `excess`, and `package` or, by cause, `cause`. Rows by
        spec are summed for each package.
    top
        The largest number of packages or causes to show. If there are more, those with the most extra builds are shown,
        and the title says so.
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
    check_top(top)
    duplicates = as_polars(duplicates)
    item = "cause" if column(duplicates, 0, "package") == "cause" else "package"
    duplicates = checked(duplicates, names=(item,), numbers=("excess",), maker="duplicates", may_be_empty=True)
    size = pl.col("excess_bytes").cast(pl.Int64) if "excess_bytes" in duplicates.columns else pl.lit(None, pl.Int64)
    every = (
        duplicates.group_by(item)
        .agg(pl.col("excess").sum(), excess_bytes=pl.when(size.is_not_null().all()).then(size.sum()))
        .sort("excess", item, descending=[True, False])
    )
    shown = every.head(top)
    title = [f"Extra builds of the same specs, by {item}", *in_words(subtitle)]
    if every.is_empty():
        return draw_nothing("none: nothing is built twice", title=title, ax=ax)
    if shown.height < every.height:
        title.append(f"the {shown.height} of {counted(every.height, item)} with the most")
    return draw_bars(
        [short(name) for name in shown[item]],
        [Part("extra", shown["excess"].to_list(), current().extra)],
        unit="extra builds",
        notes=[
            f"{excess:,}" if size is None else f"{excess:,}, {byte_size(size)}"
            for excess, size in shown.select("excess", "excess_bytes").iter_rows()
        ],
        title=title,
        ax=ax,
    )
