"""A coverage matrix as a heatmap."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, Normalize, PowerNorm
from matplotlib.ticker import FuncFormatter, PercentFormatter

from cachestats.analysis.coverage import CoverageMatrix
from cachestats.errors import ArgumentError

MAX_ROWS = 60
MAX_COLUMNS = 15

_CELL_WIDTH, _CELL_HEIGHT = 0.62, 0.25  # inches
_FONT = 8.0  # points
_TEXT_WIDTH = 0.62  # width of a digit over the font size, as drawn by DejaVu Sans
_EMPTY = "#f4f4f4"

_MEASURES = {
    "specs": ("specs", "specs"),
    "packages": ("packages with a binary", "packages"),
    "share": ("share of packages with a binary", "share of packages"),
}


def plot_coverage(matrix: pl.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw a coverage matrix as a heatmap with the numbers in its cells.

    Darker is more, and an empty cell is blank, in colour as in greyscale. Above 60 rows or 15 columns the ones with
    the largest sums are shown, in the order of the matrix, and the title says how many are left out.

    Parameters
    ----------
    matrix
        What `coverage_matrix` returns: the names of the rows in the first column, numbers in the others.
    ax
        Axes to draw on; by default those of a new figure of fitting size.

    Returns
    -------
    The Axes. `cachestats.save_plot` writes them to a file.

    Raises
    ------
    ArgumentError
        If the matrix has no numbers.

    Examples
    --------
    >>> import cachestats as cs
    >>> matrix = cs.coverage_matrix(demo.specs, rows="package", columns="target")
    >>> print(cs.plot_coverage(matrix).get_title(loc="left"))
    Specs, by package and target
    2 snapshots: develop-2025-03-09 to develop
    """
    row_axis, *names = matrix.columns or [""]
    if not names or not matrix.height or not all(matrix.schema[name].is_numeric() for name in names):
        raise ArgumentError(
            f"expected a matrix with at least one row and column of numbers, found {matrix.height} rows and the "
            f"columns {', '.join(matrix.columns) or 'none'}",
            hint="give the result of coverage_matrix; if it is empty, look for other snapshots or drop a filter",
        )
    rows = matrix[row_axis].cast(pl.String).fill_null("none").to_list()
    values = matrix.select(names).to_numpy().astype(float)
    is_share = all(matrix.schema[name].is_float() for name in names)

    shown_rows, shown_columns = _largest(values.sum(axis=1), MAX_ROWS), _largest(values.sum(axis=0), MAX_COLUMNS)
    shown = values[np.ix_(shown_rows, shown_columns)]
    row_labels = [_short(rows[row]) for row in shown_rows]
    column_labels = [_short(names[column]) for column in shown_columns]
    if ax is None:
        ax = _new_axes(row_labels, column_labels)

    norm = Normalize(0, 1) if is_share else PowerNorm(0.5, 0, max(1.0, shown.max()))
    image = ax.imshow(np.ma.masked_equal(shown, 0), cmap=_colours(), norm=norm, aspect="auto", interpolation="none")
    # parse_math: what stands between two $ is a name here, not a formula.
    ax.set_yticks(range(len(row_labels)), row_labels, fontsize=_FONT, parse_math=False)
    ax.set_xticks(range(len(column_labels)), column_labels, fontsize=_FONT, parse_math=False)
    if max(map(len, column_labels)) > 7:
        plt.setp(ax.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")
    ax.tick_params(length=0)
    ax.set_xticks(np.arange(0.5, len(column_labels) - 1), minor=True)
    ax.set_yticks(np.arange(0.5, len(row_labels) - 1), minor=True)
    ax.grid(which="minor", color="white", linewidth=1)
    ax.tick_params(which="minor", length=0)
    ax.spines[:].set_visible(False)

    known = matrix if isinstance(matrix, CoverageMatrix) else CoverageMatrix()
    left_out = [
        f"showing {len(part):,} of {whole:,} {_plural(axis)}, those with the most"
        for part, whole, axis in (
            (shown_rows, len(rows), row_axis),
            (shown_columns, len(names), known.column_axis or "column"),
        )
        if len(part) < whole
    ]
    title, unit = _MEASURES[known.measure or "share"] if known.measure or is_share else ("coverage", "")
    ax.set_title(
        "\n".join([*_title(title, row_axis, known), *left_out]), loc="left", fontsize=_FONT + 2, parse_math=False
    )
    _write_numbers(ax, shown, is_share)
    formatter = PercentFormatter(1) if is_share else FuncFormatter(lambda value, _: f"{value:,.0f}")
    bar = ax.figure.colorbar(image, ax=ax, format=formatter, shrink=min(1.0, 8 / len(row_labels)), pad=0.02)
    bar.ax.tick_params(labelsize=_FONT)
    bar.set_label(unit, fontsize=_FONT)
    bar.outline.set_visible(False)
    return ax


def _title(measure: str, row_axis: str, matrix: CoverageMatrix) -> list[str]:
    whole = {"row": row_axis, "column": matrix.column_axis}.get(matrix.whole or "")
    if whole:
        measure = f"share of the packages of each {whole.replace('_', ' ')}"
    columns = f" and {matrix.column_axis.replace('_', ' ')}" if matrix.column_axis else ""
    first = f"{measure.capitalize()}, by {row_axis.replace('_', ' ')}{columns}"
    snapshots = [_short(name) for name in matrix.snapshots]
    if not snapshots:
        return [first]
    if len(snapshots) == 1:
        return [first, f"snapshot {snapshots[0]}"]
    return [first, f"{len(snapshots):,} snapshots: {snapshots[0]} to {snapshots[-1]}"]


def _largest(sums: npt.NDArray[np.float64], count: int) -> list[int]:
    """Return the positions of the `count` largest sums, in their own order; of equal sums the first."""
    return sorted(np.argsort(-sums, kind="stable")[:count].tolist())


def _new_axes(row_labels: Sequence[str], column_labels: Sequence[str]) -> Axes:
    """Return Axes of a new figure whose cells have a readable size, with room for the labels around them."""
    label_inches = _FONT * _TEXT_WIDTH / 72
    width = max(len(column_labels) * _CELL_WIDTH, 3.2) + max(map(len, row_labels)) * label_inches + 1.2
    height = max(len(row_labels) * _CELL_HEIGHT, 0.9) + max(map(len, column_labels)) * label_inches + 1.0
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def _colours() -> Colormap:
    """Return light to dark, without the near-white end that could pass for an empty cell."""
    return ListedColormap(plt.get_cmap("YlGnBu")(np.linspace(0.22, 1, 256))).with_extremes(bad=_EMPTY)


def _write_numbers(ax: Axes, values: npt.NDArray[np.float64], is_share: bool) -> None:
    """Write the number into each cell, all of them or none: where one does not fit, they would mislead."""
    texts = [[_number(value, is_share) for value in row] for row in values]
    box = ax.get_window_extent()
    points = 72 / ax.figure.dpi
    width, height = box.width * points / values.shape[1], box.height * points / values.shape[0]
    longest = max(len(text) for row in texts for text in row)
    size = min(_FONT, 0.8 * height, 0.9 * width / (longest * _TEXT_WIDTH) if longest else _FONT)
    if size < 5:
        return
    colours = ax.images[-1].to_rgba(values)
    for (row, column), value in np.ndenumerate(values):
        if value:
            colour = "white" if _luminance(colours[row, column]) < 0.18 else "black"
            ax.text(column, row, texts[row][column], ha="center", va="center", fontsize=size, color=colour)


def _luminance(colour: npt.NDArray[np.float64]) -> float:
    """Return the relative luminance of a colour as WCAG 2 defines it; at 0.18 black and white contrast alike."""
    parts = colour[:3]
    linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _number(value: float, is_share: bool) -> str:
    if not value:
        return ""
    if is_share:
        return f"{value:.0%}" if value >= 0.005 else "<1%"
    return f"{value:,.0f}"


def _short(name: str) -> str:
    name = "".join(character if character.isprintable() else "\ufffd" for character in name)
    return name if len(name) <= 40 else f"{name[:37]}..."


def _plural(axis: str) -> str:
    return axis.replace("_", " ") + ("" if axis == "os" else "s")
