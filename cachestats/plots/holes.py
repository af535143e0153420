"""What is missing below cached specs, by how many of them it breaks, as bars."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from cachestats.plots.bars import MAX_BARS, Part, draw_bars
from cachestats.plots.drawing import VERMILLION, checked, in_words, short


def plot_holes(holes: pl.DataFrame, *, subtitle: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the specs that are missing, those first that break most cached ones.

    Parameters
    ----------
    holes
        What `holes` returns by `missing`: `package`, `hash` and `breaks`. Of more than 40 missing specs the first are
        shown, which the title says.
    subtitle
        Words for what the holes are in, such as the snapshot: a line of the title.
    ax
        Axes to draw on; by default those of a new figure of fitting size.

    Returns
    -------
    The Axes, with a bar for each missing spec, called `package/hash`, the hash in its first seven characters.

    Raises
    ------
    ArgumentError
        If `holes` is no frame, lacks a column, or is empty: where nothing is missing there is nothing to draw.

    Examples
    --------
    >>> import cachestats as cs
    >>> import polars as pl
    >>> missing = pl.DataFrame({"snapshot": "develop", "package": "zlib", "hash": "abcdefghi", "breaks": 7})
    >>> cs.plot_holes(missing).get_yticklabels()[0].get_text()
    'zlib/abcdefg'
    """
    checked(holes, names=("package", "hash"), numbers=("breaks",), maker='holes(..., by="missing")')
    shown = holes.sort("breaks", descending=True, maintain_order=True).head(MAX_BARS)
    title = ["Missing specs, by how many cached ones they break", *in_words(subtitle)]
    if shown.height < holes.height:
        title.append(f"the first {shown.height} of {holes.height:,}")
    return draw_bars(
        [f"{short(package)}/{short(digest[:7])}" for package, digest in shown.select("package", "hash").iter_rows()],
        [Part("breaks", shown["breaks"].to_list(), VERMILLION)],
        unit="cached specs that cannot be installed without it",
        title=title,
        ax=ax,
    )
