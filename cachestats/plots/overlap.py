"""The overlap of each pair of stacks, as a heatmap."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from cachestats.analysis.frames import check_choice
from cachestats.axes import OVERLAP_MEASURES, OverlapMeasure
from cachestats.plots.drawing import (
    LINE_HEIGHT,
    ROW_HEIGHT,
    checked,
    column,
    in_words,
    new_axes,
    plural,
    set_title,
    short,
    width_of,
)
from cachestats.plots.heatmap import CELL_WIDTH, Shown, Values, draw_cells, draw_labels, draw_scale, top, write_numbers

MAX_NAMES = 25

_UNITS = {
    "jaccard_hashes": "share of hashes in common",
    "jaccard_packages": "share of packages in common",
    "common_hashes": "hashes in common",
    "common_packages": "packages in common",
}


def plot_overlap(
    overlap: pl.DataFrame,
    *,
    measure: OverlapMeasure = "jaccard_hashes",
    subtitle: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the overlap of each pair of stacks as a heatmap with the numbers in its cells.

    Darker means more. A cell is blank if the two have nothing in common, and on the diagonal.

    Parameters
    ----------
    overlap
        The result of `overlap`: a pair in the first two columns, and the measured column. If there are more than 25
        stacks, those with the most in common with the others are shown, and the title says how many there are.
    measure
        The quantity to draw: `jaccard_hashes` or `jaccard_packages`, the share in common, or `common_hashes` or
        `common_packages`, the number in common.
    subtitle
        A description of the data, such as the snapshot; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a row and a column for each stack.

    Raises
    ------
    ArgumentError
        If `measure` is not one of these, or `overlap` is not a frame, lacks a column, or has no pair.

    Examples
    --------
    >>> import cachestats as cs
    >>> overlap = cs.overlap(cs.example_dataset())
    >>> print(cs.plot_overlap(overlap, measure="common_packages").get_title(loc="left"))
    Packages in common, by stack
    """
    check_choice(measure, OVERLAP_MEASURES, "measure")
    by = column(overlap, 0, "stack")
    checked(overlap, names=(by, f"other_{by}"), numbers=(measure,), maker="overlap")
    every, values = _matrix(overlap, by, measure)
    kept = top(np.nansum(values, axis=0), MAX_NAMES)
    names = [short(every[position]) for position in kept]
    shown = Shown(values[np.ix_(kept, kept)], names, names)
    is_share = measure.startswith("jaccard")
    title = [f"{_UNITS[measure].capitalize()}, by {by.replace('_', ' ')}", *in_words(subtitle)]
    if len(kept) < len(every):
        title.append(f"the {len(kept)} of {len(every):,} {plural(by)} with the most in common")
    if ax is None:
        width = len(names) * CELL_WIDTH + width_of(names) + 1.4
        height = max(len(names) * ROW_HEIGHT, 1.5) + width_of(names) * 0.71 + len(title) * LINE_HEIGHT + 0.6
        ax = new_axes(width, height, title=title, names=names)
    mesh = draw_cells(ax, shown, is_share=is_share)
    draw_labels(ax, names, names)
    write_numbers(ax, mesh, shown.values, is_share=is_share)
    draw_scale(ax, mesh, _UNITS[measure], is_share=is_share)
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
