"""Stacks that lag behind the newest versions, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from matplotlib.axes import Axes

from cachestats.analysis.differences import TOOLCHAIN
from cachestats.analysis.frames import as_polars
from cachestats.plots.bars import MAX_BARS, Part, draw_bars
from cachestats.plots.drawing import (
    check_top,
    checked,
    column,
    draw_nothing,
    in_words,
    plural,
    short,
    snapshot_labels,
    some,
)
from cachestats.plots.themes import current

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame


def plot_versions(
    versions: IntoFrame, *, top: int = MAX_BARS, subtitle: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the number of packages of which each stack has an older version than others, and name some of them.

    Runtimes of compilers, such as `gcc-runtime`, and libcs do not count: their versions are those of the compiler and
    of the system, and no lag. The title names those that are left out.

    Parameters
    ----------
    versions
        The result of `versions`: `package`, then a stack or the value of another axis, and `is_behind`. Stacks without
        a package that is behind are left out.
    top
        The largest number of stacks to show. If there are more, those with the most packages behind are shown, and the
        title says so.
    subtitle
        A description of the data, such as the snapshot; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a bar for each stack, the one with the most packages behind at the top. If none is behind, the
        chart says so.

    Raises
    ------
    ArgumentError
        If `versions` is not a frame, lacks a column, or is empty.

    Examples
    --------
    >>> import cachestats as cs
    >>> ax = cs.plot_versions(cs.versions(cs.example_dataset(), by="snapshot"))
    >>> [label.get_text() for label in ax.get_yticklabels()], [text.get_text() for text in ax.texts]
    (['2024-06-02'], ['7 of 10: hdf5, libfabric, 5 more'])
    """
    check_top(top)
    versions = as_polars(versions)
    by = column(versions, 1, "stack")
    versions = checked(versions, names=("package", by, "is_behind"), maker="versions")
    is_behind = pl.col("is_behind").cast(pl.Boolean)
    is_toolchain = pl.col("package").is_in(TOOLCHAIN)
    counts = (
        versions.filter(~is_toolchain)
        .group_by(by)
        .agg(packages=pl.len().cast(pl.Int64), behind=pl.col("package").filter(is_behind).sort())
    )
    lagging = counts.filter(pl.col("behind").list.len() > 0).sort(
        pl.col("behind").list.len(), by, descending=[True, False], nulls_last=True
    )
    shown = lagging.head(top)
    title = [f"Packages behind their newest version, by {by.replace('_', ' ')}", *in_words(subtitle)]
    if left_out := versions.filter(is_toolchain)["package"].unique().sort().to_list():
        title.append(f"not counted: {some(left_out)}")
    if shown.is_empty():
        return draw_nothing("none: no package is behind", title=title, ax=ax)
    if shown.height < lagging.height:
        title.append(f"the {shown.height} of {lagging.height:,} {plural(by)} with the most")
    names = shown[by].cast(pl.String).to_list()
    behind = shown["behind"].to_list()
    return draw_bars(
        snapshot_labels(names) if by == "snapshot" else [*map(short, names)],
        [Part("behind", [*map(len, behind)], current().lag, "////")],
        unit="packages with an older version than elsewhere",
        notes=[
            f"{len(lag):,} of {packages:,}: {some(lag)}"
            for lag, packages in zip(behind, shown["packages"], strict=True)
        ],
        title=title,
        ax=ax,
    )
