"""Missing dependencies of cached specs, by the number of specs that they break, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from cachestats.analysis.frames import as_polars
from cachestats.plots.bars import MAX_BARS, Part, draw_bars
from cachestats.plots.drawing import check_top, checked, draw_nothing, in_words, short
from cachestats.plots.themes import current

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame


def plot_holes(holes: IntoFrame, *, top: int = MAX_BARS, subtitle: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the missing specs, those that break the most cached specs first.

    Parameters
    ----------
    holes
        The result of `holes` by `missing`: `package`, `hash` and `breaks`.
    top
        The largest number of missing specs to show. If there are more, those that break the most are shown, and the
        title says so.
    subtitle
        A description of the data, such as the snapshot; it becomes a line of the title.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a bar for each missing spec, labelled `package/hash` with the first seven characters of the hash.
        If there is none, the chart says so.

    Raises
    ------
    ArgumentError
        If `holes` is not a frame, or lacks a column.

    Examples
    --------
    >>> import cachestats as cs
    >>> ax = cs.plot_holes(cs.holes(cs.example_dataset(), by="missing", deptypes=["build", "link", "run"]))
    >>> [label.get_text() for label in ax.get_yticklabels()][:2], [text.get_text() for text in ax.texts][:2]
    (['gmake/qp5blvc', 'm4/rsbk2he'], ['24', '13'])
    """
    check_top(top)
    maker = 'holes(..., by="missing")'
    holes = checked(as_polars(holes), names=("package", "hash"), numbers=("breaks",), maker=maker, may_be_empty=True)
    shown = holes.sort("breaks", descending=True, maintain_order=True).head(top)
    title = ["Missing specs, by how many cached ones they break", *in_words(subtitle)]
    if holes.is_empty():
        return draw_nothing("none: nothing is missing", title=title, ax=ax)
    if shown.height < holes.height:
        title.append(f"the first {shown.height} of {holes.height:,}")
    return draw_bars(
        [f"{short(package)}/{short(digest[:7])}" for package, digest in shown.select("package", "hash").iter_rows()],
        [Part("breaks", shown["breaks"].to_list(), current().loss)],
        unit="cached specs that cannot be installed without it",
        title=title,
        ax=ax,
    )
