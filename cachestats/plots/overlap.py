"""The overlap of each pair of stacks, as a heatmap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from cachestats.analysis.frames import as_polars, check_choice
from cachestats.axes import OVERLAP_MEASURES, OverlapMeasure
from cachestats.plots.drawing import (
    LINE_HEIGHT,
    ROW_HEIGHT,
    check_top,
    checked,
    column,
    in_words,
    new_axes,
    plural,
    set_title,
    short,
    snapshot_labels,
    width_of,
)
from cachestats.plots.heatmap import (
    CELL_WIDTH,
    Shown,
    Values,
    draw_cells,
    draw_labels,
    draw_scale,
    edges,
    largest,
    write_numbers,
)
from cachestats.plots.themes import current

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

MAX_NAMES = 25

UNITS = {
    "jaccard_hashes": "share of hashes in common",
    "jaccard_packages": "share of packages in common",
    "common_hashes": "hashes in common",
    "common_packages": "packages in common",
}


def plot_overlap(
    overlap: IntoFrame,
    *,
    measure: OverlapMeasure = "jaccard_hashes",
    top: int = MAX_NAMES,
    subtitle: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the overlap of each pair of stacks as a triangle of cells with the numbers in them.

    Darker means more, on a scale that ends where the values do. A cell is blank if the two have nothing in common.

    Parameters
    ----------
    overlap
        The result of `overlap`: a pair in the first two columns, and the measured column.
    measure
        The quantity to draw: `jaccard_hashes` or `jaccard_packages`, the share in common, or `common_hashes` or
        `common_packages`, the number in common.
    top
        The largest number of stacks to show, two at least. If there are more, those with the most in common with the
        others are shown, and the title says so.
    subtitle
        A description of the data, such as the snapshot; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a row for each stack but the first, and a column for each but the last.

    Raises
    ------
    ArgumentError
        If `measure` or `top` is not one of these, or `overlap` is not a frame, lacks a column, or has no pair.

    Examples
    --------
    >>> import cachestats as cs
    >>> overlap = cs.overlap(cs.example_dataset())
    >>> ax = cs.plot_overlap(overlap, measure="common_packages")
    >>> print(ax.get_title(loc="left"))
    Packages in common, by stack
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['ml-darwin-aarch64-mps', 'radiuss']
    """
    check_choice(measure, OVERLAP_MEASURES, "measure")
    check_top(top)
    overlap = as_polars(overlap)
    by = column(overlap, 0, "stack")
    is_share = measure.startswith("jaccard")
    overlap = checked(overlap, names=(by, f"other_{by}"), numbers=(measure,), maker="overlap")
    every, values = _matrix(overlap, by, measure)
    kept = largest(np.nansum(values, axis=0), max(top, 2))
    found = [every[position] for position in kept]
    names = snapshot_labels([name or "none" for name in found]) if by == "snapshot" else [*map(short, found)]
    # The pairs below the diagonal: the first has no row, the last no column.
    lower = np.where(np.tri(len(names) - 1, dtype=bool), values[np.ix_(kept[1:], kept[:-1])], np.nan)
    shown = Shown(lower, names[1:], names[:-1])
    title = [f"{UNITS[measure].capitalize()}, by {by.replace('_', ' ')}", *in_words(subtitle)]
    if len(kept) < len(every):
        title.append(f"the {len(kept)} of {len(every):,} {plural(by)} with the most in common")
    if ax is None:
        width = len(shown.columns) * CELL_WIDTH + width_of(names) + 1.4
        height = max(len(shown.rows) * ROW_HEIGHT, 1.2) + width_of(names) * 0.71 + len(title) * LINE_HEIGHT + 0.6
        ax = new_axes(width, height, title=title, names=names)
    mesh = draw_cells(ax, shown, is_share=is_share)
    theme = current()
    ax.set_facecolor(theme.paper)  # there is nothing above the diagonal
    nothing = np.ma.masked_not_equal(np.nan_to_num(shown.values, nan=-1), 0)
    ax.pcolormesh(
        *edges(shown.values), nothing, cmap=ListedColormap([theme.empty]), edgecolors=theme.paper, linewidth=1
    )
    draw_labels(ax, shown.rows, shown.columns)
    write_numbers(ax, mesh, shown.values, is_share=is_share)
    draw_scale(ax, mesh, UNITS[measure], is_share=is_share)
    set_title(ax, title)
    return ax


def _matrix(overlap: pl.DataFrame, by: str, measure: str) -> tuple[list[str | None], Values]:
    """Return the names in their order, and a square matrix of the overlaps of all pairs."""
    ones, others = (overlap[column].cast(pl.String).to_list() for column in (by, f"other_{by}"))
    # Each pair is in the order of the names, so only the last name does not occur in the first column.
    names = list(dict.fromkeys([*ones, *others]))
    positions = {name: position for position, name in enumerate(names)}
    values = np.full((len(names), len(names)), np.nan)
    for one, other, value in zip(ones, others, overlap[measure], strict=True):
        values[positions[one], positions[other]] = values[positions[other], positions[one]] = value
    return names, values
