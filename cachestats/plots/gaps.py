"""Missing packages, by the number of packages that depend on them, as bars."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from cachestats.plots.bars import MAX_BARS, Part, draw_bars
from cachestats.plots.drawing import VERMILLION, checked, column, draw_nothing, in_words, plural, short


def plot_gaps(gaps: pl.DataFrame, *, subtitle: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the packages that some stacks lack, those needed by the most others first, and name the stacks.

    Parameters
    ----------
    gaps
        The result of `gaps`: a stack, or another axis, in the first column, `package`, `num_columns` and
        `num_dependents`. If dependents are not known, packages are ranked by the number of stacks that have them. If
        there are more than 40 packages, the first are shown, and the title says so.
    subtitle
        A description of the data, such as the snapshot; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a bar for each package, labelled with the stacks that lack it. If there is none, the chart says
        so.

    Raises
    ------
    ArgumentError
        If `gaps` is not a frame, or lacks a column.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> ax = cs.plot_gaps(cs.gaps(ds, by="target", dependencies=ds), subtitle="the newest snapshot")
    >>> [text.get_text() for text in ax.texts]
    ['10, not in aarch64', '3, not in x86_64_v3', '2, not in x86_64_v3', '2, not in aarch64']
    """
    by = column(gaps, 0, "stack")
    checked(gaps, names=(by, "package"), numbers=("num_columns", "num_dependents"), maker="gaps", may_be_empty=True)
    if gaps.is_empty():
        title = [f"Packages missing in some {plural(by)}", *in_words(subtitle)]
        return draw_nothing("none: nothing is missing", title=title, ax=ax)
    is_weighed = not gaps["num_dependents"].is_null().all()
    packages = (
        gaps.group_by("package", maintain_order=True)
        .agg(pl.col("num_columns", "num_dependents").max().fill_null(0), pl.col(by))
        .sort(
            ["num_dependents", "num_columns", pl.col(by).list.len(), "package"],
            descending=[True, True, True, False],
        )
    )
    shown = packages.head(MAX_BARS)
    weight = "num_dependents" if is_weighed else "num_columns"
    many, places = plural(by), gaps[by].unique()
    where = f"some {many}" if len(places) > 1 else f"{by.replace('_', ' ')} {short(places[0])}"
    title = [f"Packages missing in {where}, by how many {'others need' if is_weighed else f'{many} have'} them"]
    title += in_words(subtitle)
    if shown.height < packages.height:
        title.append(f"the first {shown.height} of {packages.height:,} packages")
    return draw_bars(
        [short(name) for name in shown["package"]],
        [Part("missing", shown[weight].to_list(), VERMILLION)],
        unit="packages that depend on it" if is_weighed else f"{many} that have it",
        notes=[
            f"{value:,}, not in {_some(lacking)}" if len(places) > 1 else f"{value:,}"
            for value, lacking in shown.select(weight, by).iter_rows()
        ],
        title=title,
        ax=ax,
    )


def _some(names: list[str | None]) -> str:
    """Return the first few names."""
    texts = [short(name, 24) for name in names]
    return ", ".join(texts if len(texts) <= 3 else [*texts[:2], f"{len(texts) - 2:,} more"])
