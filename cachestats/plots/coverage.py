"""A coverage matrix as a heatmap."""

from __future__ import annotations

from textwrap import wrap

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from cachestats.analysis.coverage import CoverageMatrix
from cachestats.axes import MISSING, NATIVE, STATES, USABLE, State
from cachestats.errors import ArgumentError
from cachestats.plots.drawing import FONT, ROW_HEIGHT, new_axes, plural, set_title, short, width_of
from cachestats.plots.heatmap import (
    CELL_WIDTH,
    EMPTY,
    Shown,
    as_table,
    draw_cells,
    draw_labels,
    draw_scale,
    edges,
    top,
    write_numbers,
)

MAX_ROWS = 60
MAX_COLUMNS = 15

_TEXT_WIDTH = 0.62  # width of a letter divided by the font size
_LEGEND_WIDTH = 40  # letters

_UNITS = {
    "specs": "specs",
    "packages": "packages with a binary",
    "share": "share of packages with a binary",
    "usable": "what a machine can use",
}

_STYLES: dict[State | None, tuple[str, str | None]] = {  # colour and hatch, from dark to light; None is no data
    NATIVE: ("#0b3c6f", None),
    USABLE: ("#5a9fd4", "///"),
    MISSING: ("#f6d5b0", None),
    None: (EMPTY, "...."),
}
_NUMBERS = {state: number for number, state in enumerate(_STYLES)}


def plot_coverage(matrix: pl.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw a coverage matrix as a heatmap of numbers, or of what a machine can use.

    For numbers, darker means more, and an empty cell is blank, in colour and in greyscale. For states, native is the
    darkest, usable is hatched, missing is light, and no data (null) is dotted; a legend explains them. If there are
    more than 60 rows or 15 columns, those with the largest sums, or with the most native and usable cells, are shown in
    the order of the matrix, and the title says how many there are.

    Parameters
    ----------
    matrix
        The result of `coverage_matrix`: the names of the rows in the first column; in the others numbers or, with
        `usable`, the states native, usable and missing. A frame derived from it by `filter`, `sort`, ... can be drawn
        as well, but its title does not describe what it shows.
    ax
        The Axes to draw on; by default those of a new figure of suitable size.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes. `save_plot` writes them to a file.

    Raises
    ------
    ArgumentError
        If `matrix` is not a frame, or has neither numbers nor states.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> matrix = cs.coverage_matrix(ds, rows="package", columns="stack")
    >>> print(cs.plot_coverage(matrix).get_title(loc="left"))
    Specs, by package and stack
    snapshot develop-2025-03-09
    >>> matrix = cs.coverage_matrix(ds, rows="package", columns="target", usable=True)
    >>> print(cs.plot_coverage(matrix).get_title(loc="left").splitlines()[0])
    What a machine can use, by package and target
    """
    row_axis, *names = _checked(matrix)
    known = matrix if isinstance(matrix, CoverageMatrix) else CoverageMatrix()
    has_states = not matrix.schema[names[0]].is_numeric()
    measure = "usable" if has_states else known.measure or ("share" if matrix.schema[names[0]].is_float() else None)
    column_axis = known.column_axis or ("target" if has_states else None)
    shown = _largest(matrix, has_states=has_states)
    title = _title(known, measure, row_axis, column_axis) + _left_out(shown, matrix, measure, column_axis or "column")
    if ax is None:
        ax = _new_axes(shown, title, has_states=has_states)
    if has_states:
        _draw_states(ax, shown)
        draw_labels(ax, shown.rows, shown.columns)
    else:
        mesh = draw_cells(ax, shown, is_share=measure == "share")
        draw_labels(ax, shown.rows, shown.columns)
        write_numbers(ax, mesh, shown.values, is_share=measure == "share")
        draw_scale(ax, mesh, _UNITS.get(measure or "", ""), is_share=measure == "share")
    set_title(ax, title)
    return ax


def _checked(matrix: pl.DataFrame) -> list[str]:
    """Check that a frame is a matrix, and return its columns."""
    found = f"{type(matrix).__name__}"
    if isinstance(matrix, pl.DataFrame):
        cells = matrix.select(matrix.columns[1:])
        has_numbers = all(dtype.is_numeric() for dtype in cells.dtypes)
        if matrix.height and cells.width and (has_numbers or _are_states(cells)):
            return matrix.columns
        found = f"{matrix.height} rows and the columns {', '.join(matrix.columns) or 'none'}"
    raise ArgumentError(
        f"expected a matrix with at least one row and column of numbers, or of {', '.join(STATES)}, found {found}",
        hint="pass the result of coverage_matrix; if it is empty, choose other snapshots or remove a filter",
    )


def _are_states(cells: pl.DataFrame) -> bool:
    return all(
        # A column without any data has no type.
        dtype in (pl.String, pl.Null) and set(cells[name].drop_nulls()) <= set(STATES)
        for name, dtype in cells.schema.items()
    )


def _largest(matrix: pl.DataFrame, *, has_states: bool) -> Shown:
    """Return the part of a matrix that can be drawn: if it is too large, the rows and columns with the largest sums."""
    names = matrix.columns[1:]
    rows = matrix[matrix.columns[0]].cast(pl.String).to_list()
    if has_states:
        places = pl.exclude(matrix.columns[0]).replace_strict(
            list(STATES), [_NUMBERS[state] for state in STATES], default=_NUMBERS[None], return_dtype=pl.Int64
        )
        matrix = matrix.select(places)
    values = matrix.select(names).to_numpy().astype(float)
    weights = (values <= _NUMBERS[USABLE]).astype(float) if has_states else np.nan_to_num(values)
    columns = top(weights.sum(axis=0), MAX_COLUMNS)
    # Rank rows by the columns shown, so that no row is kept because of a column that is left out.
    kept = top(weights[:, columns].sum(axis=1), MAX_ROWS)
    return Shown(
        values[np.ix_(kept, columns)], [short(rows[row]) for row in kept], [short(names[column]) for column in columns]
    )


def _new_axes(shown: Shown, title: list[str], *, has_states: bool) -> Axes:
    """Return Axes of a new figure whose cells have a readable size, with room for the labels around them."""
    label_inches = FONT * _TEXT_WIDTH / 72
    width = max(len(shown.columns) * CELL_WIDTH, 3.2) + max(map(len, shown.rows)) * label_inches + 1.2
    if has_states:
        width += width_of(line for state in _STYLES for line in _label(state).splitlines())
    height = max(len(shown.rows) * ROW_HEIGHT, 0.9) + max(map(len, shown.columns)) * label_inches + 1.0
    return new_axes(width, height, title=title, names=shown.rows)


def _draw_states(ax: Axes, shown: Shown) -> None:
    """Draw each state in its colour and with its hatch, and a legend."""
    for state, (colour, marks) in _STYLES.items():
        ax.pcolor(
            *edges(shown.values),
            np.ma.masked_not_equal(shown.values, _NUMBERS[state]),
            cmap=ListedColormap([colour]),
            hatch=marks,
            edgecolors=_edge(state),
            linewidth=1,
        )
    as_table(ax)
    # The legend includes states that do not occur: it is worth knowing that nothing is missing.
    ax.legend(
        handles=[
            Patch(facecolor=colour, hatch=marks, edgecolor=_edge(state), label=_label(state))
            for state, (colour, marks) in _STYLES.items()
            if state or (shown.values == _NUMBERS[None]).any()
        ],
        loc="upper left",
        bbox_to_anchor=(1, 1),
        fontsize=FONT,
        handleheight=1.2,
        frameon=False,
    )


def _label(state: State | None) -> str:
    """Return the text of a state in the legend, in as many lines as it takes."""
    return "\n".join(wrap(f"{state}: {STATES[state]}", _LEGEND_WIDTH)) if state else "no data"


def _edge(state: State | None) -> str:
    return "white" if state else "#aaaaaa"


def _title(matrix: CoverageMatrix, measure: str | None, row_axis: str, column_axis: str | None) -> list[str]:
    """Return the lines of the title: the quantity, and the specs it refers to."""
    rows, columns = row_axis.replace("_", " "), (column_axis or "").replace("_", " ")
    whole = {"row": rows, "column": columns}.get(matrix.whole or "")
    unit = f"share of each {whole}'s packages" if whole else _UNITS.get(measure or "", "coverage")
    lines = [f"{unit.capitalize()}, by {rows}{' and ' * bool(columns)}{columns}"]
    snapshots = [short(name) for name in matrix.snapshots]
    if len(snapshots) == 1:
        lines.append(f"snapshot {snapshots[0]}")
    elif snapshots:
        lines.append(f"{len(snapshots):,} snapshots: {snapshots[0]} to {snapshots[-1]}")
    if matrix.only:
        lines.append(f"only {short(matrix.only)}")
    return lines


def _left_out(shown: Shown, matrix: pl.DataFrame, measure: str | None, column_axis: str) -> list[str]:
    """Return lines that say how many rows and columns are shown, if not all are."""
    lines: list[str] = []
    for part, whole, axis in (
        (shown.columns, matrix.width - 1, column_axis),
        (shown.rows, matrix.height, matrix.columns[0]),
    ):
        if len(part) < whole:
            # Packages cannot be ranked by their number of packages.
            is_same = axis == "package" and measure not in ("specs", "usable")
            counted = "usable cells" if measure == "usable" else measure or ""
            most = "" if is_same else f" with the most {counted}".rstrip()
            of_these = "in these, " if lines else ""
            lines.append(f"{of_these}the {len(part):,} of {whole:,} {plural(axis)}{most}")
    return lines
