"""A coverage matrix as a heatmap."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from cachestats.analysis.coverage import CoverageMatrix
from cachestats.analysis.frames import as_polars
from cachestats.axes import MISSING, NATIVE, STATES, USABLE, State
from cachestats.errors import ArgumentError
from cachestats.plots.bars import Part, draw_bars
from cachestats.plots.drawing import (
    FONT,
    ROW_HEIGHT,
    check_top,
    new_axes,
    plural,
    set_title,
    short,
    snapshot_labels,
    some,
    width_of,
)
from cachestats.plots.heatmap import (
    CELL_WIDTH,
    Shown,
    as_table,
    draw_cells,
    draw_labels,
    draw_scale,
    edges,
    largest,
    write_numbers,
)
from cachestats.plots.themes import current
from cachestats.text import counted

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

MAX_ROWS = 60
MAX_COLUMNS = 15

_TEXT_WIDTH = 0.62  # width of a letter divided by the font size
_LEGEND_WIDTH = 40  # letters

UNITS = {
    "specs": "specs",
    "packages": "packages with a binary",
    "share": "share of packages with a binary",
    "usable": "what a machine can use",
}

_MARKS: dict[State | None, str | None] = {NATIVE: None, USABLE: "///", MISSING: None, None: "...."}  # None: no data
_NUMBERS = {state: number for number, state in enumerate(_MARKS)}


def plot_coverage(matrix: IntoFrame, *, top: int = MAX_ROWS, ax: Axes | None = None) -> Axes:
    """Draw a coverage matrix as a heatmap of numbers, or of what a machine can use; one column as bars.

    For numbers, darker means more, and an empty cell is blank, in colour and in greyscale; the scale is linear unless
    it says otherwise. For states, native is the darkest, usable is hatched, missing is light, and no data (null) is
    dotted; a legend explains them.

    A matrix with one column is drawn as bars: a bar for each row with its number, the longest first, or for each state
    with the number of its rows.

    Parameters
    ----------
    matrix
        The result of `coverage_matrix`: the names of the rows in the first column; in the others numbers or, with
        `usable`, the states native, usable and missing. A frame derived from it by `filter`, `sort`, ... can be drawn
        as well, but its title does not describe what it shows.
    top
        The largest number of rows to show. If there are more, those with the largest sums are shown; of states, those
        whose cells differ from one another, because rows that are the same everywhere need no picture. They are in the
        order of the matrix. Of more than 15 columns, those with the largest sums, or with the most native and usable
        cells, are shown. The title says how many rows and columns there are.
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
    check_top(top)
    matrix = _checked(as_polars(matrix))
    row_axis, *names = matrix.columns
    known = matrix if isinstance(matrix, CoverageMatrix) else CoverageMatrix()
    has_states = not matrix.schema[names[0]].is_numeric()
    measure = "usable" if has_states else known.measure or ("share" if matrix.schema[names[0]].is_float() else None)
    column_axis = known.column_axis or ("target" if has_states else None)
    title = _title(known, measure, row_axis, column_axis)
    if len(names) == 1:
        title.append(f"{(column_axis or 'column').replace('_', ' ')} {short(names[0])}")
        return (_draw_states_as_bars if has_states else _draw_bars)(matrix, measure, title, top, ax)
    shown = _largest(matrix, top, column_axis, has_states=has_states)
    title += _left_out(shown, matrix, measure, column_axis or "column")
    if ax is None:
        ax = _new_axes(shown, title, has_states=has_states)
    if has_states:
        _draw_states(ax, shown)
        draw_labels(ax, shown.rows, shown.columns)
    else:
        mesh = draw_cells(ax, shown, is_share=measure == "share")
        draw_labels(ax, shown.rows, shown.columns)
        write_numbers(ax, mesh, shown.values, is_share=measure == "share")
        draw_scale(ax, mesh, UNITS.get(measure or "", ""), is_share=measure == "share")
    set_title(ax, title)
    return ax


def _checked(matrix: object) -> pl.DataFrame:
    """Check that a frame is a matrix, and return it."""
    found = f"{type(matrix).__name__}"
    if isinstance(matrix, pl.DataFrame):
        cells = matrix.select(matrix.columns[1:])
        has_numbers = all(dtype.is_numeric() for dtype in cells.dtypes)
        if matrix.height and cells.width and (has_numbers or _are_states(cells)):
            return matrix
        found = f"{counted(matrix.height, 'row')} and the columns {', '.join(matrix.columns) or 'none'}"
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


def _labels(names: Sequence[str | None], axis: str | None) -> list[str]:
    if axis == "snapshot":
        return snapshot_labels([name or "none" for name in names])
    return [short(name) for name in names]


def _draw_bars(matrix: pl.DataFrame, measure: str | None, title: list[str], top: int, ax: Axes | None) -> Axes:
    """Draw the numbers of the only column as bars."""
    axis, name = matrix.columns
    is_share = measure == "share"
    shown = matrix.sort(name, descending=True, nulls_last=True, maintain_order=True).head(top)
    if shown.height < matrix.height:
        title.append(f"the {shown.height:,} of {matrix.height:,} {plural(axis)} with the most")
    values = shown[name].fill_null(0).to_list()
    return draw_bars(
        _labels(shown[axis].cast(pl.String).to_list(), axis),
        [Part(measure or "", values, current().main)],
        unit=UNITS.get(measure or "", ""),
        notes=[f"{value:.1%}" if is_share else f"{value:,.0f}" for value in values],
        title=title,
        is_share=is_share,
        ax=ax,
    )


def _draw_states_as_bars(
    matrix: pl.DataFrame, measure: str | None, title: list[str], top: int, ax: Axes | None
) -> Axes:
    """Draw how many rows of the only column have each state."""
    axis, name = matrix.columns
    rows = {state: matrix.filter(pl.col(name).cast(pl.String).eq_missing(state))[axis].to_list() for state in _MARKS}
    states = [state for state in _MARKS if state or rows[None]]
    return draw_bars(
        [state or "no data" for state in states],
        [
            Part(state or "", [len(rows[one]) * (one == state) for one in states], _colour(state), _MARKS[state])
            for state in states
        ],
        unit=plural(axis),
        notes=[f"{len(rows[state]):,}{f': {some(rows[state])}' if rows[state] else ''}" for state in states],
        title=title,
        with_legend=False,
        ax=ax,
    )


def _largest(matrix: pl.DataFrame, top: int, column_axis: str | None, *, has_states: bool) -> Shown:
    """Return the part of a matrix that can be drawn: if it is too large, the rows and columns that say most."""
    row_axis, *names = matrix.columns
    rows = matrix[row_axis].cast(pl.String).to_list()
    if has_states:
        places = pl.exclude(row_axis).replace_strict(
            list(STATES), [_NUMBERS[state] for state in STATES], default=_NUMBERS[None], return_dtype=pl.Int64
        )
        matrix = matrix.select(places)
    values = matrix.select(names).to_numpy().astype(float)
    weights = (values <= _NUMBERS[USABLE]).astype(float) if has_states else np.nan_to_num(values)
    columns = largest(weights.sum(axis=0), MAX_COLUMNS)
    # Rank rows by the columns shown, so that no row is kept because of a column that is left out.
    ranks = _mixture(values[:, columns]) if has_states else weights[:, columns].sum(axis=1)
    kept = largest(ranks, top)
    return Shown(
        values[np.ix_(kept, columns)],
        _labels([rows[row] for row in kept], row_axis),
        _labels([names[column] for column in columns], column_axis),
    )


def _mixture(states: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how much the cells of each row differ: the cells that are not in its most frequent state."""
    counts = [(states == number).sum(axis=1) for number in _NUMBERS.values()]
    return np.asarray(states.shape[1] - np.max(counts, axis=0), float)


def _new_axes(shown: Shown, title: list[str], *, has_states: bool) -> Axes:
    """Return Axes of a new figure whose cells have a readable size, with room for the labels around them."""
    label_inches = FONT * _TEXT_WIDTH / 72
    width = max(len(shown.columns) * CELL_WIDTH, 3.2) + max(map(len, shown.rows)) * label_inches + 1.2
    if has_states:
        width += width_of(line for state in _MARKS for line in _label(state).splitlines())
    height = max(len(shown.rows) * ROW_HEIGHT, 0.9) + max(map(len, shown.columns)) * label_inches + 1.0
    return new_axes(width, height, title=title, names=shown.rows)


def _draw_states(ax: Axes, shown: Shown) -> None:
    """Draw each state in its colour and with its hatch, and a legend."""
    for state, marks in _MARKS.items():
        ax.pcolor(
            *edges(shown.values),
            np.ma.masked_not_equal(shown.values, _NUMBERS[state]),
            cmap=ListedColormap([_colour(state)]),
            hatch=marks,
            edgecolors=_edge(state),
            linewidth=1,
        )
    as_table(ax)
    # The legend includes states that do not occur: it is worth knowing that nothing is missing.
    ax.legend(
        handles=[
            Patch(facecolor=_colour(state), hatch=marks, edgecolor=_edge(state), label=_label(state))
            for state, marks in _MARKS.items()
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


def _colour(state: State | None) -> str:
    return current().states[state] if state else current().empty


def _edge(state: State | None) -> str:
    return current().paper if state else current().grid


def _title(matrix: CoverageMatrix, measure: str | None, row_axis: str, column_axis: str | None) -> list[str]:
    """Return the lines of the title: the quantity, and the specs it refers to."""
    rows, columns = row_axis.replace("_", " "), (column_axis or "").replace("_", " ")
    whole = {"row": rows, "column": columns}.get(matrix.whole or "")
    unit = f"share of each {whole}'s packages" if whole else UNITS.get(measure or "", "coverage")
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
            most = "" if is_same else f" with the most {measure or ''}".rstrip()
            if measure == "usable":
                most = " whose cells differ most" if axis == matrix.columns[0] else " with the most usable cells"
            of_these = "in these, " if lines else ""
            lines.append(f"{of_these}the {len(part):,} of {whole:,} {plural(axis)}{most}")
    return lines
