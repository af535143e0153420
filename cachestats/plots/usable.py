"""What a host can use of a cache, and what stops it from using the rest, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from matplotlib.axes import Axes

from cachestats.analysis.frames import as_polars
from cachestats.analysis.usable import obstacles
from cachestats.axes import MISSING, NATIVE, USABLE
from cachestats.plots.bars import Part, draw_bars
from cachestats.plots.drawing import check_top, checked, in_words, short
from cachestats.plots.themes import current

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

MAX_REASONS = 15


def plot_usable(
    usable: IntoFrame, *, top: int = MAX_REASONS, subtitle: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how many packages a host can use, by the target that they were built for, and what stops it from the rest.

    A package counts once: by its version that fits best or, if the host can use none, by the obstacle of the one that
    is nearest to being usable.

    Parameters
    ----------
    usable
        The result of `usable`: `package`, `cell`, `best_target`, `status` and `by`.
    top
        The largest number of obstacles to show. If there are more, those of the most packages are shown, and the title
        says so.
    subtitle
        A description of the host and the data; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a bar for each target whose packages the host can use, that of its own first, and then one for
        each obstacle.

    Raises
    ------
    ArgumentError
        If `usable` is not a frame, lacks a column, or is empty.

    Examples
    --------
    >>> import cachestats as cs
    >>> ax = cs.plot_usable(cs.usable(cs.example_dataset(), host="zen4:glibc@2.34"), subtitle="zen4, glibc 2.34")
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['built for x86_64_v3', 'libc: glibc@2.35', 'platform: darwin']
    >>> [text.get_text() for text in ax.texts]
    ['2, 15.4%', '9, 69.2%', '2, 15.4%']
    """
    check_top(top)
    names = ("package", "cell", "best_target", "status", "by")
    usable = checked(as_polars(usable), names=names, maker="usable")
    packages = usable["package"].n_unique()
    found = usable.filter(pl.col("cell") != MISSING)
    # Native comes before usable.
    best = found.sort("cell").unique("package", keep="first", maintain_order=True)
    reached = (
        best.group_by("cell", "best_target")
        .len("packages")
        .sort(["cell", "packages", "best_target"], descending=[False, True, False])
    )
    stopped = _grouped(obstacles(usable))
    shown = stopped.sort("packages", descending=True, maintain_order=True).head(top)
    title = [f"A host can use {best.height:,} of {packages:,} packages, {best.height / packages:.1%}"]
    title += in_words(subtitle)
    if shown.height < stopped.height:
        title.append(f"the {shown.height} of {stopped.height:,} obstacles of the most packages")
    bars = [(f"built for {target}", cell, number) for cell, target, number in reached.iter_rows()]
    bars += [(f"{status}: {by}", MISSING, number) for status, by, number in shown.iter_rows()]
    states = current().states
    looks = {NATIVE: ("native", states[NATIVE], None), USABLE: ("usable", states[USABLE], "///")}
    looks[MISSING] = ("missing, because of", current().loss, "....")
    return draw_bars(
        [short(name) for name, _, _ in bars],
        [
            Part(words, [number * (cell == state) for _, cell, number in bars], colour, marks)
            for state, (words, colour, marks) in looks.items()
        ],
        unit="packages",
        notes=[f"{number:,}, {number / packages:.1%}" for *_, number in bars],
        title=title,
        ax=ax,
    )


def _grouped(stopped: pl.DataFrame) -> pl.DataFrame:
    """Put together all that lack some dependency or other: each alone, they would hide what stops more."""
    is_incomplete = pl.col("status") == "incomplete"
    by = pl.when(is_incomplete).then(pl.lit("lacks dependencies")).otherwise("by")
    return stopped.group_by("status", by.alias("by"), maintain_order=True).agg(pl.col("packages").sum())
