"""Save charts as files: the same chart always gives the same bytes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cachestats.atomic import replaced_file
from cachestats.errors import ArgumentError

# SVG and PDF are reproducible without the date, and with ids that depend on the chart instead of chance.
_METADATA: dict[str, dict[str, str | None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}
# Text stays text, which can be searched, copied and edited. Where its font is missing, Verdana is as wide.
_AS_TEXT: dict[Any, Any] = {"svg.hashsalt": "cachestats", "svg.fonttype": "none", "pdf.fonttype": 42}
_DPI = 150


def save_plot(ax: Axes, out: str | os.PathLike[str]) -> None:
    """Save the figure that `ax` belongs to.

    Parameters
    ----------
    ax
        The Axes that a plot function returned.
    out
        The file to write; its extension determines the format: `.png`, `.svg` or `.pdf`, whose text is text. The
        same chart always gives the same bytes.

    Raises
    ------
    ArgumentError
        If the extension is not one of these.
    DatasetError
        If the file cannot be written.

    Examples
    --------
    >>> import cachestats as cs
    >>> matrix = cs.coverage_matrix(cs.example_dataset(), rows="package", columns="target")
    >>> cs.save_plot(cs.plot_coverage(matrix), "coverage.svg")
    """
    path = Path(out)
    if path.suffix not in _METADATA:
        raise ArgumentError(
            f"expected a file that ends in {', '.join(_METADATA)}, found {path.name!r}",
            hint=f"try {path.with_suffix('.png')}",
        )
    figure = ax.get_figure(root=True)
    with replaced_file(path) as unfinished, rc_context(_AS_TEXT):
        cast(Figure, figure).savefig(unfinished, format=path.suffix[1:], metadata=_METADATA[path.suffix], dpi=_DPI)
