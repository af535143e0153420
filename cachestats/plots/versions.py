"""Stacks that lag behind the newest versions, as bars."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from cachestats.plots.bars import MAX_BARS, Part, draw_bars
from cachestats.plots.drawing import BLUE, ORANGE, checked, column, in_words, plural, short


def plot_versions(versions: pl.DataFrame, *, subtitle: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the number of packages of which each stack has the newest version, and of which it has an older one.

    Parameters
    ----------
    versions
        The result of `versions`: `package`, then a stack or the value of another axis, and `is_behind`. If there are
        more than 40 stacks, those with the most packages behind are shown, and the title says so.
    subtitle
        A description of the data, such as the snapshot; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a bar for each stack, the one with the most packages behind at the top.

    Raises
    ------
    ArgumentError
        If `versions` is not a frame, lacks a column, or is empty.

    Examples
    --------
    >>> import cachestats as cs
    >>> ax = cs.plot_versions(cs.versions(cs.example_dataset(), by="stack"))
    >>> [label.get_text() for label in ax.get_yticklabels()], [text.get_text() for text in ax.texts]
    (['radiuss', 'e4s', 'ml-darwin-aarch64-mps'], ['1 of 2 behind', '0 of 11 behind', '0 of 11 behind'])
    """
    by = column(versions, 1, "stack")
    checked(versions, names=("package", by, "is_behind"), maker="versions")
    every = (
        versions.group_by(by)
        .agg(behind=pl.col("is_behind").sum().cast(pl.Int64), packages=pl.len().cast(pl.Int64))
        .sort("behind", by, descending=[True, False], nulls_last=True)
    )
    shown = every.head(MAX_BARS)
    title = [f"Packages behind their newest version, by {by.replace('_', ' ')}", *in_words(subtitle)]
    if shown.height < every.height:
        title.append(f"the {shown.height} of {every.height:,} {plural(by)} with the most")
    return draw_bars(
        [short(name) for name in shown[by].cast(pl.String)],
        [
            Part("behind", shown["behind"].to_list(), ORANGE, "////"),
            Part("newest", (shown["packages"] - shown["behind"]).to_list(), BLUE),
        ],
        unit="packages",
        notes=[f"{behind:,} of {packages:,} behind" for behind, packages in shown.select("behind", "packages").rows()],
        title=title,
        ax=ax,
    )
