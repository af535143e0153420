"""Changes between two snapshots, as bars to both sides of zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from matplotlib.axes import Axes

from cachestats.analysis.frames import as_polars
from cachestats.plots.bars import MAX_BARS, Part, draw_bars
from cachestats.plots.drawing import check_top, checked, in_words, plural, short
from cachestats.plots.themes import current

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

# The part of a theme that each change is drawn with, and its marks.
_LOOKS = {
    "removed": ("loss", "////"),
    "added": ("gain", None),
    "updated": ("main", "...."),
    "rebuilt": ("near", None),
    "representation": ("rest", "xxxx"),
}


def plot_changes(
    counts: IntoFrame, *, top: int = MAX_BARS, subtitle: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the number of packages of each stack that were added, updated or rebuilt, and, below zero, removed.

    Packages that only changed their representation (see `compare`) come last; unchanged packages are not drawn.

    Parameters
    ----------
    counts
        The result of `compare_counts`.
    top
        The largest number of stacks to show. If there are more, those with the most changes are shown, and the title
        says so.
    subtitle
        A description of the comparison, such as the two snapshots; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a bar for each stack in the order of the frame, labelled with its old and new number of packages.

    Raises
    ------
    ArgumentError
        If `counts` is not a frame, lacks a column, or is empty.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> counts = cs.compare_counts(ds.at("previous"), ds.newest, by="target")
    >>> ax = cs.plot_changes(counts, subtitle="June 2024 to March 2025")
    >>> [label.get_text() for label in ax.get_yticklabels()], [text.get_text() for text in ax.texts]
    (['aarch64', 'neoverse_v1', 'x86_64_v3'], ['0 to 11', '11 to 0', '10 to 11'])
    """
    check_top(top)
    counts = checked(as_polars(counts), numbers=("old_packages", "new_packages", *_LOOKS), maker="compare_counts")
    by = counts.columns[0] if counts.columns[0] != "old_packages" else None
    most = counts.with_row_index("row").sort(pl.sum_horizontal(*_LOOKS), descending=True, maintain_order=True)
    shown = most.head(top).sort("row")
    title = [f"Packages that changed{f', by {by}' if by else ''}".replace("_", " "), *in_words(subtitle)]
    if by and shown.height < counts.height:
        title.append(f"the {shown.height} of {counts.height:,} {plural(by)} where most changed")
    return draw_bars(
        [short(name) for name in shown[by].cast(pl.String)] if by else ["all"],
        [
            Part(change, shown[change].to_list(), getattr(current(), part), marks, is_loss=change == "removed")
            for change, (part, marks) in _LOOKS.items()
            if change != "representation" or shown[change].sum()  # it is rare, and needs no place in the legend
        ],
        unit="packages",
        notes=[f"{old:,} to {new:,}" for old, new in shown.select("old_packages", "new_packages").rows()],
        title=title,
        ax=ax,
    )
