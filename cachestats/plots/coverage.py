"""A coverage matrix as a heatmap."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, ListedColormap, Normalize, PowerNorm
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from cachestats.analysis.coverage import CoverageMatrix
from cachestats.errors import ArgumentError

MAX_ROWS = 60
MAX_COLUMNS = 15

_CELL_WIDTH, _CELL_HEIGHT = 0.62, 0.25  # inches
_FONT = 8.0  # points
_TEXT_WIDTH = 0.62  # width of a digit over the font size, as drawn by DejaVu Sans
_EMPTY = "#f4f4f4"

_UNITS = {"specs": "specs", "packages": "packages with a binary", "share": "share of packages with a binary"}

Values = npt.NDArray[np.float64]


class _Shown(NamedTuple):
    """The part of a matrix that is drawn."""

    values: Values
    rows: list[str]
    columns: list[str]


def plot_coverage(matrix: pl.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw a coverage matrix as a heatmap with the numbers in its cells.

    Darker is more, and an empty cell is blank, in colour as in greyscale. Above 60 rows or 15 columns the ones with
    the largest sums are shown, in the order of the matrix, and the title says how many are left out.

    Parameters
    ----------
    matrix
        What `coverage_matrix` returns: the names of the rows in the first column, numbers in the others. A frame made
        of it by `filter`, `sort`, ... is drawn as well, but cannot say in its title what it shows.
    ax
        Axes to draw on; by default those of a new figure of fitting size.

    Returns
    -------
    The Axes. `cachestats.save_plot` writes them to a file.

    Raises
    ------
    ArgumentError
        If `matrix` is no frame, or has no numbers.

    Examples
    --------
    >>> import cachestats as cs
    >>> matrix = cs.coverage_matrix(demo.specs, rows="package", columns="target")
    >>> print(cs.plot_coverage(matrix).get_title(loc="left"))
    Specs, by package and target
    2 snapshots: develop-2025-03-09 to develop
    """
    row_axis, *names = _checked(matrix)
    known = matrix if isinstance(matrix, CoverageMatrix) else CoverageMatrix()
    measure = known.measure or ("share" if matrix.schema[names[0]].is_float() else None)
    shown = _largest(matrix)
    if ax is None:
        ax = _new_axes(shown)
    mesh = _draw_cells(ax, shown, is_share=measure == "share")
    _draw_labels(ax, shown)
    _write_numbers(ax, mesh, shown.values, is_share=measure == "share")
    _draw_scale(ax, mesh, _UNITS.get(measure or "", ""), is_share=measure == "share")

    left_out = _left_out(shown, matrix, measure, known.column_axis or "column")
    title = [*_title(known, measure, row_axis), *left_out]
    ax.set_title("\n".join(title), loc="left", fontsize=_FONT + 2, parse_math=False)
    return ax


def _checked(matrix: pl.DataFrame) -> list[str]:
    """Return the columns of a matrix, if it is one."""
    found = f"{type(matrix).__name__}"
    if isinstance(matrix, pl.DataFrame):
        numbers = matrix.columns[1:]
        if matrix.height and numbers and all(matrix.schema[name].is_numeric() for name in numbers):
            return matrix.columns
        found = f"{matrix.height} rows and the columns {', '.join(matrix.columns) or 'none'}"
    raise ArgumentError(
        f"expected a matrix with at least one row and column of numbers, found {found}",
        hint="give the result of coverage_matrix; if it is empty, look for other snapshots or drop a filter",
    )


def _largest(matrix: pl.DataFrame) -> _Shown:
    """Return the part of a matrix that can be drawn: where it is too large, what has the largest sums."""
    names = matrix.columns[1:]
    rows = matrix[matrix.columns[0]].cast(pl.String).fill_null("none").to_list()
    values = matrix.select(names).to_numpy().astype(float)
    columns = _top(values.sum(axis=0), MAX_COLUMNS)
    # Of these columns, so that no row is kept for what is not shown.
    kept = _top(values[:, columns].sum(axis=1), MAX_ROWS)
    return _Shown(
        values[np.ix_(kept, columns)],
        [_short(rows[row]) for row in kept],
        [_short(names[column]) for column in columns],
    )


def _top(sums: Values, count: int) -> list[int]:
    """Return the positions of the `count` largest sums, in their own order; of equal sums the first."""
    return sorted(np.argsort(-sums, kind="stable")[:count].tolist())


def _new_axes(shown: _Shown) -> Axes:
    """Return Axes of a new figure whose cells have a readable size, with room for the labels around them."""
    label_inches = _FONT * _TEXT_WIDTH / 72
    width = max(len(shown.columns) * _CELL_WIDTH, 3.2) + max(map(len, shown.rows)) * label_inches + 1.2
    height = max(len(shown.rows) * _CELL_HEIGHT, 0.9) + max(map(len, shown.columns)) * label_inches + 1.0
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def _draw_cells(ax: Axes, shown: _Shown, *, is_share: bool) -> QuadMesh:
    # A mesh of rectangles, not an image of as many pixels: some viewers of SVG and PDF would blur that.
    edges = [np.arange(size + 1) - 0.5 for size in shown.values.shape]
    mesh = ax.pcolormesh(
        edges[1],
        edges[0],
        np.ma.masked_equal(shown.values, 0),
        cmap=_colours(),
        # The root makes room for small numbers, without which a few packages with hundreds of specs drown all others.
        norm=Normalize(0, 1) if is_share else PowerNorm(0.5, 0, max(1.0, shown.values.max())),
        edgecolors="white",
        linewidth=1,
    )
    ax.set_facecolor(_EMPTY)
    ax.invert_yaxis()
    ax.spines[:].set_visible(False)
    return mesh


def _colours() -> Colormap:
    """Return light to dark, without the near-white end that could pass for an empty cell."""
    return ListedColormap(plt.get_cmap("YlGnBu")(np.linspace(0.22, 1, 256))).with_extremes(bad=_EMPTY)


def _draw_labels(ax: Axes, shown: _Shown) -> None:
    # parse_math: what stands between two $ is a name here, not a formula.
    ax.set_yticks(range(len(shown.rows)), shown.rows, fontsize=_FONT, parse_math=False)
    ax.set_xticks(range(len(shown.columns)), shown.columns, fontsize=_FONT, parse_math=False)
    if max(map(len, shown.columns)) > 7:
        plt.setp(ax.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")
    ax.tick_params(length=0)


def _write_numbers(ax: Axes, mesh: QuadMesh, values: Values, *, is_share: bool) -> None:
    """Write the number into each cell, all of them or none: where one does not fit, they would mislead."""
    texts = [[_number(value, is_share) for value in row] for row in values]
    box = ax.get_window_extent()
    points = 72 / ax.figure.dpi
    width, height = box.width * points / values.shape[1], box.height * points / values.shape[0]
    longest = max(len(text) for row in texts for text in row)
    size = min(_FONT, 0.8 * height, 0.9 * width / (longest * _TEXT_WIDTH) if longest else _FONT)
    if size < 5:
        return
    colours = mesh.to_rgba(values)
    for (row, column), value in np.ndenumerate(values):
        if value:
            colour = "white" if _luminance(colours[row, column]) < 0.18 else "black"
            ax.text(column, row, texts[row][column], ha="center", va="center", fontsize=size, color=colour)


def _number(value: float, is_share: bool) -> str:
    if not value:
        return ""
    if is_share:
        return f"{value:.0%}" if value >= 0.005 else "<1%"
    return f"{value:,.0f}"


def _luminance(colour: Values) -> float:
    """Return the relative luminance of a colour as WCAG 2 defines it; at 0.18 black and white contrast alike."""
    parts = colour[:3]
    linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _draw_scale(ax: Axes, mesh: QuadMesh, unit: str, *, is_share: bool) -> None:
    if mesh.norm.vmax == 1 and not is_share:
        return  # every cell is one or nothing, which needs no scale
    rows = ax.get_ylim()[0] - ax.get_ylim()[1]
    bar = ax.figure.colorbar(
        mesh,
        ax=ax,
        format=PercentFormatter(1) if is_share else FuncFormatter(lambda value, _: f"{value:,.0f}"),
        ticks=None if is_share else MaxNLocator(5, integer=True),
        shrink=min(1.0, 10 / rows),
        anchor=(0, 1),
        pad=0.02,
    )
    bar.ax.tick_params(labelsize=_FONT)
    bar.set_label(unit, fontsize=_FONT)
    bar.outline.set_visible(False)


def _title(matrix: CoverageMatrix, measure: str | None, row_axis: str) -> list[str]:
    """Return the lines of the title: what is counted, and in which specs."""
    rows, columns = row_axis.replace("_", " "), (matrix.column_axis or "").replace("_", " ")
    whole = {"row": rows, "column": columns}.get(matrix.whole or "")
    unit = f"share of each {whole}'s packages" if whole else _UNITS.get(measure or "", "coverage")
    lines = [f"{unit.capitalize()}, by {rows}{' and ' * bool(columns)}{columns}"]
    snapshots = [_short(name) for name in matrix.snapshots]
    if len(snapshots) == 1:
        lines.append(f"snapshot {snapshots[0]}")
    elif snapshots:
        lines.append(f"{len(snapshots):,} snapshots: {snapshots[0]} to {snapshots[-1]}")
    if matrix.only:
        lines.append(f"only {_short(matrix.only)}")
    return lines


def _left_out(shown: _Shown, matrix: pl.DataFrame, measure: str | None, column_axis: str) -> list[str]:
    """Return lines that say what is not shown."""
    lines: list[str] = []
    for part, whole, axis in (
        (shown.columns, matrix.width - 1, column_axis),
        (shown.rows, matrix.height, matrix.columns[0]),
    ):
        if len(part) < whole:
            # Of the packages none has more packages than another.
            most = "" if axis == "package" and measure != "specs" else f" with the most {measure or ''}".rstrip()
            of_these = "in these, " if lines else ""
            lines.append(f"{of_these}the {len(part):,} of {whole:,} {_plural(axis)}{most}")
    return lines


def _short(name: str) -> str:
    name = "".join(character if character.isprintable() else "\ufffd" for character in name)
    return name if len(name) <= 40 else f"{name[:37]}..."


def _plural(axis: str) -> str:
    return axis.replace("_", " ") + ("" if axis == "os" else "s")
